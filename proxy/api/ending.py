"""What is told to those whose work the end of the proxy cuts off."""

import asyncio

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proxy.api import failures
from proxy.errors import EndingError


class Ending:
    """ASGI middleware: a request that is cut off before it was answered is a 503."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, and note whether the answer has begun."""
        is_begun = False

        async def noting_send(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            await send(message)

        try:
            await self._app(scope, receive, noting_send)
        except asyncio.CancelledError:
            if is_begun or scope["type"] != "http":
                raise
            answer = failures.told(Request(scope), EndingError())
            await answer(scope, receive, send)
