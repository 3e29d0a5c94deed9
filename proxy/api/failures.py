"""Every failure as JSON, in the shape of the API that was asked."""

from collections.abc import Mapping
from http import HTTPStatus

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from proxy.api import automatic1111_shapes, events, openai_shapes, picture
from proxy.api.dialects import BODY, EASEL, Dialect, spoken
from proxy.errors import MISTAKE, EaselError, InvalidParametersError

_DIALECTS = {
    "/generate/events": events.DIALECT,
    "/v1": openai_shapes.DIALECT,
    "/sdapi": automatic1111_shapes.DIALECT,
    "/image": picture.DIALECT,
}


def install(app: FastAPI) -> None:
    """Register the handlers."""
    app.add_exception_handler(EaselError, _easel_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _bug)


def dialect(request: Request) -> Dialect:
    """The dialect of the API that was asked, also where it has no such path."""
    path = request.url.path
    return next((dialect for root, dialect in _DIALECTS.items() if f"{path}/".startswith(f"{root}/")), EASEL)


def answer(request: Request, status: int, error: EaselError, headers: Mapping[str, str] | None = None) -> Response:
    """The error in the shape of the API that was asked."""
    status, body = dialect(request).say(status, error)
    if error.retry_after_seconds is not None:
        headers = {**(headers or {}), "Retry-After": str(error.retry_after_seconds)}
    return Response(orjson.dumps(body), status, headers, "application/json")


async def _easel_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, EaselError)  # noqa: S101 - the type it is registered for
    return answer(request, error.status, error)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - the type it is registered for
    invalid = dialect(request).invalid(request.url.path, error.errors())
    return answer(request, invalid.status, invalid)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - the type it is registered for
    if error.status_code == HTTPStatus.NO_CONTENT:
        return Response(status_code=error.status_code)
    if error.status_code == HTTPStatus.BAD_REQUEST:  # what FastAPI says of a body that is no text, or nested too deeply
        return await _easel_error(request, InvalidParametersError.one("body", "what cannot be read", BODY))
    return answer(request, error.status_code, spoken(error), error.headers)


async def _bug(request: Request, __: Exception) -> Response:
    return answer(request, 500, EaselError(MISTAKE))
