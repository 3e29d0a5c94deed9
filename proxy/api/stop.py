"""A last word to requests that are still under way when the proxy stops."""

import asyncio

import orjson
from fastapi.sse import format_sse_event
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proxy.api.failures import answer, dialect
from proxy.errors import StoppingError


class LastWord:
    """ASGI middleware: a request that the server cancels is told so, and events end with one that says it.

    Other answers that have begun break off."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on. The server cancels a request only when it has waited for it long enough."""
        start: Message | None = None

        async def watched_send(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        except asyncio.CancelledError:
            if scope["type"] != "http":
                raise
            request, error = Request(scope), StoppingError()
            if start is None:
                await answer(request, error.status, error)(scope, receive, send)
            elif Headers(raw=start["headers"]).get("content-type", "").startswith("text/event-stream"):
                data = orjson.dumps(dialect(request).say(error.status, error)[1]).decode()
                event = format_sse_event(event="error", data_str=data)
                await send({"type": "http.response.body", "body": event, "more_body": False})
            else:
                raise
