"""A signature of a SavedModel: names, types and graph tensors of what goes in and comes out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from model_server.errors import InvalidArgumentError
from model_server.tensor_types import TensorType, tensor_type

DEFAULT_SIGNATURE = "serving_default"
Shape = tuple[int, ...]
"""A size a dimension, -1 where any will do; empty where their number is open."""

_FEWEST_CHECKED_DIMENSIONS = 3


@dataclass(frozen=True)
class Signature:
    """One signature; inputs and outputs in the order of their names, each with its tensor's name in the graph."""

    name: str
    input_types: Mapping[str, TensorType]
    output_types: Mapping[str, TensorType]
    input_tensors: Mapping[str, str]
    output_tensors: Mapping[str, str]
    input_shapes: Mapping[str, Shape] = field(default_factory=dict)

    @classmethod
    def from_proto(cls, name: str, proto: Any) -> "Signature":
        """Read a `tensorflow.SignatureDef`."""
        inputs = dict(sorted(proto.inputs.items()))
        outputs = dict(sorted(proto.outputs.items()))
        return cls(
            name=name,
            input_types={alias: tensor_type(info.dtype) for alias, info in inputs.items()},
            output_types={alias: tensor_type(info.dtype) for alias, info in outputs.items()},
            input_tensors={alias: info.name for alias, info in inputs.items()},
            output_tensors={alias: info.name for alias, info in outputs.items()},
            input_shapes={alias: _shape(info.tensor_shape) for alias, info in inputs.items()},
        )

    def check_shapes(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        """Raise InvalidArgumentError for a tensor that kernels of convolutions would end the process over.

        TensorFlow Serving checks nothing here and leaves it to the kernels, most of which refuse what does not fit. So
        tensors of one or two dimensions may come with any here as well.
        """
        for alias, shape in self.input_shapes.items():
            given = inputs[alias].shape
            fits = len(given) == len(shape) and all(size in (-1, n) for size, n in zip(shape, given, strict=True))
            if len(shape) >= _FEWEST_CHECKED_DIMENSIONS and not fits:
                raise InvalidArgumentError(
                    f"input tensor {alias} has the shape {_brackets(given)}, allowed is {_brackets(shape)}"
                )

    def check_predictable(self, given: set[str]) -> None:
        """Raise InvalidArgumentError for the wrong inputs."""
        wanted = set(self.input_tensors)
        if len(given) != len(wanted):
            raise InvalidArgumentError(
                f"input size does not match signature: {len(given)}!={len(wanted)} "
                f"len({{{_join(given)}}}) != len({{{_join(wanted)}}}). "
                f"Sent extra: {{{_join(given - wanted)}}}. Missing but required: {{{_join(wanted - given)}}}."
            )
        if given != wanted:
            raise InvalidArgumentError(
                f"input tensor alias not found in signature: {min(given - wanted)}. "
                f"Inputs expected to be in the set {{{_join(wanted)}}}."
            )


def _shape(proto: Any) -> Shape:
    return () if proto.unknown_rank else tuple(dim.size for dim in proto.dim)


def _brackets(shape: Sequence[int]) -> str:
    return f"[{','.join('?' if size < 0 else str(size) for size in shape)}]"


def check_classifies(proto: Any) -> None:
    """Raise InvalidArgumentError for a signature that cannot answer `:classify`, whatever its method name."""
    _check_one_input(proto)
    if len(proto.outputs) not in (1, 2):
        raise InvalidArgumentError(f"Expected one or two output Tensors, found {len(proto.outputs)}")
    if "inputs" not in proto.inputs:
        raise InvalidArgumentError(f"No classification inputs found in SignatureDef: {proto}")
    if not {"classes", "scores"} & set(proto.outputs):
        raise InvalidArgumentError(
            'Expected classification signature outputs to contain at least one of "classes" or "scores". '
            f"Signature was: {proto}"
        )


def check_regresses(proto: Any) -> None:
    """Raise InvalidArgumentError for a signature that cannot answer `:regress`, whatever its method name."""
    _check_one_input(proto)
    if len(proto.outputs) != 1:
        raise InvalidArgumentError("Expected one output Tensor.")
    for what in ("inputs", "outputs"):
        if what not in getattr(proto, what):
            raise InvalidArgumentError(f"No regression {what} found in SignatureDef: {proto}")


def _check_one_input(proto: Any) -> None:
    if len(proto.inputs) != 1:
        raise InvalidArgumentError("Expected one input Tensor.")


def _join(names: set[str]) -> str:
    return ",".join(sorted(names))
