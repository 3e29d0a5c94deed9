"""JSON documents that begin as good ones."""

import gzip
import json
from base64 import b64encode
from collections.abc import Callable
from random import Random
from typing import Any

_MOST_DEPTH = 3000
_SCALARS: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    2**31,
    -(2**31) - 1,
    2**63,
    2**64,
    -(2**63) - 1,
    10**40,
    1e38,
    1e39,
    1e308,
    -0.0,
    5e-324,
    float("nan"),
    float("inf"),
    "",
    "text",
    "\0",
    "é心😀",
    "\ud800",
    [],
    {},
    [[]],
    [[], 1],
    [{}],
    {"b64": ""},
    {"b64": "AAAA"},
    {"b64": "A"},
    {"b64": "é==="},
    {"b64": 7},
    {"b64": "AAAA", "more": 1},
    {"": ""},
)
_TOKENS = (
    b"NaN",
    b"Infinity",
    b"-Inf",
    b"1e999",
    b"-1e-999",
    b"00",
    b"1.",
    b".5",
    b"+1",
    b"0x10",
    b"'a'",
    b"tru",
    b"//",
)
_NUMBERS = (b"9" * 400, b"-" + b"9" * 400, b"1e" + b"9" * 30, b"0." + b"1" * 2000, b"1" + b"0" * 2000 + b"e-2000")


def body(chance: Random, document: Any) -> bytes:
    """The document with something wrong in it, mostly."""
    for _ in range(chance.choice([0, 1, 1, 1, 2, 4])):
        document = _changed(chance, document)
    text = json.dumps(document, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    return chance.choice(_TEXT_CHANGES)(chance, text) if chance.random() < 0.5 else text


def noise(chance: Random, longest: int = 40) -> bytes:
    """Random bytes."""
    return chance.randbytes(chance.randrange(longest))


def cut(chance: Random, data: bytes) -> bytes:
    """The beginning of it."""
    return data[: chance.randrange(len(data) + 1)]


def flipped(chance: Random, data: bytes) -> bytes:
    """Some bytes of it changed, gone or new."""
    changed = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 8])):
        position = chance.randrange(len(changed) + 1)
        changed[position : position + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
    return bytes(changed)


def _changed(chance: Random, value: Any) -> Any:
    """The same with a random value in it replaced, moved or multiplied."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        name = chance.choice(list(value))
        rest = {key: each for key, each in value.items() if key != name}
        kind = chance.random()
        if kind < 0.08:
            return rest
        return {**rest, chance.choice([name.upper(), "", "x"]) if kind < 0.16 else name: _changed(chance, value[name])}
    if isinstance(value, list) and value and chance.random() < 0.6:
        position = chance.randrange(len(value))
        kind = chance.random()
        if kind < 0.15:
            return value[:position]
        if kind < 0.3:
            return value * chance.choice([2, 3, 70])
        return [*value[:position], _changed(chance, value[position]), *value[position + 1 :]]
    kind = chance.random()
    if kind < 0.15:
        return [value]
    if kind < 0.3:
        return _nested(value, chance.choice([2, 64, 65, 255]))
    if kind < 0.4:
        return {"b64": b64encode(chance.randbytes(chance.choice([0, 1, 3, 4, 4096]))).decode()}
    return chance.choice(_SCALARS)


def _nested(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = [value]
    return value


def _token(chance: Random, text: bytes) -> bytes:
    position = chance.randrange(len(text) + 1)
    return text[:position] + chance.choice(_TOKENS + _NUMBERS) + text[position:]


def _deep(chance: Random, text: bytes) -> bytes:
    start, end = chance.choice([(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]"), (b'{"b":1,"b":2,"a":', b"}")])
    depth = chance.randrange(_MOST_DEPTH)
    return b'{"inputs":' + start * depth + text + (end * depth if chance.random() < 0.7 else b"") + b"}"


def _twice(chance: Random, text: bytes) -> bytes:
    return text[:-1] + b"," + text[1:]


def _zipped(chance: Random, text: bytes) -> bytes:
    packed = gzip.compress(text + b" " * chance.choice([0, 0, 1_000_000]), 1)
    return chance.choice([lambda: packed, lambda: cut(chance, packed), lambda: flipped(chance, packed)])()


_TEXT_CHANGES: tuple[Callable[[Random, bytes], bytes], ...] = (
    cut,
    flipped,
    _token,
    _deep,
    _twice,
    _zipped,
    lambda chance, text: text + noise(chance),
    lambda chance, _: noise(chance, 2000),
)
