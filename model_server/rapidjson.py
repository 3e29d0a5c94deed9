"""A JSON reader that accepts and refuses exactly what RapidJSON does in TensorFlow Serving, with its error offsets.

Written for exactness: `json_text` calls it only when the fast parser cannot give the same answer.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

from model_server.errors import InvalidArgumentError

_BYTE_ORDER_MARK = re.compile(rb"\xef?\xbb?\xbf?")  # any part of it is skipped
_WHITE_SPACE = re.compile(rb"[ \n\r\t]*")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_NUMBER = re.compile(rb"-?(0|[1-9][0-9]*|NaN|Inf(?:inity|(?!i)))(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?")
_EXPONENT_SIGN = re.compile(rb"[eE][+-]?")
_HEX4 = re.compile(rb"[0-9a-fA-F]{4}")
_ESCAPES = dict(zip(b'"\\/bfnrt', '"\\/\b\f\n\r\t', strict=True))
_LITERALS: dict[int, tuple[bytes, Any]] = {
    ord("n"): (b"null", None),
    ord("t"): (b"true", True),
    ord("f"): (b"false", False),
}
_LOWEST_INT64, _LARGEST_UINT64 = -(2**63), 2**64 - 1
_LARGEST_EXPONENT = 308
# Each takes some hundred bytes of memory; a tensor has at most 254 dimensions.
_DEEPEST = 1 << 17


class RepetitiveObject(dict[str, Any]):
    """An object with several members of one name: by name the first, as RapidJSON finds it; `members` has them all."""

    def __init__(self, members: list[tuple[str, Any]]) -> None:
        super().__init__()
        self.members = members
        for name, value in members:
            self.setdefault(name, value)


def members(value: dict[str, Any]) -> Sequence[tuple[str, Any]]:
    """The members of an object, in order, those of the same name included."""
    return value.members if isinstance(value, RepetitiveObject) else list(value.items())


def parse(body: bytes) -> Any:
    """Read one JSON document, far deeper than any that can be meant.

    Bytes that are not UTF-8 pass through as lone surrogates (`surrogateescape`), as RapidJSON does not check them.
    Raises InvalidArgumentError with RapidJSON's text and offset.
    """
    return _Reader(body).document()


def _error(text: str, offset: int) -> InvalidArgumentError:
    return InvalidArgumentError(f"JSON Parse error: {text} at offset: {offset}")


class _Reader:
    def __init__(self, body: bytes) -> None:
        self.body = body
        self.at = 0

    def peek(self) -> int:
        """The next byte; 0 at the end."""
        return self.body[self.at] if self.at < len(self.body) else 0

    def take_if(self, character: bytes) -> bool:
        if self.body.startswith(character, self.at):
            self.at += 1
            return True
        return False

    def skip(self, pattern: re.Pattern[bytes]) -> bytes:
        match = pattern.match(self.body, self.at)
        if match is None:
            return b""
        self.at = match.end()
        return match.group()

    def document(self) -> Any:
        self.skip(_BYTE_ORDER_MARK)
        self.skip(_WHITE_SPACE)
        if self.peek() in b"\x00]}:,":
            raise _error("The document is empty.", self.at)
        value = self.value()
        self.skip(_WHITE_SPACE)
        if self.peek():
            raise _error("The document root must not be followed by other values.", self.at)
        return value

    def value(self) -> Any:
        """One value; with a stack of its own, so that a deep document does not exhaust Python's."""
        stack: list[tuple[list[str] | None, list[Any]]] = []  # the names of an object, None in an array; the values
        while True:
            if len(stack) > _DEEPEST:
                raise _error(f"More than {_DEEPEST} levels.", self.at)
            value: Any
            character = self.peek()
            if character == ord("["):
                if not self.opens_empty(b"]"):
                    stack.append((None, []))
                    continue
                value = []
            elif character == ord("{"):
                if not self.opens_empty(b"}"):
                    stack.append(([self.name()], []))
                    continue
                value = {}
            else:
                value = self.scalar(character)
            while stack:
                names, values = stack[-1]
                values.append(value)
                if self.goes_on(names):
                    break
                stack.pop()
                value = values if names is None else _object(names, values)
            else:
                return value

    def opens_empty(self, end: bytes) -> bool:
        """Step into an array or object; whether it ends at once."""
        self.at += 1
        self.skip(_WHITE_SPACE)
        return self.take_if(end)

    def goes_on(self, names: list[str] | None) -> bool:
        """After a value: whether its array or object has another one, of which an object's name is read."""
        self.skip(_WHITE_SPACE)
        if self.take_if(b","):
            self.skip(_WHITE_SPACE)
            if names is not None:
                names.append(self.name())
            return True
        if not self.take_if(b"]" if names is None else b"}"):
            what = "] after an array element" if names is None else "} after an object member"
            raise _error(f"Missing a comma or '{what[0]}'{what[1:]}.", self.at)
        return False

    def name(self) -> str:
        if self.peek() != ord('"'):
            raise _error("Missing a name for object member.", self.at)
        name = self.string()
        self.skip(_WHITE_SPACE)
        if not self.take_if(b":"):
            raise _error("Missing a colon after a name of object member.", self.at)
        self.skip(_WHITE_SPACE)
        return name

    def scalar(self, character: int) -> Any:
        if character == ord('"'):
            return self.string()
        if character in _LITERALS:
            word, value = _LITERALS[character]
            self.expect(word)
            return value
        return self.number()

    def expect(self, word: bytes) -> None:
        for character in word:
            if self.peek() != character:
                raise _error("Invalid value.", self.at)
            self.at += 1

    def string(self) -> str:
        self.at += 1
        parts: list[bytes] = []
        while True:
            parts.append(self.skip(_PLAIN))
            character = self.peek()
            if character == ord('"'):
                self.at += 1
                return b"".join(parts).decode("utf-8", "surrogateescape")
            if character == 0:
                raise _error("Missing a closing quotation mark in string.", self.at)
            if character != ord("\\"):
                raise _error("Invalid escape character in string.", self.at)
            # A low surrogate without a high one is not refused: it becomes three bytes that are not UTF-8.
            parts.append(self.escape().encode("utf-8", "surrogatepass"))

    def escape(self) -> str:
        start = self.at
        self.at += 1
        character = self.peek()
        self.at += 1
        if character in _ESCAPES:
            return _ESCAPES[character]
        if character != ord("u"):
            raise _error("Invalid escape character in string.", start)
        high = self.hex4(start)
        if not 0xD800 <= high <= 0xDBFF:
            return chr(high)
        if not (self.take_if(b"\\") and self.take_if(b"u")):
            raise _error("The surrogate pair in string is invalid.", start)
        low = self.hex4(start)
        if not 0xDC00 <= low <= 0xDFFF:
            raise _error("The surrogate pair in string is invalid.", start)
        return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))

    def hex4(self, start: int) -> int:
        digits = self.skip(_HEX4)
        if not digits:
            raise _error("Incorrect hex digit after \\u escape in string.", start)
        return int(digits, 16)

    def number(self) -> int | float:
        start = self.at
        match = _NUMBER.match(self.body, start)
        if match is None:
            raise self.no_number()
        self.at = match.end()
        text = match.group()
        whole, fraction, exponent = match.groups()
        if exponent is None:
            if fraction is None and self.take_if(b"."):
                raise _error("Miss fraction part in number.", self.at)
            if self.skip(_EXPONENT_SIGN):
                raise _error("Miss exponent in number.", self.at)
        is_token = whole[0] in b"NI"
        if fraction is None and exponent is None:
            if is_token:
                return float(text)
            if len(whole) <= 20 and _LOWEST_INT64 <= int(text) <= _LARGEST_UINT64:
                return int(text)
        if is_token:  # a token with a fraction or exponent counts as zero
            whole, text = b"0", text.replace(whole, b"0")
        # What RapidJSON finds too big is told by the parts: 10e308, which is, passes as an infinity.
        power = int((exponent or b"").lstrip(b"+0")[:9] or b"0")
        if math.isinf(float(whole)) or power > _LARGEST_EXPONENT + len(fraction or b""):
            raise _error("Number too big to be stored in double.", start)
        return float(text)

    def no_number(self) -> InvalidArgumentError:
        """Step to the byte that makes this no value at all."""
        self.take_if(b"-")
        for word in (b"NaN", b"Infinity"):
            if self.peek() == word[0]:
                self.expect(word)
        return _error("Invalid value.", self.at)


def _object(names: list[str], values: list[Any]) -> dict[str, Any]:
    pairs = list(zip(names, values, strict=True))
    plain = dict(pairs)
    return plain if len(plain) == len(pairs) else RepetitiveObject(pairs)
