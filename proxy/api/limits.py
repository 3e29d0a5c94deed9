"""A bound on the size of a request's body."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY_BYTES = 1 << 20
# A picture of 1024 x 1024 without compression, in base64.
_LARGER_BODY_BYTES = {"/sdapi/v1/png-info": 5 << 20}


def too_large(path: str) -> HTTPException:
    """What a path says of a body beyond its limit."""
    return HTTPException(413, f"the body is larger than {_largest(path)} bytes")


class BodyLimit:
    """ASGI middleware: reading a body beyond the limit is a 413."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, counting the body's bytes."""
        received = 0
        path = scope.get("path", "")

        async def counting_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > _largest(path):
                raise too_large(path)
            return message

        await self._app(scope, counting_receive if scope["type"] == "http" else receive, send)


def _largest(path: str) -> int:
    return _LARGER_BODY_BYTES.get(path, LARGEST_BODY_BYTES)
