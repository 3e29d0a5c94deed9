"""The client of TensorFlow Serving's REST API: status, metadata and predict."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import httpx
import numpy as np
import orjson
from numpy.typing import NDArray

from proxy import metrics, wire
from proxy.contexts import Contexts
from proxy.errors import BadModelAnswerError, ModelUnavailableError, RefusedCallError, UnreachableError
from proxy.families import Family, Size
from proxy.generation import Guidance, State
from proxy.pace import MOST_STEPS_PER_CALL
from proxy.servers import Server, Servers
from proxy.tracing import described

logger = logging.getLogger(__name__)

T = TypeVar("T")

_LOGGED_BYTES = 500
# Answers that say "not here": an unknown or unloaded model, and too many requests. Another server may say otherwise.
_ELSEWHERE = {404: "is not loaded", 429: "is overloaded"}
# Answers that say "not now".
_LATER = {
    502: "the model server cannot be reached",
    503: "is not available",
    504: "did not finish within the model server's own time limit",
}
MOST_BAD_ANSWERS = 5


class ModelServer:
    """Calls of a model server, whichever of several equal ones it is. Each is asked once, until one answers well."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    async def available_version(self, model: str) -> str:
        """The version that answers now, the highest one that is loaded.

        Raises ModelUnavailableError when none is, BadModelAnswerError.
        """
        return await self._anywhere(partial(self._look, model, f"/v1/models/{model}", _highest_version))

    async def metadata(self, model: str) -> dict[str, Any]:
        """What the server says about the model's version and signatures, as it comes."""
        return await self._anywhere(partial(self._look, model, f"/v1/models/{model}/metadata", lambda _, body: body))

    async def predict(
        self,
        model: str,
        signature: str,
        inputs: Callable[[], Mapping[str, object]],
        outputs: Sequence[str],
        read: Callable[[dict[str, Any]], T],
    ) -> T:
        """What `read` makes of the named outputs of a call with `inputs`; a ValueError says that they are bad.

        Both run in a thread: bodies are megabytes, and everybody else would wait while one is written or read.
        Raises ModelUnavailableError, BadModelAnswerError.
        """
        body = await asyncio.to_thread(lambda: wire.request(signature, inputs()))

        async def call(server: Server) -> T:
            answer = await _exchange(server, "POST", model, f"/v1/models/{model}:predict", body)
            try:
                value = await asyncio.to_thread(lambda: read(wire.columns(answer, outputs)))
            except ValueError as exc:
                server.breaker.answered_badly()
                raise BadModelAnswerError(model, f"{signature} answered with {exc}") from exc
            server.breaker.answered_well()
            return value

        with described(signature=signature):
            return await self._anywhere(call)

    async def _look(self, model: str, path: str, read: Callable[[str, dict[str, Any]], T], server: Server) -> T:
        answer = await _exchange(server, "GET", model, path)
        try:
            body = orjson.loads(answer)
        except ValueError as exc:
            raise BadModelAnswerError(model, "its answer is not JSON") from exc
        if not isinstance(body, dict):
            raise BadModelAnswerError(model, "its answer is not a JSON object")
        return read(model, body)

    async def _anywhere(self, attempt: Callable[[Server], Awaitable[T]]) -> T:
        """What the first server says that answers well; if none does, what is wrong, from bad to merely absent."""
        bad: list[BadModelAnswerError] = []
        away: list[ModelUnavailableError] = []
        for number, server in enumerate(self._servers.round(), 1):
            try:
                with described(attempt=number):
                    return await attempt(server)
            except RefusedCallError:
                raise
            except BadModelAnswerError as exc:
                bad.append(exc)
            except ModelUnavailableError as exc:
                away.append(exc)
            if len(bad) == MOST_BAD_ANSWERS:
                break
        if bad:
            bad[-1].answers = len(bad)
            raise bad[-1]
        # Who cannot be reached may have what the others lack.
        raise max(away, key=lambda error: isinstance(error, UnreachableError))


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


def _highest_version(model: str, body: dict[str, Any]) -> str:
    """The highest loaded version of a model's status."""
    try:
        states = {int(entry["version"]): entry["state"] for entry in body["model_version_status"]}
    except (TypeError, KeyError, ValueError) as exc:
        raise BadModelAnswerError(model, "its status is not TensorFlow Serving's") from exc
    loaded = [version for version, state in states.items() if state == "AVAILABLE"]
    if not loaded:
        listed = ", ".join(f"{version} {state}" for version, state in states.items()) or "none"
        raise ModelUnavailableError(model, f"has no loaded version (versions: {listed})")
    return str(max(loaded))


class ServedModels:
    """The three networks of a family at one picture size, behind a model server."""

    def __init__(self, server: ModelServer, family: Family, size: Size, contexts: Contexts) -> None:
        """contexts: those that were encoded before, by this family or by others."""
        self._server, self._family, self._size, self._contexts = server, family, size, contexts

    async def encode(self, tokens: NDArray[np.int32]) -> wire.Row:
        """Tokens (77,) of one caption to its context, which `denoise` sends back as it came."""
        return await self._contexts.get((self._family, tokens.tobytes()), lambda: self._encode(tokens))

    async def _encode(self, tokens: NDArray[np.int32]) -> wire.Row:
        model, numbers = self._family.text_encoder, self._family.token_length * self._family.context_width
        return await self._server.predict(
            model,
            "encode",
            lambda: {"tokens": [tokens]},
            ["context_bytes"],
            lambda columns: wire.opaque_row(columns["context_bytes"], numbers),
        )

    async def denoise(
        self, state: State, guidance: Guidance, timesteps: NDArray[np.int32], coefficients: NDArray[np.float32]
    ) -> State:
        """Run the k (up to 25) steps that timesteps (k,) and coefficients (k, 5) describe on every row of the state."""
        names = ["latent_bytes", "x0_bytes"]
        rows, steps = len(state.latent), len(timesteps)
        with described(rows=rows, steps=steps):
            denoised = await self._server.predict(
                self._family.diffusion_model,
                self._size.signature("denoise"),
                lambda: _denoise_inputs(state, guidance, timesteps, coefficients),
                names,
                lambda columns: State(*(wire.array(columns[name], np.float32, state.latent.shape) for name in names)),
            )
        metrics.STEPS.labels(self._family.name).inc(rows * steps)
        return denoised

    async def decode(self, latent: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Latent (batch, h, w, 4) to pictures (batch, H, W, 3)."""
        shape = (len(latent), self._size.height, self._size.width, 3)
        with described(rows=len(latent)):
            return await self._server.predict(
                self._family.decoder,
                self._size.signature("decode"),
                lambda: {"latent_bytes": _raw_rows(latent)},
                ["image_bytes"],
                lambda columns: _pictures(columns["image_bytes"], shape),
            )


def _denoise_inputs(
    state: State, guidance: Guidance, timesteps: NDArray[np.int32], coefficients: NDArray[np.float32]
) -> dict[str, object]:
    batch = len(state.latent)
    return {
        "latent_bytes": _raw_rows(state.latent),
        "x0_bytes": _raw_rows(state.x0),
        "context_bytes": [guidance.context] * batch,
        "unconditional_context_bytes": [guidance.unconditional_context] * batch,
        "guidance_scale": [guidance.scale] * batch,
        "timesteps": [_filled_up(timesteps)] * batch,
        "coefficients": [_filled_up(coefficients)] * batch,
    }


def _filled_up(table: NDArray[Any]) -> NDArray[Any]:
    """The table with rows of zeros up to 25, which the networks take for no steps.

    TensorFlow Serving puts requests into one batch whatever their shapes are, and fails all of them if those differ.
    """
    width = np.zeros((MOST_STEPS_PER_CALL, *table.shape[1:]), table.dtype)
    width[: len(table)] = table
    return width


def _raw_rows(batch: NDArray[np.float32]) -> list[wire.Row]:
    return [wire.raw(row) for row in batch]


def _pictures(column: object, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    pictures = wire.array(column, np.uint8, shape)
    # NaN becomes 0 in uint8, so a decoder that overflowed draws pure black; a network that works never does.
    if not pictures.any(axis=(1, 2, 3)).all():
        raise ValueError("a picture of zeros, which is what NaN becomes")
    return pictures
