"""What /openapi.json shows of parameters and errors is what it says of them, and it shows all of them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from proxy.errors import EaselError
from tests.proxy.operations import API, OPERATIONS, resolved, validator


def members(properties: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property of a body, those of objects in it among them."""
    for name, schema in properties.items():
        yield name, schema
        yield from members(resolved(schema).get("properties", {}))


PARAMETERS = [
    (f"{operation} {name}", schema)
    for operation in OPERATIONS
    for name, schema in (
        *((name, schema) for (_, name), schema in operation.parameters.items()),
        *members(operation.body),
    )
]
ERRORS = [
    (f"{operation} {status}", response) for operation in OPERATIONS for status, response in operation.errors.items()
]


@pytest.mark.parametrize(("name", "schema"), PARAMETERS, ids=[name for name, _ in PARAMETERS])
def test_every_parameter_has_an_example_that_it_allows(name: str, schema: dict[str, Any]) -> None:
    assert schema["examples"]
    for example in schema["examples"]:
        validator(schema).validate(example)


@pytest.mark.parametrize(("name", "response"), ERRORS, ids=[name for name, _ in ERRORS])
def test_every_error_has_examples_in_its_shape(name: str, response: dict[str, Any]) -> None:
    assert response["description"]
    (content,) = response["content"].values()
    assert response["content"].keys() == {"application/json"}
    assert content["schema"]["$ref"]
    assert content["examples"]
    for example in content["examples"].values():
        validator(content["schema"]).validate(example["value"])


def test_every_kind_of_error_is_shown() -> None:
    def classes(parent: type[EaselError]) -> Iterator[type[EaselError]]:
        yield parent
        for child in parent.__subclasses__():
            yield from classes(child)

    shown = {kind for _, response in ERRORS for kind in response["content"]["application/json"]["examples"]}
    assert {error.kind for error in classes(EaselError)} <= shown


def test_bad_input_is_described_as_it_is() -> None:
    """FastAPI's own 422 is nowhere, and OpenAI's API has 400 instead."""
    assert "ValidationError" not in json.dumps(API)
    by_api = {operation.path.startswith("/v1"): set[str]() for operation in OPERATIONS}
    for operation in OPERATIONS:
        by_api[operation.path.startswith("/v1")] |= operation.errors.keys()
    assert "422" not in by_api[True]
    assert "400" not in by_api[False]
