"""The ASGI application: reads and writes on the event loop, answers in a pool of threads."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from model_server.rest import LARGEST_BODY_BYTES, Request, Response, RestApi

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_HARMLESS = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class Application:
    """ASGI over a RestApi. Graphs run in `threads`, so that the event loop never waits for TensorFlow."""

    def __init__(self, api: RestApi, threads: ThreadPoolExecutor) -> None:
        self._api = api
        self._threads = threads
        self.has_abandoned = False
        """Whether a stop did not wait for the end of a request, which then still runs in its thread."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one HTTP request; other protocols are not for this application."""
        if scope["type"] != "http":
            raise RuntimeError(f"Only http is served, not {scope['type']}")
        body = await _read_body(receive)
        if body is None:
            return
        if len(body) > LARGEST_BODY_BYTES:
            response = self._api.too_large
        else:
            response = await self._answer(Request(scope["method"], _target(scope), body, _is_gzip(scope), _id(scope)))
        headers = [*response.headers, ("Content-Length", str(len(response.body)))]
        encoded = [(name.encode(), value.encode()) for name, value in headers]
        await send({"type": "http.response.start", "status": response.status, "headers": encoded})
        await send({"type": "http.response.body", "body": response.body})

    async def _answer(self, request: Request) -> Response:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._api.answer, request)
        except asyncio.CancelledError:
            self.has_abandoned = True
            return self._api.stopping


async def _read_body(receive: Receive) -> bytes | None:
    """The whole body, or the beginning of one that is too large; None if the client went away before its end."""
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > LARGEST_BODY_BYTES or not message.get("more_body", False):
            return b"".join(chunks)


def _target(scope: Message) -> str:
    raw: bytes = scope["raw_path"]
    if scope["query_string"]:
        raw += b"?" + scope["query_string"]
    return raw.decode("utf-8", "surrogateescape")


def _is_gzip(scope: Message) -> bool:
    encodings = [value for name, value in scope["headers"] if name == b"content-encoding"]
    return b"gzip" in b"".join(encodings[:1])


def _id(scope: Message) -> str:
    """The client's X-Request-ID; nothing if it could do harm in a log."""
    sent = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return sent.decode() if _HARMLESS.fullmatch(sent) else ""
