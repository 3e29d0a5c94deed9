"""A bound on the size of a request's body."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY_BYTES = 1 << 20


class BodyLimit:
    """ASGI middleware: reading a body beyond the limit is a 413."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, counting the body's bytes."""
        received = 0

        async def counting_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > LARGEST_BODY_BYTES:
                raise HTTPException(413, f"the body is larger than {LARGEST_BODY_BYTES} bytes")
            return message

        await self._app(scope, counting_receive if scope["type"] == "http" else receive, send)
