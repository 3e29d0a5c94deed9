"""What lies around the routes, from the inside out."""

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from proxy.api import failures
from proxy.api.door import Door
from proxy.api.headers import SecurityHeaders
from proxy.api.limits import BodyLimit
from proxy.api.stop import LastWord
from proxy.api.watching import Watching
from proxy.keyring import Keyring
from proxy.logs import REQUEST_ID_HEADER
from proxy.settings import Settings

_CORS_HEADERS = ["Authorization", "Content-Type", "Last-Event-ID", REQUEST_ID_HEADER]
_CORS_ANSWERS = [
    "Easel-Seed",
    "Easel-Dropped-Caption",
    "Easel-Dropped-Negative-Caption",
    "Retry-After",
    "Server-Timing",
    REQUEST_ID_HEADER,
]


def install(app: FastAPI, settings: Settings, keyring: Keyring | None) -> None:
    """Put them around the application, whose routes are complete."""
    app.add_middleware(BodyLimit)
    app.add_middleware(LastWord)
    app.add_middleware(
        Door,
        keyring=keyring,
        keys_in_query=settings.api_keys_in_query,
        requests_per_address=settings.requests_per_minute_per_address,
    )
    failures.install(app)
    # The others by hand: Starlette's own way to add one leaves the answer to a mistake outside.
    stack = app.build_middleware_stack()
    if settings.cors_origins:  # outside of the door, because browsers ask for leave without a key
        stack = CORSMiddleware(
            stack,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=_CORS_HEADERS,
            expose_headers=_CORS_ANSWERS,
        )
    app.middleware_stack = Watching(SecurityHeaders(stack))
