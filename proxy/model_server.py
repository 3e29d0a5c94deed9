"""The client of TensorFlow Serving's REST API: status, metadata and predict."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import httpx
import orjson

from proxy import wire
from proxy.errors import (
    BadModelAnswerError,
    ModelServerError,
    ModelUnavailableError,
    RefusedCallError,
    UnreachableError,
)
from proxy.families import Version
from proxy.servers import Server, Servers
from proxy.tracing import described

logger = logging.getLogger(__name__)

T = TypeVar("T")

Check = Callable[[], Awaitable[None]]

_LOGGED_BYTES = 500
_STATUS = "/v1/models/{}"
# States of a version that is about to be AVAILABLE.
_COMING = {"START", "LOADING"}
# Answers that say "not here": an unknown or unloaded model, and too many requests. Another server may say otherwise.
_ELSEWHERE = {404: "is not loaded", 429: "is overloaded"}
# Answers that say "not now".
_LATER = {
    502: "the model server cannot be reached",
    503: "is not available",
    504: "did not finish within the model server's own time limit",
}


async def go_on() -> None:
    """Ask the next server, whoever waits."""


class ModelServer:
    """Calls of a model server, whichever of several equal ones it is. Each is asked once, until one answers well."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    async def available_versions(self, *models: str) -> list[Version]:
        """The version of each that answers now, the highest one that is loaded.

        All are of one server: while new versions are loaded, others may have others. Raises ModelUnavailableError when
        no server has all, UnreachableError when one may soon, BadModelAnswerError.
        """
        return await self._together(models, _STATUS, _highest_version)

    async def has(self, versions: Mapping[str, str]) -> bool:
        """Whether each model is still loaded in that version, by one server or another."""
        servers = list(self._servers.round())

        async def is_loaded(model: str, version: str, server: Server) -> bool:
            try:
                return version in await self._look(model, _STATUS.format(model), _loaded, server)
            except ModelServerError:
                return False

        async def is_anywhere(model: str, version: str) -> bool:
            return any(await asyncio.gather(*(is_loaded(model, version, server) for server in servers)))

        return all(await asyncio.gather(*(is_anywhere(*each) for each in versions.items())))

    async def metadata(self, *models: str) -> list[dict[str, Any]]:
        """What one server says about the versions of the models that answer now and their signatures, as it comes."""
        return await self._together(models, "/v1/models/{}/metadata", lambda _, body: body)

    async def predict(
        self,
        model: str,
        version: str,
        signature: str,
        inputs: Callable[[], Mapping[str, object]],
        outputs: Sequence[str],
        read: Callable[[dict[str, Any]], T],
        check: Check = go_on,
    ) -> T:
        """What `read` makes of the named outputs of a call with `inputs`; a ValueError says that they are bad.

        version: the one that answers, and no other. check: awaited before another server is asked; what it raises ends
        the call. `inputs` and `read` run in a thread: bodies are megabytes, and
        everybody else would wait while one is written or read.
        Raises ModelUnavailableError, BadModelAnswerError.
        """
        path = f"/v1/models/{model}/versions/{version}:predict"
        body = await asyncio.to_thread(lambda: wire.request(signature, inputs()))

        async def call(server: Server) -> T:
            answer = await _exchange(server, "POST", model, path, body)
            try:
                value = await asyncio.to_thread(lambda: read(wire.columns(answer, outputs)))
            except ValueError as exc:
                server.breaker.answered_badly()
                raise BadModelAnswerError(model, f"{signature} answered with {exc}") from exc
            server.breaker.answered_well()
            return value

        with described(signature=signature):
            return await self._anywhere(call, check)

    async def _together(self, models: Sequence[str], path: str, read: Callable[[str, dict[str, Any]], T]) -> list[T]:
        """What `read` makes of the answers of one server, the first that has one for each model."""

        async def look(server: Server) -> list[T]:
            return await asyncio.gather(*(self._look(model, path.format(model), read, server) for model in models))

        return await self._anywhere(look)

    async def _look(self, model: str, path: str, read: Callable[[str, dict[str, Any]], T], server: Server) -> T:
        answer = await _exchange(server, "GET", model, path)
        try:
            body = orjson.loads(answer)
        except ValueError as exc:
            raise BadModelAnswerError(model, "its answer is not JSON") from exc
        if not isinstance(body, dict):
            raise BadModelAnswerError(model, "its answer is not a JSON object")
        return read(model, body)

    async def _anywhere(self, attempt: Callable[[Server], Awaitable[T]], check: Check = go_on) -> T:
        """What the first server says that answers well; if none does, what is wrong, from bad to merely absent."""
        bad: list[BadModelAnswerError] = []
        away: list[ModelUnavailableError] = []
        for number, server in enumerate(self._servers.round(), 1):
            if number > 1:
                await check()
            try:
                with described(attempt=number):
                    return await attempt(server)
            except RefusedCallError:
                raise
            except BadModelAnswerError as exc:
                bad.append(exc)
            except ModelUnavailableError as exc:
                away.append(exc)
        if bad:
            bad[-1].answers = len(bad)
            raise bad[-1]
        # Who cannot be reached may have what the others lack; so may one that hangs, and is not asked.
        error = max(away, key=lambda error: isinstance(error, UnreachableError))
        if not isinstance(error, UnreachableError) and self._servers.one_hangs:
            raise UnreachableError(error.details[0]["model"], "one of the model servers hangs, and no other has it")
        raise error


async def _exchange(server: Server, method: str, model: str, path: str, body: bytes | None = None) -> bytes:
    """The body of a server's successful response. Raises ModelUnavailableError, BadModelAnswerError."""
    try:
        response = await server.ask(method, path, body)
    except httpx.ConnectTimeout as exc:
        raise UnreachableError(model, "the model server cannot be reached") from exc
    except (httpx.TimeoutException, TimeoutError) as exc:
        raise UnreachableError(model, "the model server did not answer in time") from exc
    except httpx.TransportError as exc:
        raise UnreachableError(model, "the model server cannot be reached") from exc
    except httpx.RequestError as exc:  # such as a body that is not what its Content-Encoding says
        logger.warning("%s %s: %r", method, path, exc)
        server.breaker.answered_badly()
        raise BadModelAnswerError(model, "its answer cannot be read") from exc
    return _content(model, response)


def _content(model: str, response: httpx.Response) -> bytes:
    """The body of a successful response; the text of any other goes to the log only."""
    if response.is_success:
        return response.content
    logger.warning("model %s: status %d: %r", model, response.status_code, response.text[:_LOGGED_BYTES])
    if reason := _ELSEWHERE.get(response.status_code):
        raise ModelUnavailableError(model, reason)
    if reason := _LATER.get(response.status_code):
        raise UnreachableError(model, reason)
    raise RefusedCallError(model, f"answered with status {response.status_code}")


def _states(model: str, body: dict[str, Any]) -> dict[int, str]:
    """The state of each version in a model's status."""
    try:
        return {int(entry["version"]): entry["state"] for entry in body["model_version_status"]}
    except (TypeError, KeyError, ValueError) as exc:
        raise BadModelAnswerError(model, "its status is not TensorFlow Serving's") from exc


def _loaded(model: str, body: dict[str, Any]) -> set[str]:
    """All versions that answer."""
    return {str(version) for version, state in _states(model, body).items() if state == "AVAILABLE"}


def _highest_version(model: str, body: dict[str, Any]) -> Version:
    """The highest version that answers."""
    states = _states(model, body)
    is_changing = not _COMING.isdisjoint(states.values())
    loaded = _loaded(model, body)
    if not loaded:
        listed = ", ".join(f"{version} {state}" for version, state in states.items()) or "none"
        error = UnreachableError if is_changing else ModelUnavailableError
        raise error(model, f"has no loaded version (versions: {listed})")
    return Version(max(loaded, key=int), is_changing)
