"""What sets another program's API apart from Easel's own: names of parameters, and the shape of errors."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from starlette.exceptions import HTTPException

from proxy.api.answers import Error
from proxy.api.parameters import CaptionQuery, Parameters, allowed
from proxy.errors import EaselError, InvalidParametersError
from proxy.service import Order

_SHOWN_CHARACTERS = 200
_LARGEST_EXACT = 2**53
BODY = "a JSON object with the parameters"

Shape = Callable[[int, EaselError], tuple[int, dict[str, Any]]]
"""The status and the JSON that tell of an error whose status would be the given one."""


class Foreign(BaseModel):
    """Parameters that other programs send: null is what is not sent, and what only other servers know is ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {name: value for name, value in data.items() if value is not None}
        return data


@dataclass(frozen=True)
class Dialect:
    """How one API calls Easel's parameters, and how it tells of errors.

    shape, answer: of its errors. names: its name for each parameter that it calls otherwise. requests: what its paths
    take.
    """

    shape: Shape
    answer: type[BaseModel]
    names: Mapping[str, str] = field(default_factory=dict)
    requests: Mapping[str, type[BaseModel]] = field(default_factory=dict)

    def allowed(self, path: str, parameter: str) -> str:
        """What is allowed for the parameter of a path, in words."""
        request = self.requests.get(path)
        if request is None:
            return allowed(parameter)
        known = request.model_fields.get(self.names.get(parameter, parameter))
        if known is None and request.model_config["extra"] == "forbid":
            return f"one of the parameters {', '.join(request.model_fields)}"
        return known.description if known and known.description else allowed(parameter)

    def invalid(self, path: str, problems: Iterable[Mapping[str, Any]]) -> InvalidParametersError:
        """Pydantic's problems with what a path was sent, in this API's words."""
        return InvalidParametersError.several([self._problem(path, problem) for problem in problems])

    def _problem(self, path: str, problem: Mapping[str, Any]) -> dict[str, object]:
        """One of pydantic's problems: which parameter, what came, what is allowed."""
        location = [part for part in problem["loc"] if part not in ("query", "body")]
        if not location or problem["type"] == "json_invalid":
            return {"parameter": "body", "received": _shown(problem["input"]), "allowed": BODY}
        received = None if problem["type"] == "missing" else _shown(problem["input"])
        allowed = self.allowed(path, str(location[0]))
        return {"parameter": _shown(location[0]), "received": received, "allowed": allowed}

    def say(self, status: int, error: EaselError) -> tuple[int, dict[str, Any]]:
        """The status and the JSON of an error, with the parameters under this API's names."""
        return self.shape(status, self._renamed(error) if isinstance(error, InvalidParametersError) else error)

    def _renamed(self, error: InvalidParametersError) -> EaselError:
        """The same of this API's parameters; width and height may have become one."""
        problems: dict[str, dict[str, Any]] = {}
        for detail in error.details:
            name = self.names.get(detail["parameter"], detail["parameter"])
            if name in problems:
                problems[name]["received"] = f"{problems[name]['received']}x{detail['received']}"
            else:
                problems[name] = {**detail, "parameter": name}
        return InvalidParametersError.several(list(problems.values()), error.more)


def easel(status: int, error: EaselError) -> tuple[int, dict[str, Any]]:
    """Easel's own shape."""
    return status, error.as_json()


EASEL = Dialect(easel, Error, requests={"/tokens": CaptionQuery})


def spoken(error: HTTPException) -> EaselError:
    """What Starlette and FastAPI refuse, as one of Easel's errors."""
    failure = EaselError(str(error.detail))
    failure.status, failure.kind = error.status_code, HTTPStatus(error.status_code).name.lower()
    return failure


def order(asked: Mapping[str, object]) -> Order:
    """The order of Easel's own parameters; those that are None are left to their defaults."""
    try:
        return Parameters.model_validate({name: value for name, value in asked.items() if value is not None}).order()
    except ValidationError as exc:
        raise RequestValidationError(exc.errors()) from exc


def sides(size: str) -> tuple[int | None, int | None]:
    """The width and the height of `512x512`; of `auto`, neither."""
    if size == "auto":
        return None, None
    width, height = size.split("x")
    return int(width), int(height)


def _shown(value: object) -> object:
    """What came, fit for JSON and not longer than anybody wants to read."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float) and math.isfinite(value) and abs(value) < _LARGEST_EXACT:
        return value
    text = value if isinstance(value, str) else repr(value)
    text = text.encode(errors="backslashreplace").decode()
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
