"""Request bodies to Python values: the fast parser where it agrees with RapidJSON, the exact one elsewhere."""

from typing import Any

import orjson

from model_server import rapidjson
from model_server.errors import InvalidArgumentError
from model_server.quoting import quote_value

_KEYS = (b'"signature_name"', b'"instances"', b'"inputs"')


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
    # RapidJSON finds the first of two members with one name, the fast parser keeps the last.
    if any(body.count(key) > 1 for key in _KEYS):
        return rapidjson.parse(body)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return rapidjson.parse(body)
