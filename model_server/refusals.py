"""Why a JSON value is no tensor, in TensorFlow Serving's words: walks the value one element at a time.

Only called once `tensors` has failed, so it may be slow; it finds the same first fault that TensorFlow Serving does.
"""

from typing import Any

from model_server import base64_text
from model_server.errors import InternalError, InvalidArgumentError, ServingError, UnimplementedError
from model_server.quoting import quote_value, type_name
from model_server.tensor_types import Kind, TensorType


def is_base64_object(value: Any) -> bool:
    """Whether a value is `{"b64": "..."}`, which stands for a string."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def is_named_object(value: Any) -> bool:
    """Whether an instance names its inputs."""
    return isinstance(value, dict) and not is_base64_object(value)


def shape_of(value: Any) -> list[int]:
    """The shape that the first element of each level sets."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return shape


def refusal(value: Any, wanted: TensorType) -> ServingError:
    """The error for a columnar input."""
    try:
        _walk(value, 0, shape_of(value), wanted)
    except ServingError as error:
        return error
    return InternalError("The request was refused, but no fault was found in it")


def instances_refusal(instances: list[Any], types: dict[str, TensorType]) -> ServingError:
    """The error for a list of instances, of which the first decides whether all name their inputs."""
    try:
        _walk_instances(instances, types)
    except ServingError as error:
        return error
    return InternalError("The request was refused, but no fault was found in it")


def _walk_instances(instances: list[Any], types: dict[str, TensorType]) -> None:
    named = is_named_object(instances[0])
    first_of: dict[str, tuple[int, list[int]]] = {}
    for position, instance in enumerate(instances):
        where = f"Failed to process element: {position}"
        if not named:
            if is_named_object(instance):
                raise InvalidArgumentError(f"Expecting value/list but got object at item {position} of input list")
            try:
                _walk_instance(instance, min(types), types, first_of)
            except ServingError as error:
                raise InvalidArgumentError(f"{where} of 'instances' list. Error: {error.described}") from error
            continue
        if not is_named_object(instance):
            raise InvalidArgumentError(f"Expecting object but got list at item {position} of input list")
        for name, value in instance.items():
            try:
                _walk_instance(value, name, types, first_of)
            except ServingError as error:
                raise InvalidArgumentError(
                    f"{where} key: {name} of 'instances' list. Error: {error.described}"
                ) from error
        if instance.keys() != types.keys():
            raise InvalidArgumentError(
                f"{where} of 'instances' list. JSON object: {quote_value(instance)} "
                f"keys must be equal to: {','.join(sorted(types))}"
            )


def _walk_instance(
    value: Any, name: str, types: dict[str, TensorType], first_of: dict[str, tuple[int, list[int]]]
) -> None:
    if name not in types:
        raise InvalidArgumentError(f"JSON object: does not have named input: {name}")
    shape = shape_of(value)
    size = _walk(value, 0, shape, types[name])
    first_size, first_shape = first_of.setdefault(name, (size, shape))
    if size != first_size:
        raise InvalidArgumentError(f"Expecting tensor size: {first_size} but got: {size}")
    if shape != first_shape:
        raise InvalidArgumentError(f"Expecting shape {_brackets(first_shape)} but got: {_brackets(shape)}")


def _brackets(shape: list[int]) -> str:
    return f"[{','.join(map(str, shape))}]"


def _walk(value: Any, level: int, shape: list[int], wanted: TensorType) -> int:
    """Check `value` against `shape` and type; the number of elements in it."""
    if not isinstance(value, list):
        if level != len(shape):
            raise InvalidArgumentError(
                f"JSON Value: {quote_value(value)} found at incorrect level: {level + 1} in the JSON DOM. "
                f"Expected at level: {len(shape)}"
            )
        _check_leaf(value, wanted)
        return 1
    if level >= len(shape):
        raise InvalidArgumentError(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise InvalidArgumentError(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    return sum(_walk(item, level + 1, shape, wanted) for item in value)


def _check_leaf(value: Any, wanted: TensorType) -> None:
    if isinstance(value, dict):
        if wanted.kind is not Kind.STRING:
            raise _wrong_type(value, wanted)
        if not is_base64_object(value):
            raise InvalidArgumentError(f"JSON Value: {quote_value(value)} not formatted correctly for base64 data")
        base64_text.decode(value["b64"])
        return
    if wanted.kind is Kind.NONE:
        raise UnimplementedError(f"Conversion of JSON Value: {quote_value(value)} to type: {wanted.name}")
    if not _fits_kind(value, wanted):
        raise _wrong_type(value, wanted)
    if wanted.kind is Kind.FLOAT and not _is_lossless(value, wanted):
        raise InvalidArgumentError(
            f"Cannot convert JSON value: {quote_value(value)} to {wanted.name} without loss of precision."
        )


def _fits_kind(value: Any, wanted: TensorType) -> bool:
    if wanted.kind is Kind.STRING:
        return isinstance(value, str)
    if wanted.kind is Kind.BOOL or isinstance(value, bool):
        return wanted.kind is Kind.BOOL and isinstance(value, bool)
    if wanted.kind is Kind.INTEGER:
        return isinstance(value, int) and wanted.lowest <= value <= wanted.largest
    return isinstance(value, int | float)


def _is_lossless(value: float, wanted: TensorType) -> bool:
    if isinstance(value, int):
        return abs(value) <= wanted.largest_integer
    return abs(value) in (float("inf"),) or value != value or abs(value) <= wanted.largest


def _wrong_type(value: Any, wanted: TensorType) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"JSON Value: {quote_value(value)} Type: {type_name(value)} is not of expected type: {wanted.name}"
    )
