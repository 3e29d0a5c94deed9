"""JSON values to numpy arrays, many numbers at a time."""

from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_server import base64_text
from model_server.tensor_types import Kind, TensorType

_NUMBERS = {int, float}


class NotDenseError(Exception):
    """The value is no dense tensor of the wanted type."""


def array_from_json(value: Any, wanted: TensorType) -> NDArray[Any]:
    """The array that a JSON value spells, its shape that of the nested lists.

    Raises NotDenseError where TensorFlow Serving would refuse the value, and InvalidArgumentError for bad base64.
    """
    shape, leaves = _flatten(value)
    if wanted.kind is Kind.STRING:
        flat = np.empty(len(leaves), dtype=object)
        flat[:] = [_string(leaf) for leaf in leaves]
    elif wanted.kind is Kind.BOOL:
        flat = _bools(leaves)
    elif wanted.kind is Kind.INTEGER:
        flat = _integers(leaves, wanted)
    elif wanted.kind is Kind.FLOAT:
        flat = _floats(leaves, wanted)
    else:
        raise NotDenseError
    return flat.reshape(shape)


def _flatten(value: Any) -> tuple[list[int], list[Any]]:
    """The shape, which the first element of each level sets, and all elements in order."""
    shape: list[int] = []
    level: list[Any] = [value]
    first = value
    while isinstance(first, list):
        size = len(first)
        if set(map(type, level)) != {list} or set(map(len, level)) != {size}:
            raise NotDenseError
        shape.append(size)
        level = list(chain.from_iterable(level))
        if not size:
            break
        first = first[0]
    return shape, level


def _string(leaf: Any) -> bytes:
    if isinstance(leaf, str):
        return leaf.encode("utf-8", "surrogateescape")
    if isinstance(leaf, dict) and len(leaf) == 1 and isinstance(leaf.get("b64"), str):
        return base64_text.decode(leaf["b64"])
    raise NotDenseError


def _bools(leaves: list[Any]) -> NDArray[Any]:
    if not set(map(type, leaves)) <= {bool}:
        raise NotDenseError
    return np.array(leaves, dtype=np.bool_)


def _integers(leaves: list[Any], wanted: TensorType) -> NDArray[Any]:
    if not set(map(type, leaves)) <= {int}:
        raise NotDenseError
    if leaves and not (wanted.lowest <= min(leaves) and max(leaves) <= wanted.largest):
        raise NotDenseError
    # By way of int64, so that 300 becomes 44 in an int8 instead of an error.
    wide = np.uint64 if wanted.name == "uint64" else np.int64
    return np.array(leaves, dtype=wide).astype(wanted.numpy)


def _floats(leaves: list[Any], wanted: TensorType) -> NDArray[Any]:
    types = set(map(type, leaves))
    if not types <= _NUMBERS:
        raise NotDenseError
    numbers = np.array(leaves, dtype=np.float64)
    magnitudes = np.abs(numbers[np.isfinite(numbers)])
    if magnitudes.size and magnitudes.max() > wanted.largest:
        raise NotDenseError
    if int in types and any(type(leaf) is int and abs(leaf) > wanted.largest_integer for leaf in leaves):
        raise NotDenseError
    return numbers.astype(wanted.numpy)
