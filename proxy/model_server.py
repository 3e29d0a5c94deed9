"""The client of TensorFlow Serving's REST API: status, metadata and predict."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import httpx
import numpy as np
import orjson
from numpy.typing import NDArray

from proxy import wire
from proxy.contexts import Contexts
from proxy.errors import BadModelAnswerError, ModelTimeoutError, ModelUnavailableError
from proxy.families import Family, Size
from proxy.generation import Guidance, State
from proxy.pace import MOST_STEPS_PER_CALL
from proxy.servers import Servers

logger = logging.getLogger(__name__)

T = TypeVar("T")

_LOGGED_BYTES = 500
# Answers that say "not now" or "not here": too many requests, unavailable, and an unloaded or unknown model.
_UNAVAILABLE = {404: "is not loaded", 429: "is overloaded", 503: "is not available"}


def _is_there(response: httpx.Response) -> bool:
    return response.status_code not in _UNAVAILABLE


def _has_a_loaded_version(response: httpx.Response) -> bool:
    return _is_there(response) and b'"AVAILABLE"' in response.content


class ModelServer:
    """Calls of a model server, whichever of several equal ones it is."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    async def available_version(self, model: str) -> str:
        """The version that answers now, the highest one that is loaded.

        Raises ModelUnavailableError when none is, ModelTimeoutError, BadModelAnswerError.
        """
        body = await self._json(model, f"/v1/models/{model}", satisfies=_has_a_loaded_version)
        try:
            states = {int(entry["version"]): entry["state"] for entry in body["model_version_status"]}
        except (TypeError, KeyError, ValueError) as exc:
            raise BadModelAnswerError(model, "its status is not TensorFlow Serving's") from exc
        loaded = [version for version, state in states.items() if state == "AVAILABLE"]
        if not loaded:
            listed = ", ".join(f"{version} {state}" for version, state in states.items()) or "none"
            raise ModelUnavailableError(model, f"has no loaded version (versions: {listed})")
        return str(max(loaded))

    async def metadata(self, model: str) -> dict[str, Any]:
        """What the server says about the model's version and signatures, as it comes."""
        return await self._json(model, f"/v1/models/{model}/metadata")

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
        """
        body = await asyncio.to_thread(lambda: wire.request(signature, inputs()))
        answer = await self._exchange("POST", model, f"/v1/models/{model}:predict", body)
        try:
            return await asyncio.to_thread(lambda: read(wire.columns(answer, outputs)))
        except ValueError as exc:
            raise BadModelAnswerError(model, f"{signature} answered with {exc}") from exc

    async def _json(
        self, model: str, path: str, *, satisfies: Callable[[httpx.Response], bool] = _is_there
    ) -> dict[str, Any]:
        answer = await self._exchange("GET", model, path, satisfies=satisfies)
        try:
            body = orjson.loads(answer)
        except ValueError as exc:
            raise BadModelAnswerError(model, "its answer is not JSON") from exc
        if not isinstance(body, dict):
            raise BadModelAnswerError(model, "its answer is not a JSON object")
        return body

    async def _exchange(
        self,
        method: str,
        model: str,
        path: str,
        body: bytes | None = None,
        *,
        satisfies: Callable[[httpx.Response], bool] = _is_there,
    ) -> bytes:
        """One request; satisfies: whether to be content with a response, or to look for a better one elsewhere."""
        try:
            response = await self._servers.request(method, path, body, satisfies)
        except httpx.ConnectTimeout as exc:
            raise ModelUnavailableError(model, "the model server cannot be reached") from exc
        except httpx.TimeoutException as exc:
            raise ModelTimeoutError(model, "the model server did not answer in time") from exc
        except httpx.TransportError as exc:
            raise ModelUnavailableError(model, "the model server cannot be reached") from exc
        except httpx.RequestError as exc:  # such as a body that is not what its Content-Encoding says
            logger.warning("%s %s: %r", method, path, exc)
            raise BadModelAnswerError(model, "its answer cannot be read") from exc
        return _content(model, response)


def _content(model: str, response: httpx.Response) -> bytes:
    """The body of a successful response; the text of any other goes to the log only."""
    if response.is_success:
        return response.content
    logger.warning("model %s: status %d: %r", model, response.status_code, response.text[:_LOGGED_BYTES])
    if reason := _UNAVAILABLE.get(response.status_code):
        raise ModelUnavailableError(model, reason)
    if response.status_code == httpx.codes.GATEWAY_TIMEOUT:
        raise ModelTimeoutError(model, "did not finish within the model server's own time limit")
    raise BadModelAnswerError(model, f"answered with status {response.status_code}")


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
        return await self._server.predict(
            self._family.diffusion_model,
            self._size.signature("denoise"),
            lambda: _denoise_inputs(state, guidance, timesteps, coefficients),
            names,
            lambda columns: State(*(wire.array(columns[name], np.float32, state.latent.shape) for name in names)),
        )

    async def decode(self, latent: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Latent (batch, h, w, 4) to pictures (batch, H, W, 3)."""
        shape = (len(latent), self._size.height, self._size.width, 3)
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
