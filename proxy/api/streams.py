"""Server-Sent Events between the proxy and who watches: not held back on the way, and never silent for long."""

import asyncio
from collections.abc import AsyncGenerator

from fastapi.sse import KEEPALIVE_COMMENT

MEDIA_TYPE = "text/event-stream"
# As FastAPI sends them with a stream of its own; the second is for nginx, which would wait for more.
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
_SILENCE_SECONDS = 15.0


async def kept_alive(events: AsyncGenerator[bytes], silence_seconds: float = _SILENCE_SECONDS) -> AsyncGenerator[bytes]:
    """The events, and a comment whenever none has come for that long; they are closed with it."""
    coming = asyncio.ensure_future(anext(events, None))
    try:
        while True:
            await asyncio.wait([coming], timeout=silence_seconds)
            if not coming.done():
                yield KEEPALIVE_COMMENT
                continue
            event = coming.result()
            if event is None:
                return
            yield event
            coming = asyncio.ensure_future(anext(events, None))
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
        await events.aclose()
