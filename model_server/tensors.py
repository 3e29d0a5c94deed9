"""JSON values to numpy arrays, many numbers at a time."""

from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_server import base64_text
from model_server.tensor_types import Kind, TensorType

# numpy's limit. TensorFlow's is 254.
_MOST_DIMENSIONS = 64
# TensorFlow reads strings by an older way of numpy's, which has fewer, and ends the process beyond.
_MOST_DIMENSIONS_OF_STRINGS = 32
_LEAVES: dict[Kind, set[type]] = {
    Kind.FLOAT: {int, float},
    Kind.INTEGER: {int},
    Kind.BOOL: {bool},
    Kind.NONE: set(),
}


class NotDenseError(Exception):
    """The value is no dense tensor of the wanted type, or has more dimensions than a tensor can have."""


def array_from_json(value: Any, wanted: TensorType) -> NDArray[Any]:
    """The array that a JSON value spells, its shape that of the nested lists.

    Raises NotDenseError where TensorFlow Serving would refuse the value, and InvalidArgumentError for bad base64.
    """
    shape, leaves = _flatten(value)
    flat = _array(leaves, wanted)
    if len(shape) > (_MOST_DIMENSIONS_OF_STRINGS if wanted.kind is Kind.STRING else _MOST_DIMENSIONS):
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


def _array(leaves: list[Any], wanted: TensorType) -> NDArray[Any]:
    if wanted.kind is Kind.STRING:
        strings = np.empty(len(leaves), dtype=object)
        strings[:] = [_string(leaf) for leaf in leaves]
        return strings
    if not set(map(type, leaves)) <= _LEAVES[wanted.kind]:
        raise NotDenseError
    if wanted.kind is Kind.INTEGER:
        return _integers(leaves, wanted)
    with np.errstate(over="ignore"):  # 1e39 becomes an infinity in float32
        return np.array(leaves, dtype=np.float64).astype(wanted.numpy)


def _string(leaf: Any) -> bytes:
    if isinstance(leaf, str):
        return leaf.encode("utf-8", "surrogateescape")
    if base64_text.is_object(leaf):
        return base64_text.decode(leaf["b64"])
    raise NotDenseError


def _integers(leaves: list[int], wanted: TensorType) -> NDArray[Any]:
    if leaves and not (wanted.lowest <= min(leaves) and max(leaves) <= wanted.largest):
        raise NotDenseError
    # By way of 64 bits, so that 300 becomes 44 in an int8 instead of an error.
    wide = np.uint64 if wanted.name == "uint64" else np.int64
    return np.array(leaves, dtype=wide).astype(wanted.numpy)
