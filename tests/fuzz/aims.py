"""Good requests for the models of a server, made from what the models say of themselves."""

import math
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.fuzz.raw_requests import Aim
from tests.model_server.server_process import ServerProcess

_VALUES = {"DT_STRING": "text", "DT_BOOL": True}
# The tensors of whose little-endian numbers these are the bytes.
_RAW = {
    "latent_bytes": "latent",
    "x0_bytes": "latent",
    "context_bytes": "context",
    "unconditional_context_bytes": "context",
}
_DEFAULT_RAW_BYTES = 8
Signature = Mapping[str, Any]


def find_aims(server: ServerProcess, models: Sequence[str]) -> list[Aim]:
    """A request by column and one by row for every signature that JSON can carry. The server has answered each."""
    signatures = {model: _signatures(server, model) for model in models}
    sizes = {alias: size for each in signatures.values() for one in each.values() for alias, size in _sizes(one)}
    return [
        Aim(f"/v1/models/{model}:predict", document)
        for model in models
        for name, signature in signatures[model].items()
        for document in _documents(name, signature, sizes)
        if server.predict(model, document).status == 200
    ]


def _signatures(server: ServerProcess, model: str) -> Mapping[str, Signature]:
    found: Mapping[str, Signature] = server.get(f"/v1/models/{model}/metadata").json["metadata"]["signature_def"][
        "signature_def"
    ]
    return found


def _sizes(signature: Signature) -> Iterator[tuple[str, int]]:
    """How many bytes a row of each input has."""
    for alias, tensor in signature["inputs"].items():
        yield alias, 4 * math.prod(_dimensions(tensor)[1:])


def _documents(name: str, signature: Signature, sizes: Mapping[str, int]) -> Iterator[Any]:
    inputs = {alias: _value(alias, tensor, sizes) for alias, tensor in signature["inputs"].items()}
    if inputs and all(isinstance(rows, list) for rows in inputs.values()):
        yield {"signature_name": name, "inputs": inputs}
        yield {"signature_name": name, "instances": [{alias: rows[0] for alias, rows in inputs.items()}] * 2}


def _value(alias: str, tensor: Mapping[str, Any], sizes: Mapping[str, int]) -> Any:
    """Two rows of a tensor, all values of it the same."""
    value: Any = _VALUES.get(tensor["dtype"], 1)
    if alias in _RAW or alias == "raw":
        value = {"b64": b64encode(bytes(sizes.get(_RAW.get(alias, ""), _DEFAULT_RAW_BYTES))).decode()}
    for size in reversed(_dimensions(tensor)):
        value = [value] * (2 if size < 0 else size)
    return value


def _dimensions(tensor: Mapping[str, Any]) -> list[int]:
    return [int(dimension["size"]) for dimension in tensor["tensor_shape"].get("dim", [])]
