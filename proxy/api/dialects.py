"""What sets another program's API apart from Easel's own: names of parameters, and the shape of errors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from proxy.api.parameters import Parameters, allowed
from proxy.errors import EaselError, InvalidParametersError
from proxy.service import Order

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

    names: its name for each parameter that it calls otherwise. requests: what its paths take.
    """

    shape: Shape
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
        return InvalidParametersError.several(list(problems.values()))


def easel(status: int, error: EaselError) -> tuple[int, dict[str, Any]]:
    """Easel's own shape."""
    return status, error.as_json()


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
