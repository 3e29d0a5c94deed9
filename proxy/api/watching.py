"""What is seen of every request: its id, its line in the log, its place in the metrics."""

import logging
import re
import secrets
import time
from collections.abc import Iterable

from fastapi.routing import iter_route_contexts
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proxy import metrics, tracing
from proxy.api.callers import caller
from proxy.logs import REQUEST_ID, REQUEST_ID_HEADER

_log = logging.getLogger(__name__)

_HARMLESS = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ID_BYTES = 8
# A client may send any word.
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_UNANSWERED = 500  # what the server says for an application that said nothing
_ID, _REFUSED = "easel_request_id", "easel_refused"


class Watching:
    """ASGI middleware around everything else, errors' answers too."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, with the request's id in the answer's head."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        own_id = request_id(scope)
        REQUEST_ID.set(own_id)
        tracing.conceal_query()
        status, start = _UNANSWERED, time.perf_counter()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*_others(message.get("headers", ())), (_NAME, own_id.encode())]
            await send(message)

        try:
            await self.app(scope, receive, sending)
        finally:
            _saw(scope, scope.get(_REFUSED, status), time.perf_counter() - start)


_NAME = REQUEST_ID_HEADER.lower().encode()


def _others(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [header for header in headers if header[0] != _NAME]


def request_id(scope: Scope) -> str:
    """The client's own, if it can do no harm in a head, a log or a page; else a new one, for this request."""
    if _ID not in scope:
        sent = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
        scope[_ID] = sent if _HARMLESS.fullmatch(sent) else secrets.token_hex(_ID_BYTES)
    found: str = scope[_ID]
    return found


def refused(scope: Scope, status: int, seconds: float | None) -> None:
    """The server gives the answer, whatever the application may say.

    seconds: that the request took, if the application does not know of it; None if it is at it, and will end it.
    """
    scope[_REFUSED] = status
    if seconds is not None:
        token = REQUEST_ID.set(request_id(scope))
        _saw(scope, status, seconds)
        REQUEST_ID.reset(token)


def _saw(scope: Scope, status: int, seconds: float) -> None:
    """Log and count a request that is over, without anything that it asked for."""
    method = scope["method"] if scope["method"] in _METHODS else "other"
    path = _template(scope)
    metrics.REQUESTS.labels(method, path, str(status)).inc()
    metrics.REQUEST_SECONDS.labels(method, path).observe(seconds)
    who = caller(Request(scope))
    fields = {"method": method, "path": path, "status": status, "seconds": round(seconds, 6), "caller": who}
    _log.info("%s %s %d in %.3f s for %s", method, path, status, seconds, who, extra={"fields": fields})


def _template(scope: Scope) -> str:
    """That of its path. Of a path that there is not, nothing is kept: a client may make up any number of them."""
    found: str | None = getattr(scope.get("route"), "path", None) or scope.get("root_path")
    if found:
        return found
    # Perhaps it was answered before it came to the routes, as at the door.
    routes = iter_route_contexts(scope["app"].routes) if "app" in scope and "router" not in scope else ()
    return next((str(route.path) for route in routes if route.path_regex.match(scope["path"])), "unmatched")
