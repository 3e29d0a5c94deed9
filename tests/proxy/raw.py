"""HTTP byte by byte."""

import contextlib
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit


@contextlib.contextmanager
def connection(url: str, timeout: float = 30) -> Iterator[socket.socket]:
    """A connection to a server."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=timeout) as opened:
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
