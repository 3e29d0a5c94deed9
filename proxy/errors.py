"""What can go wrong in the proxy, each with its HTTP status.

EaselError
├── InvalidParametersError     422  the request asks for something that there is not
├── ModelServerError
│   ├── ModelUnavailableError  503  the model server is down, or the model is not loaded
│   ├── ModelTimeoutError      504  the model server did not answer in time
│   └── BadModelAnswerError    502  the model answered, but not with what its signature promises
├── FamilyMisfitError          503  the models of a family do not fit together
├── NotReadyError              503  what is still missing, at readiness
├── StoppingError              503  the proxy stops before the picture is done
├── UnknownJobError            404  no job of this name, or not any more
└── AbandonedError             499  the client left before its picture was done
"""

from collections.abc import Mapping, Sequence
from typing import Any

MISTAKE = "the proxy made a mistake; its log says more"


class EaselError(Exception):
    """Anything that the proxy tells its client; the message is fit for the client's eyes."""

    status: int = 500
    kind: str = "internal"

    def __init__(self, message: str, details: Sequence[Mapping[str, Any]] = ()) -> None:
        """message: one sentence; details: one record for each thing that is wrong."""
        super().__init__(message)
        self.details = [dict(detail) for detail in details]

    def as_json(self) -> dict[str, Any]:
        """The shape of errors in Easel's own API."""
        return {"error": {"type": self.kind, "message": str(self), "details": self.details}}


class InvalidParametersError(EaselError):
    """A parameter is unknown, missing or out of bounds."""

    status = 422
    kind = "invalid_parameters"

    @classmethod
    def one(cls, parameter: str, received: object, allowed: str) -> "InvalidParametersError":
        """The error of a single parameter."""
        return cls.several([{"parameter": parameter, "received": received, "allowed": allowed}])

    @classmethod
    def several(cls, problems: Sequence[Mapping[str, Any]]) -> "InvalidParametersError":
        """The error of several parameters, each with `parameter`, `received` and `allowed`."""
        parts = []
        for problem in problems:
            received = "nothing" if problem["received"] is None else repr(problem["received"])
            parts.append(f"{problem['parameter']}: received {received}, allowed is {problem['allowed']}")
        return cls("; ".join(parts), problems)


class ModelServerError(EaselError):
    """A model did not do its part."""

    def __init__(self, model: str, reason: str) -> None:
        """model: the name in the model server's URLs; reason: what happened, without the upstream's text."""
        super().__init__(f"model {model}: {reason}", [{"model": model, "reason": reason}])


class ModelUnavailableError(ModelServerError):
    """The model server is down, or the model is not loaded (yet)."""

    status = 503
    kind = "model_unavailable"


class ModelTimeoutError(ModelServerError):
    """The model server did not answer in time."""

    status = 504
    kind = "model_timeout"


class BadModelAnswerError(ModelServerError):
    """The model answered with something else than its signature promises: garbage, NaN, a wrong length."""

    status = 502
    kind = "bad_model_answer"


class FamilyMisfitError(EaselError):
    """The models of a family do not fit together."""

    status = 503
    kind = "family_misfit"

    def __init__(self, family: str, reason: str) -> None:
        """reason: names both models and both shapes."""
        super().__init__(f"family {family} does not fit together: {reason}", [{"family": family, "reason": reason}])


class NotReadyError(EaselError):
    """Some families cannot be served now."""

    status = 503
    kind = "not_ready"

    @classmethod
    def because(cls, causes: Sequence[EaselError]) -> "NotReadyError":
        """The error that repeats every cause."""
        return cls("; ".join(str(cause) for cause in causes), [detail for cause in causes for detail in cause.details])


class StoppingError(EaselError):
    """The proxy stops before the picture is done."""

    status = 503
    kind = "stopping"

    def __init__(self) -> None:
        super().__init__("the proxy was stopped before the picture was done")


class UnknownJobError(EaselError):
    """There is no job of this name, or not any more."""

    status = 404
    kind = "unknown_job"

    def __init__(self, job: str) -> None:
        """job: as it was asked for."""
        super().__init__(f"job: received {job!r}, allowed is one that an event of the last minute named")


class AbandonedError(EaselError):
    """The client left before its picture was done."""

    status = 499
    kind = "abandoned"
