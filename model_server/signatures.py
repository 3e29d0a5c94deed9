"""A signature of a SavedModel: names, types and graph tensors of what goes in and comes out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from model_server.errors import InternalError, InvalidArgumentError
from model_server.tensor_types import TensorType, tensor_type

DEFAULT_SIGNATURE = "serving_default"
_METHODS = ("tensorflow/serving/predict", "tensorflow/serving/classify", "tensorflow/serving/regress")


@dataclass(frozen=True)
class Signature:
    """One signature; inputs and outputs in the order of their names, each with its tensor's name in the graph."""

    name: str
    method: str
    input_types: Mapping[str, TensorType]
    output_types: Mapping[str, TensorType]
    input_tensors: Mapping[str, str]
    output_tensors: Mapping[str, str]

    @classmethod
    def from_proto(cls, name: str, proto: Any) -> "Signature":
        """Read a `tensorflow.SignatureDef`."""
        inputs = dict(sorted(proto.inputs.items()))
        outputs = dict(sorted(proto.outputs.items()))
        return cls(
            name=name,
            method=proto.method_name,
            input_types={alias: tensor_type(info.dtype) for alias, info in inputs.items()},
            output_types={alias: tensor_type(info.dtype) for alias, info in outputs.items()},
            input_tensors={alias: info.name for alias, info in inputs.items()},
            output_tensors={alias: info.name for alias, info in outputs.items()},
        )

    def check_predictable(self, given: set[str]) -> None:
        """Raise InternalError for a signature not made for predictions, InvalidArgumentError for the wrong inputs."""
        if self.method not in _METHODS:
            raise InternalError(
                f"Expected prediction signature method_name to be one of {{{', '.join(_METHODS)}}}. Was: {self.method}"
            )
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


def _join(names: set[str]) -> str:
    return ",".join(sorted(names))
