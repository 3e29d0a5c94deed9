"""Who comes in, and how often."""

import math
from urllib.parse import unquote_plus

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.api.callers import address
from proxy.errors import EaselError, InvalidKeyError, RateLimitedError
from proxy.keyring import Keyring
from proxy.rates import Rates

PARAMETER = "api_key"
_OPEN = {"/", "/docs", "/healthz", "/readyz"}
_OPEN_FOLDER = "/static/"
# Who has no requests left may still look at work under way, end it, and write the next caption.
_UNCOUNTED = {"/generate/cancel", "/sdapi/v1/progress", "/sdapi/v1/interrupt", "/tokens"}


class Door:
    """ASGI middleware: asks for an API key, if there are any, and counts requests.

    The pages, which hold nothing, and health are open to all. A key in the query is taken out of it, valid or not, so
    that no log, link or picture has it.
    """

    def __init__(
        self, app: ASGIApp, *, keyring: Keyring | None, keys_in_query: bool, requests_per_address: int | None
    ) -> None:
        self._app = app
        self._keyring, self._keys_in_query = keyring, keys_in_query
        self._requests_per_address = requests_per_address
        self._of_addresses, self._of_keys = Rates(), Rates()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may come in, with its key's name as `easel_key`; answer anything else."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        in_query = _taken_from_query(scope)
        try:
            if not is_open(scope["path"]):
                await self._admit(scope, in_query)
        except EaselError as error:
            response = await _answer(Request(scope), error)
            await response(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _admit(self, scope: Scope, in_query: str | None) -> None:
        """Raise InvalidKeyError or RateLimitedError if the request may not come in."""
        request = Request(scope)
        is_counted = scope["path"] not in _UNCOUNTED
        if self._requests_per_address and is_counted:
            _count(self._of_addresses, address(request), self._requests_per_address, "of one address")
        if self._keyring is None:
            return
        presented = _bearer(request)
        if presented is None and in_query is not None:
            if not self._keys_in_query or request.method != "GET":
                raise InvalidKeyError("an API key is not taken from the query here: send it as Authorization: Bearer")
            presented = in_query
        if presented is None:
            raise InvalidKeyError("an API key is needed here, as Authorization: Bearer")
        key = await self._keyring.owner(presented, address(request))
        if key.requests_per_minute and is_counted:
            _count(self._of_keys, key.name, key.requests_per_minute, "of this key")
        scope["easel_key"] = key.name


def is_open(path: str) -> bool:
    """Whether the path asks nobody for a key, and is not counted."""
    return path in _OPEN or path.startswith(_OPEN_FOLDER)


def _count(rates: Rates, who: str, most: int, whose: str) -> None:
    if wait := rates.wait(who, most):
        raise RateLimitedError(f"{most} requests a minute {whose}", math.ceil(wait))
    rates.count(who, most)


def _bearer(request: Request) -> str | None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None


def _taken_from_query(scope: Scope) -> str | None:
    """The key in the query, which does not have it any more; the server's own log reads the same scope."""
    parts = scope["query_string"].split(b"&")
    found = [part for part in parts if unquote_plus(part.partition(b"=")[0].decode("latin-1")).lower() == PARAMETER]
    if not found:
        return None
    scope["query_string"] = b"&".join(part for part in parts if part not in found)
    return unquote_plus(found[-1].partition(b"=")[2].decode("latin-1"))


async def _answer(request: Request, error: EaselError) -> Response:
    """As every error of the application is told."""
    response: Response = await request.app.exception_handlers[EaselError](request, error)
    if isinstance(error, InvalidKeyError):
        response.headers["WWW-Authenticate"] = "Bearer"
    return response
