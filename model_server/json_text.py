"""Request bodies to Python values: the fast parser where it agrees with RapidJSON, the exact one elsewhere."""

import re
from typing import Any

import orjson

from model_server import rapidjson
from model_server.errors import InvalidArgumentError
from model_server.quoting import quote_value

# The exact reader takes a second or more for a megabyte.
_LARGEST_EXACT_BYTES = 16 * 1024 * 1024
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"([ \n\r\t]*:)?')


def parse_object(body: bytes) -> dict[str, Any]:
    """Read a request body, which must be one JSON object.

    Bare NaN, Inf and Infinity are numbers. Raises InvalidArgumentError with TensorFlow Serving's text and offset.
    """
    if not body:
        raise InvalidArgumentError("JSON Parse error: The document is empty")
    value = _parse(body)
    if not isinstance(value, dict):
        raise InvalidArgumentError(f"JSON Value: {quote_value(value)} Is not object")
    return value


def _parse(body: bytes) -> Any:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _parse_exactly(body)
    # The fast parser drops members whose name comes again. Without a colon in a string, no name has to be looked at.
    kept = _count_members(value)
    return value if kept == body.count(b":") or kept == _count_names(body) else _parse_exactly(body)


def _parse_exactly(body: bytes) -> Any:
    if len(body) > _LARGEST_EXACT_BYTES:
        raise InvalidArgumentError(
            f"JSON Parse error: a body of {len(body)} bytes that is no plain JSON, or names one thing twice; "
            f"allowed are {_LARGEST_EXACT_BYTES}"
        )
    return rapidjson.parse(body)


def _count_members(value: Any) -> int:
    """How many members all objects in `value` have, or fewer: lists whose first value is no object are not searched."""
    count, rest = 0, [value]  # a stack of its own: a document may be deeper than Python's
    while rest:
        value = rest.pop()
        if isinstance(value, dict):
            count += len(value)
            rest += value.values()
        elif isinstance(value, list) and _begins_with_object(value):
            rest += value
    return count


def _begins_with_object(value: Any) -> bool:
    while isinstance(value, list) and value:
        value = value[0]
    return isinstance(value, dict)


def _count_names(body: bytes) -> int:
    return sum(match.group(1) is not None for match in _STRING.finditer(body))
