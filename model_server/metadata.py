"""The JSON of `/metadata` and of a model's status, as TensorFlow Serving lays them out."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson
from google.protobuf import json_format

from model_server.errors import ServingError


class VersionStatus(NamedTuple):
    """What is told of one version: its state, and the error that ended it, if one did."""

    version: int
    state: str
    error: ServingError | None


def metadata_document(model: str, version: int, signature_protos: Mapping[str, Any]) -> bytes:
    """The signatures of a version, types and shapes included; 64 bit numbers are strings, as protobuf's JSON has it."""
    signatures = {
        name: json_format.MessageToDict(
            proto, always_print_fields_with_no_presence=True, preserving_proto_field_name=True
        )
        for name, proto in signature_protos.items()
    }
    return orjson.dumps(
        {
            "model_spec": {"name": model, "signature_name": "", "version": str(version)},
            "metadata": {"signature_def": {"signature_def": signatures}},
        },
        option=orjson.OPT_INDENT_2,
    )


def status_document(statuses: Iterable[VersionStatus]) -> bytes:
    """The states of a model's versions, newest first."""
    entries = [
        {
            "version": str(status.version),
            "state": status.state,
            "status": {
                "error_code": status.error.code if status.error else "OK",
                "error_message": str(status.error) if status.error else "",
            },
        }
        for status in sorted(statuses, reverse=True, key=lambda status: status.version)
    ]
    return orjson.dumps({"model_version_status": entries}, option=orjson.OPT_INDENT_2)
