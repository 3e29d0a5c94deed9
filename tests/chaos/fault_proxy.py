"""A TCP proxy before a model server, which spoils answers when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from types import TracebackType
from typing import Any

from local.stack import free_port

NAN = b"\0\0\xc0\x7f"


class Fault(StrEnum):
    """What may happen to an answer."""

    DROP = "connection dropped mid-body"
    TRUNCATE = "body cut short"
    NAN = "body full of NaN"


class FaultProxy:
    """Passes HTTP/1.1 on, from a port of its own to another. done: how often each fault was seen by a client."""

    def __init__(self, upstream_port: int) -> None:
        self._upstream_port = upstream_port
        self._listener: asyncio.Server | None = None
        self._armed: list[Fault] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = free_port()
        self.done: dict[Fault, int] = dict.fromkeys(Fault, 0)

    async def __aenter__(self) -> FaultProxy:
        await self.open()
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    async def open(self) -> None:
        """Take connections, always on the same port."""
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=1 << 24)

    def close(self) -> None:
        """Refuse connections and reset those that there are, as the kernel does for a process that was killed."""
        if self._listener is not None:
            self._listener.close()
        for writer in list(self._writers):
            writer.transport.abort()

    def arm(self, fault: Fault) -> None:
        """Do this to the next answer of a network."""
        self._armed.append(fault)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with self._open(writer), contextlib.suppress(OSError, asyncio.IncompleteReadError):
            upstream_reader, upstream_writer = await asyncio.open_connection(
                "127.0.0.1", self._upstream_port, limit=1 << 24
            )
            with self._open(upstream_writer):
                while True:
                    head, body = await _message(reader)
                    upstream_writer.write(head + body)
                    path = head.split(b" ", 2)[1].decode()
                    head, body = await _message(upstream_reader)
                    await self._answer(writer, path, head, body)

    @contextmanager
    def _open(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        self._writers.add(writer)
        try:
            yield
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, path: str, head: bytes, body: bytes) -> None:
        if self._armed and path.endswith(":predict") and head.startswith(b"HTTP/1.1 200"):
            fault = self._armed.pop(0)
            self.done[fault] += 1
            if fault is Fault.DROP:
                writer.write(head + body[: len(body) // 2])
                await writer.drain()
                raise ConnectionAbortedError
            body = body[: len(body) // 2] if fault is Fault.TRUNCATE else with_nan(body, "decoder" in path)
            head = _with_length(head, len(body))
        writer.write(head + body)
        await writer.drain()


def with_nan(body: bytes, is_image: bool) -> bytes:
    """A network's answer, whose numbers are all NaN, which in an image become zeros."""

    def spoil(value: Any) -> Any:
        if isinstance(value, list):
            return [spoil(inner) for inner in value]
        if isinstance(value, dict) and value.keys() != {"b64"}:
            return {name: spoil(inner) for name, inner in value.items()}
        length = len(b64decode(value["b64"]))
        return {"b64": b64encode(bytes(length) if is_image else NAN * (length // len(NAN))).decode()}

    return json.dumps(spoil(json.loads(body))).encode()


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The head and the body of the next request or response."""
    head = await reader.readuntil(b"\r\n\r\n")
    return head, await reader.readexactly(_length(head))


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def _with_length(head: bytes, length: int) -> bytes:
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length:")]
    return b"\r\n".join([*lines[:-2], b"Content-Length: %d" % length, b"", b""])
