"""HTTP byte by byte."""

import contextlib
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx


@contextlib.contextmanager
def connection(url: str, timeout: float = 120) -> Iterator[socket.socket]:
    """A connection to a server."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=timeout) as opened:
        yield opened


@contextlib.contextmanager
def asking(url: str, method: str, path: str, **asked: Any) -> Iterator[socket.socket]:
    """The connection on which a request was sent, as httpx would; leaving the block hangs up."""
    request = httpx.Request(method, url + path, **asked)
    lines = [b"%s %s HTTP/1.1" % (method.encode(), request.url.raw_path)]
    lines += [name + b": " + value for name, value in request.headers.raw]
    with connection(url) as opened:
        opened.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + request.read())
        yield opened


def rest(opened: socket.socket) -> bytes:
    """All that comes until the other side closes the connection."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while part := opened.recv(1 << 16):
            received += part
    return received


def exchange(url: str, request: bytes) -> tuple[list[bytes], bytes]:
    """The head's lines and the body of the answer to a request, after which the connection is closed."""
    with connection(url) as opened:
        opened.sendall(request)
        head, _, body = rest(opened).partition(b"\r\n\r\n")
    return head.split(b"\r\n"), body


def get(url: str, target: bytes, *headers: bytes) -> tuple[list[bytes], bytes]:
    """The same for GET."""
    lines = [b"GET " + target + b" HTTP/1.1", b"Host: easel", b"Connection: close", *headers]
    return exchange(url, b"\r\n".join(lines) + b"\r\n\r\n")
