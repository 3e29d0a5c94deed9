"""A bound on the size of a request's body."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY_BYTES = 1 << 20
# A picture of 1024 x 1024 without compression, in base64.
_LARGER_BODY_BYTES = {"/sdapi/v1/png-info": 5 << 20}


class BodyLimit:
    """ASGI middleware: reading a body beyond the limit is a 413."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, counting the body's bytes."""
        received = 0
        largest = _LARGER_BODY_BYTES.get(scope.get("path", ""), LARGEST_BODY_BYTES)

        async def counting_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > largest:
                raise HTTPException(413, f"the body is larger than {largest} bytes")
            return message

        await self._app(scope, counting_receive if scope["type"] == "http" else receive, send)
