"""Every failure as the one JSON shape of errors."""

from collections.abc import Mapping
from http import HTTPStatus

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from proxy.api import automatic1111, events, openai, picture
from proxy.api.dialects import Dialect, easel
from proxy.errors import EaselError

_EASEL = Dialect(easel)
_DIALECTS = {
    "/generate/events": events.DIALECT,
    "/v1": openai.DIALECT,
    "/sdapi": automatic1111.DIALECT,
    "/image": picture.DIALECT,
}


def install(app: FastAPI) -> None:
    """Register the handlers."""
    app.add_exception_handler(EaselError, _easel_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _bug)


def _dialect(request: Request) -> Dialect:
    """The dialect of the API that was asked, also where it has no such path."""
    path = request.url.path
    return next((dialect for root, dialect in _DIALECTS.items() if f"{path}/".startswith(f"{root}/")), _EASEL)


def _answer(request: Request, status: int, error: EaselError, headers: Mapping[str, str] | None = None) -> Response:
    status, body = _dialect(request).say(status, error)
    return Response(orjson.dumps(body), status, headers, "application/json")


async def _easel_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, EaselError)  # noqa: S101 - the type it is registered for
    return told(request, error)


def told(request: Request, error: EaselError) -> Response:
    """The answer to a request that ends with the error."""
    seconds = error.retry_after_seconds
    return _answer(request, error.status, error, None if seconds is None else {"Retry-After": str(seconds)})


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - the type it is registered for
    invalid = _dialect(request).invalid(request.url.path, error.errors())
    return _answer(request, invalid.status, invalid)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - the type it is registered for
    if error.status_code == HTTPStatus.NO_CONTENT:
        return Response(status_code=error.status_code)
    failure = EaselError(str(error.detail))
    failure.kind = HTTPStatus(error.status_code).name.lower()
    return _answer(request, error.status_code, failure, error.headers)


async def _bug(request: Request, __: Exception) -> Response:
    return _answer(request, 500, EaselError("the proxy made a mistake; its log says more"))
