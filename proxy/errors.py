"""What can go wrong in the proxy, each with its HTTP status.

EaselError
├── InvalidParametersError     422  the request asks for something that there is not
├── DeadlineExceededError      504  the request took longer than it may
├── ModelServerError
│   ├── ModelUnavailableError  503  the model is not there
│   │   └── UnreachableError   503  the model server is down, silent, or still loads the model: it may answer soon
│   ├── ReplacedError               a model has another version now, by which the picture begins again
│   └── BadModelAnswerError    502  the model answered, but not with what its signature promises
│       └── RefusedCallError   502  the model server refused a call that it would refuse again
├── FamilyMisfitError          503  the models of a family do not fit together
├── NotReadyError              503  what is still missing, at readiness
├── StoppingError              503  the proxy stops before the picture is done
├── QueueFullError             503  too many requests wait already
├── TooManyRequestsError       429  too many requests of this caller are under way
├── InvalidKeyError            401  no API key, or a wrong one
├── RateLimitedError           429  too many requests in the last minute
├── UnknownJobError            404  no job of this name, or not any more
└── AbandonedError             499  the client left before its picture was done
"""

from collections.abc import Mapping, Sequence
from typing import Any

MISTAKE = "the proxy made a mistake; its log says more"
_RETRY_AFTER_SECONDS = 2
_MOST_TOLD = 10


class EaselError(Exception):
    """Anything that the proxy tells its client; the message is fit for the client's eyes.

    retry_after_seconds: when to try again, if that may help.
    since: seconds of the event loop's clock, if it is known since when it is so.
    """

    status: int = 500
    kind: str = "internal"
    retry_after_seconds: int | None = None
    since: float | None = None

    def __init__(self, message: str, details: Sequence[Mapping[str, Any]] = ()) -> None:
        """message: one sentence; details: one record for each thing that is wrong."""
        super().__init__(message)
        self.details = [dict(detail) for detail in details]

    def as_json(self) -> dict[str, Any]:
        """The shape of errors in Easel's own API."""
        return {"error": {"type": self.kind, "message": str(self), "details": self.details}}


class InvalidParametersError(EaselError):
    """A parameter is unknown, missing or out of bounds.

    more: how many problems there are beside those in `details`, which are ten at most.
    """

    status = 422
    kind = "invalid_parameters"
    more: int = 0

    @classmethod
    def one(cls, parameter: str, received: object, allowed: str) -> "InvalidParametersError":
        """The error of a single parameter."""
        return cls.several([{"parameter": parameter, "received": received, "allowed": allowed}])

    @classmethod
    def several(cls, problems: Sequence[Mapping[str, Any]], more: int = 0) -> "InvalidParametersError":
        """The error of several parameters, each with `parameter`, `received` and `allowed`; more: that are not here."""
        told = problems[:_MOST_TOLD]
        more += len(problems) - len(told)
        parts = []
        for problem in told:
            received = "nothing" if problem["received"] is None else repr(problem["received"])
            parts.append(f"{problem['parameter']}: received {received}, allowed is {problem['allowed']}")
        error = cls("; ".join([*parts, f"and {more} more"] if more else parts), told)
        error.more = more
        return error


class DeadlineExceededError(EaselError):
    """The request took longer than it may."""

    status = 504
    kind = "deadline_exceeded"

    def __init__(self, seconds: float, reached: str) -> None:
        """seconds: that it might take; reached: how far it got."""
        super().__init__(
            f"the request was not done within its {seconds:g} s; it ended {reached}",
            [{"seconds": seconds, "reached": reached}],
        )


class ModelServerError(EaselError):
    """A model did not do its part."""

    def __init__(self, model: str, reason: str) -> None:
        """model: the name in the model server's URLs; reason: what happened, without the upstream's text."""
        super().__init__(f"model {model}: {reason}", [{"model": model, "reason": reason}])


class ModelUnavailableError(ModelServerError):
    """The model is not there."""

    status = 503
    kind = "model_unavailable"
    retry_after_seconds = _RETRY_AFTER_SECONDS


class UnreachableError(ModelUnavailableError):
    """The model server is down, did not answer in time, or still loads the model; it may answer soon."""


class ReplacedError(ModelServerError):
    """A model has another version now. No client sees it: the picture begins again."""


class BadModelAnswerError(ModelServerError):
    """The model answered with something else than its signature promises: garbage, NaN, a wrong length.

    answers: how many there were of these, from different servers.
    """

    status = 502
    kind = "bad_model_answer"
    answers = 1


class RefusedCallError(BadModelAnswerError):
    """The model server refused a call that it, or another one, would refuse again."""


class FamilyMisfitError(EaselError):
    """The models of a family do not fit together."""

    status = 503
    kind = "family_misfit"
    retry_after_seconds = _RETRY_AFTER_SECONDS

    def __init__(self, family: str, reason: str) -> None:
        """reason: names both models and both shapes."""
        super().__init__(f"family {family} does not fit together: {reason}", [{"family": family, "reason": reason}])


class NotReadyError(EaselError):
    """Some families cannot be served now."""

    status = 503
    kind = "not_ready"
    retry_after_seconds = _RETRY_AFTER_SECONDS

    @classmethod
    def because(cls, causes: Sequence[EaselError]) -> "NotReadyError":
        """The error that repeats every cause."""
        return cls("; ".join(str(cause) for cause in causes), [detail for cause in causes for detail in cause.details])


class StoppingError(EaselError):
    """The proxy stops before the picture is done."""

    status = 503
    kind = "stopping"
    retry_after_seconds = _RETRY_AFTER_SECONDS

    def __init__(self) -> None:
        super().__init__("the proxy was stopped before the picture was done")


class QueueFullError(EaselError):
    """Too many requests wait already."""

    status = 503
    kind = "queue_full"

    def __init__(self, longest: int, retry_after_seconds: int) -> None:
        """longest: how many may wait."""
        super().__init__(f"{longest} requests wait already, and no more may; try again in {retry_after_seconds} s")
        self.retry_after_seconds = retry_after_seconds


class TooManyRequestsError(EaselError):
    """Too many requests of one caller are under way."""

    status = 429
    kind = "too_many_requests"

    def __init__(self, allowed: int, retry_after_seconds: int) -> None:
        """allowed: how many one caller may have under way."""
        super().__init__(f"{allowed} requests of this caller are under way, and no more may be; wait for one to end")
        self.retry_after_seconds = retry_after_seconds


class InvalidKeyError(EaselError):
    """There is no API key, or it is not valid."""

    status = 401
    kind = "invalid_api_key"


class RateLimitedError(EaselError):
    """Too many requests in the last minute."""

    status = 429
    kind = "rate_limited"

    def __init__(self, allowed: str, retry_after_seconds: int) -> None:
        """allowed: how many of what."""
        super().__init__(f"no more than {allowed} are allowed; try again in {retry_after_seconds} s")
        self.retry_after_seconds = retry_after_seconds


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
