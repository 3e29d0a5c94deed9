"""A JSON reader that accepts and refuses exactly what RapidJSON does in TensorFlow Serving, with its error offsets.

Written for exactness: `json_text` calls it only when the fast parser cannot give the same answer.
"""

import math
import re
from typing import Any

from model_server.errors import InvalidArgumentError

_WHITE_SPACE = re.compile(rb"[ \n\r\t]*")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_DIGITS = re.compile(rb"[0-9]*")
_HEX4 = re.compile(rb"[0-9a-fA-F]{4}")
_ESCAPES = {
    ord('"'): '"',
    ord("\\"): "\\",
    ord("/"): "/",
    ord("b"): "\b",
    ord("f"): "\f",
    ord("n"): "\n",
    ord("r"): "\r",
    ord("t"): "\t",
}
_LITERALS: dict[int, tuple[bytes, Any]] = {
    ord("n"): (b"null", None),
    ord("t"): (b"true", True),
    ord("f"): (b"false", False),
}
_LOWEST_INT64, _LARGEST_UINT64 = -(2**63), 2**64 - 1


def parse(body: bytes) -> Any:
    """Read one JSON document; of members with the same name the first is kept.

    Bytes that are not UTF-8 pass through as lone surrogates (`surrogateescape`), as RapidJSON does not check them.
    Raises InvalidArgumentError with RapidJSON's text and offset.
    """
    try:
        return _Reader(body).document()
    except RecursionError:
        raise InvalidArgumentError("JSON Parse error: Nested too deeply.") from None


def _error(text: str, offset: int) -> InvalidArgumentError:
    return InvalidArgumentError(f"JSON Parse error: {text} at offset: {offset}")


class _Reader:
    def __init__(self, body: bytes) -> None:
        self.body = body
        self.at = 3 if body.startswith(b"\xef\xbb\xbf") else 0

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
        self.skip(_WHITE_SPACE)
        if not self.peek():
            raise _error("The document is empty.", self.at)
        value = self.value()
        self.skip(_WHITE_SPACE)
        if self.peek():
            raise _error("The document root must not be followed by other values.", self.at)
        return value

    def value(self) -> Any:
        character = self.peek()
        if character == ord('"'):
            return self.string()
        if character == ord("{"):
            return self.object()
        if character == ord("["):
            return self.array()
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

    def array(self) -> list[Any]:
        self.at += 1
        self.skip(_WHITE_SPACE)
        values: list[Any] = []
        if self.take_if(b"]"):
            return values
        while True:
            values.append(self.value())
            self.skip(_WHITE_SPACE)
            if self.take_if(b"]"):
                return values
            if not self.take_if(b","):
                raise _error("Missing a comma or ] after an array element.", self.at)
            self.skip(_WHITE_SPACE)

    def object(self) -> dict[str, Any]:
        self.at += 1
        self.skip(_WHITE_SPACE)
        members: dict[str, Any] = {}
        if self.take_if(b"}"):
            return members
        while True:
            if self.peek() != ord('"'):
                raise _error("Missing a name for object member.", self.at)
            name = self.string()
            self.skip(_WHITE_SPACE)
            if not self.take_if(b":"):
                raise _error("Missing a colon after a name of object member.", self.at)
            self.skip(_WHITE_SPACE)
            members.setdefault(name, self.value())
            self.skip(_WHITE_SPACE)
            if self.take_if(b"}"):
                return members
            if not self.take_if(b","):
                raise _error("Missing a comma or } after an object member.", self.at)
            self.skip(_WHITE_SPACE)

    def string(self) -> str:
        self.at += 1
        parts: list[str] = []
        while True:
            parts.append(self.skip(_PLAIN).decode("utf-8", "surrogateescape"))
            character = self.peek()
            if character == ord('"'):
                self.at += 1
                return "".join(parts)
            if character == 0:
                raise _error("Missing a closing quotation mark in string.", self.at)
            if character != ord("\\"):
                raise _error("Invalid encoding in string.", self.at)
            parts.append(self.escape())

    def escape(self) -> str:
        start = self.at
        self.at += 2
        character = self.body[start + 1] if start + 1 < len(self.body) else 0
        if character in _ESCAPES:
            return _ESCAPES[character]
        if character != ord("u"):
            raise _error("Invalid escape character in string.", start)
        high = self.hex4(start)
        if not 0xD800 <= high <= 0xDFFF:
            return chr(high)
        if high > 0xDBFF or not (self.take_if(b"\\") and self.take_if(b"u")):
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
        negative = self.take_if(b"-")
        if self.peek() in b"IN":
            return self.not_finite(negative)
        if not self.take_if(b"0") and not self.skip(_DIGITS):
            raise _error("Invalid value.", self.at)
        is_integer = True
        if self.take_if(b"."):
            is_integer = False
            if not self.skip(_DIGITS):
                raise _error("Miss fraction part in number.", self.at)
        if self.take_if(b"e") or self.take_if(b"E"):
            is_integer = False
            if not self.take_if(b"+"):
                self.take_if(b"-")
            if not self.skip(_DIGITS):
                raise _error("Miss exponent in number.", self.at)
        text = self.body[start : self.at]
        if is_integer and len(text) <= 20:
            integer = int(text)
            if _LOWEST_INT64 <= integer <= _LARGEST_UINT64:
                return integer
        number = float(text)
        if math.isinf(number):
            raise _error("Number too big to be stored in double.", start)
        return number

    def not_finite(self, negative: bool) -> float:
        if self.take_if(b"N"):
            self.expect(b"aN")
            return math.nan
        self.expect(b"Inf")
        if self.peek() == ord("i"):
            self.expect(b"inity")
        return -math.inf if negative else math.inf
