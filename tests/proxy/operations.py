"""What /openapi.json says, operation by operation."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator

from proxy.app import create_app
from proxy.settings import Settings

API = create_app(Settings()).openapi()


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": API["components"]})


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema itself, of one that is a reference, perhaps among others."""
    for inner in [schema, *schema.get("anyOf", []), *schema.get("allOf", [])]:
        if "$ref" in inner:
            found: dict[str, Any] = API["components"]["schemas"][inner["$ref"].rsplit("/")[-1]]
            return found
    return schema


@dataclass(frozen=True)
class Operation:
    """One method of one path. parameters: schemas of what is not in the body, by place and name; body: of the body."""

    method: str
    path: str
    parameters: dict[tuple[str, str], dict[str, Any]]
    body: dict[str, Any]
    responses: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def errors(self) -> dict[str, Any]:
        return {status: response for status, response in self.responses.items() if status >= "400"}


def operations() -> Iterator[Operation]:
    for path, methods in API["paths"].items():
        for method, said in methods.items():
            parameters = {(each["in"], each["name"]): each["schema"] for each in said.get("parameters", [])}
            body = said.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            yield Operation(method.upper(), path, parameters, resolved(body).get("properties", {}), said["responses"])


OPERATIONS = list(operations())
