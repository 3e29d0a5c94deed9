"""Which tensor types JSON can carry, and within which limits."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from model_server.tensorflow_runtime import tf


class Kind(Enum):
    """What a JSON value must be for a tensor type."""

    FLOAT = "float"
    INTEGER = "integer"
    BOOL = "bool"
    STRING = "string"
    NONE = "none"


@dataclass(frozen=True)
class TensorType:
    """A tensor type: its name in messages, its numpy type, and the JSON numbers it takes.

    `lowest` and `largest` bound the JSON number. They are wider than the type for 8 and 16 bit integers, which
    TensorFlow Serving carries as int32 and cuts down without a word. `largest_integer` bounds JSON integers for a
    float type, beyond which they would lose digits.
    """

    name: str
    numpy: np.dtype[Any]
    kind: Kind
    lowest: float = 0
    largest: float = 0
    largest_integer: int = 0


_INT32 = (-(2**31), 2**31 - 1)


def _types() -> dict[int, TensorType]:
    single, double = float(np.finfo(np.float32).max), float(np.finfo(np.float64).max)
    types = [
        TensorType("float", np.dtype(np.float32), Kind.FLOAT, -single, single, 2**24 - 1),
        TensorType("double", np.dtype(np.float64), Kind.FLOAT, -double, double, 2**53 - 1),
        TensorType("int8", np.dtype(np.int8), Kind.INTEGER, *_INT32),
        TensorType("uint8", np.dtype(np.uint8), Kind.INTEGER, *_INT32),
        TensorType("int16", np.dtype(np.int16), Kind.INTEGER, *_INT32),
        TensorType("int32", np.dtype(np.int32), Kind.INTEGER, *_INT32),
        TensorType("int64", np.dtype(np.int64), Kind.INTEGER, -(2**63), 2**63 - 1),
        TensorType("uint32", np.dtype(np.uint32), Kind.INTEGER, 0, 2**32 - 1),
        TensorType("uint64", np.dtype(np.uint64), Kind.INTEGER, 0, 2**64 - 1),
        TensorType("bool", np.dtype(np.bool_), Kind.BOOL),
        TensorType("string", np.dtype(np.object_), Kind.STRING),
    ]
    numbers = {"float": tf.float32, "double": tf.float64}
    return {int((numbers.get(t.name) or tf.as_dtype(t.name)).as_datatype_enum): t for t in types}


_TYPES = _types()


def tensor_type(number: int) -> TensorType:
    """The type with TensorFlow's enum `number`; of kind NONE if JSON cannot carry it."""
    known = _TYPES.get(number)
    if known is not None:
        return known
    try:
        name = tf.as_dtype(number).name
    except TypeError:
        name = "invalid"
    return TensorType({"float16": "half"}.get(name, name), np.dtype(np.object_), Kind.NONE)
