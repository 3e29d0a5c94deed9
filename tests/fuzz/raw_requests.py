"""HTTP requests that begin as good ones."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple

from tests.fuzz import json_noise
from tests.fuzz.json_noise import cut, flipped, noise

_METHODS = (
    b"GET",
    b"PUT",
    b"DELETE",
    b"HEAD",
    b"OPTIONS",
    b"PATCH",
    b"CONNECT",
    b"TRACE",
    b"post",
    b"BREW",
    b"P\xd6ST",
    b"",
)
_TARGETS = (
    b"/",
    b"*",
    b"/v1/models",
    b"/v1/models/linear/versions/9999999999999999999999",
    b"/v1/models/linear/versions/1/metadata",
    b"/v1/models/linear/labels/%00%ff",
    b"/v1/models/%2e%2e%2f%2e%2e%2fetc:predict",
    b"http://elsewhere/v1/models/linear:predict?a=b#c",
    b"//v1//models//linear:predict",
    b"/v1/models/linear:classify",
    b"/v1/models/linear:regress",
    b"/v1/models/linear:predict%",
    b"/v1/models/" + b"a" * 9000,
    b"/v1/models/" + b"%41" * 30000,
    b"/monitoring/prometheus/metrics",
    b"/v1/models/\xff\xfe:predict",
)
_LINES = (
    b"Expect: 100-continue",
    b"Expect: nothing",
    b"Upgrade: websocket\r\nConnection: upgrade",
    b"Connection: close",
    b"Connection: keep-alive, \x00",
    b"Content-Encoding: gzip",
    b"Content-Encoding: br",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: identity",
    b"Content-Type: " + b"x" * 5000,
    b"Host: e\r\nHost: f",
    b"X: " + b"y" * 70_000,
    b"Cookie: a\r\n folded",
    b"No colon",
    b": no name",
    b"X\x00Y: z",
    b"X: \xff\xfe",
    b"\r\n".join(b"X-%d: y" % number for number in range(500)),
    b"Content-Length: 5",
)
_LENGTHS = (
    b"-1",
    b"0",
    b"1e3",
    b"99999999999999999999",
    b"5, 5",
    b"5, 6",
    b"+5",
    b"0x5",
    b"",
    b"\xb2",
    b" 7 ",
    b"4294967296",
)


class Aim(NamedTuple):
    """A request that would be answered with 200."""

    path: str
    document: Any


def raw_request(chance: Random, aims: Sequence[Aim]) -> bytes:
    """A request, or two after another, with something wrong in it; one in fifty is good."""
    aim = chance.choice(aims)
    kind = chance.random()
    content = json_noise.body(chance, aim.document)
    if kind < 0.6:
        return _framed(b"POST " + aim.path.encode(), [_length(content)], content, chance.random() < 0.3)
    if kind < 0.95:
        return chance.choice(_CHANGES)(chance, aim, content)
    return raw_request(chance, aims) + raw_request(chance, aims)


def _length(content: bytes) -> bytes:
    return b"Content-Length: %d" % len(content)


def _framed(first: bytes, lines: Sequence[bytes], content: bytes, is_gzip: bool = False) -> bytes:
    zipped = [b"Content-Encoding: gzip"] if is_gzip or content.startswith(b"\x1f\x8b") else []
    return b"\r\n".join([first + b" HTTP/1.1", b"Host: e", *zipped, *lines, b"", b""]) + content


def _other_target(chance: Random, aim: Aim, content: bytes) -> bytes:
    method = chance.choice(_METHODS) if chance.random() < 0.5 else b"POST"
    target = chance.choice(_TARGETS) if chance.random() < 0.6 else flipped(chance, aim.path.encode())
    return _framed(method + b" " + target, [_length(content)], content)


def _other_headers(chance: Random, aim: Aim, content: bytes) -> bytes:
    lines = [chance.choice(_LINES) for _ in range(chance.randrange(1, 4))]
    return _framed(b"POST " + aim.path.encode(), [_length(content), *lines], content)


def _wrong_length(chance: Random, aim: Aim, content: bytes) -> bytes:
    length = chance.choice([*_LENGTHS, b"%d" % (len(content) + 7), b"%d" % max(0, len(content) - 7)])
    return _framed(b"POST " + aim.path.encode(), [b"Content-Length: " + length], content)


def _chunked(chance: Random, aim: Aim, content: bytes) -> bytes:
    chunks = b""
    while content:
        size = chance.randrange(1, 200)
        said = chance.choice(
            [b"%x"] * 20 + [b"-%x", b"%x;a=b", b"%xg", b"0%x", b"%x\x00", b"f%x", b"fffffffffffffffff%x"]
        )
        end = b"\r\n" if chance.random() < 0.98 else chance.choice([b"\n", b"", b"xx"])
        chunks += said % len(content[:size]) + b"\r\n" + content[:size] + end
        content = content[size:]
    chunks += chance.choice([b"0\r\n\r\n", b"0\r\nTrailer: x\r\n\r\n", b"0\r\n", b""])
    return _framed(b"POST " + aim.path.encode(), [b"Transfer-Encoding: chunked"], chunks)


def _cut(chance: Random, aim: Aim, content: bytes) -> bytes:
    return cut(chance, _framed(b"POST " + aim.path.encode(), [_length(content)], content))


def _flipped(chance: Random, aim: Aim, content: bytes) -> bytes:
    return flipped(chance, _framed(b"POST " + aim.path.encode(), [_length(content)], content))


def _noise(chance: Random, aim: Aim, content: bytes) -> bytes:
    return noise(chance, 2000) + chance.choice([b"", b"\r\n\r\n"])


def _other_version(chance: Random, aim: Aim, content: bytes) -> bytes:
    version = chance.choice([b"HTTP/1.0", b"HTTP/2", b"HTTP/0.9", b"HTTP/9.9", b"http/1.1", b"", b"PRI * HTTP/2.0"])
    return _framed(b"POST " + aim.path.encode(), [_length(content)], content).replace(b"HTTP/1.1", version, 1)


_CHANGES: tuple[Callable[[Random, Aim, bytes], bytes], ...] = (
    _other_target,
    _other_headers,
    _wrong_length,
    _chunked,
    _cut,
    _flipped,
    _noise,
    _other_version,
)
