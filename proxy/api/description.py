"""What /openapi.json says of requests that fail: real errors, as the API that they come from tells of them."""

from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI

from proxy.api import door
from proxy.api.dialects import Dialect, spoken
from proxy.api.limits import too_large
from proxy.api.parameters import allowed
from proxy.errors import (
    MISTAKE,
    BadModelAnswerError,
    DeadlineExceededError,
    EaselError,
    FamilyMisfitError,
    InvalidKeyError,
    InvalidParametersError,
    ModelUnavailableError,
    NotReadyError,
    QueueFullError,
    RateLimitedError,
    StoppingError,
    TooManyRequestsError,
)

Responses = dict[int | str, dict[str, Any]]
_SUPPOSED = ("HTTPValidationError", "ValidationError")

_BEARER = {"type": "http", "scheme": "bearer", "description": "as `Authorization: Bearer alice.…`"}
_QUERY = {
    "type": "apiKey",
    "in": "query",
    "name": door.PARAMETER,
    "description": f"in the query, as `{door.PARAMETER}=alice.…`",
}

BUG = EaselError(MISTAKE)
# What may come of a request to any path that is not open to all.
ANYWHERE = (
    InvalidKeyError("an API key is needed here, as Authorization: Bearer"),
    RateLimitedError("60 requests a minute of this key", 7),
    BUG,
)
UNKNOWN_FAMILY = InvalidParametersError.one("family", "dream", "one of emoji")
_AWAY = ModelUnavailableError("emoji_decoder", "the model server cannot be reached")
_MISFIT = FamilyMisfitError("emoji", "emoji_decoder has no serving_default with an image")
NOT_READY = NotReadyError.because([_AWAY, _MISFIT])
# What may come of an order, apart from what the tests of one API know.
DRAWING = (
    InvalidParametersError.one("guidance_scale", 51, allowed("guidance_scale")),
    BadModelAnswerError("emoji_diffusion_model", "its answer is not JSON"),
    _AWAY,
    _MISFIT,
    DeadlineExceededError(600, "after 12 of 20 steps"),
    QueueFullError(128, 60),
    TooManyRequestsError(64, 20),
    StoppingError(),
)


def large(path: str) -> EaselError:
    """The error of a body that is larger than what the path takes."""
    return spoken(too_large(path))


def responses(dialect: Dialect, *errors: EaselError) -> Responses:
    """The errors as a route's `responses`: by status, each as an example that has the error's kind for its name."""
    found: Responses = {}
    for error in errors:
        status, body = dialect.say(error.status, error)
        schema = {"$ref": f"#/components/schemas/{dialect.answer.__name__}"}
        content = {"application/json": {"schema": schema, "examples": {}}}
        response = found.setdefault(status, {"model": dialect.answer, "description": "", "content": content})
        response["description"] = ". ".join(filter(None, [response["description"], _meaning(error)]))
        response["content"]["application/json"]["examples"][error.kind] = {"value": orjson.dumps(body).decode()}
    return found


def _meaning(error: EaselError) -> str:
    """The first line of what an error's class says of itself."""
    if type(error) is EaselError:
        return HTTPStatus(error.status).phrase
    return str(type(error).__doc__).split("\n")[0].removesuffix(".")


def install(app: FastAPI, *, keys: bool, keys_in_query: bool) -> None:
    """Have the application's description of itself corrected when it is first asked for.

    keys: whether an API key is needed; keys_in_query: whether GET requests may also have it in their query.
    """
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _correct(api := describe())
            if keys:
                _lock(api, {"bearer": _BEARER, "query": _QUERY} if keys_in_query else {"bearer": _BEARER})
        return describe()

    app.openapi = openapi  # type: ignore[method-assign]


def _lock(api: dict[str, Any], schemes: dict[str, Any]) -> None:
    """Say of every operation that is not open to all by which of the schemes it takes a key."""
    api["components"]["securitySchemes"] = schemes
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            if not door.is_open(path):
                taken = [name for name in schemes if name != "query" or method == "get"]
                operation["security"] = [{name: []} for name in taken]


def _correct(api: dict[str, Any]) -> None:
    """Take out what FastAPI supposes, a 422 in its own shape wherever there are parameters, and read the examples.

    They are text until now because FastAPI would have left out their nulls.
    """
    for operation in (operation for methods in api["paths"].values() for operation in methods.values()):
        if _SUPPOSED[0] in str(operation["responses"].get("422")):
            del operation["responses"]["422"]
        for response in operation["responses"].values():
            for example in response.get("content", {}).get("application/json", {}).get("examples", {}).values():
                example["value"] = orjson.loads(example["value"])
    for name in _SUPPOSED:
        api["components"]["schemas"].pop(name, None)
