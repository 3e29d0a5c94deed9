"""The three networks of a family as the loop takes them: arrays in, calls of a model server, arrays out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from proxy import metrics, wire
from proxy.contexts import Contexts
from proxy.families import Family, Size
from proxy.generation import Guidance, State
from proxy.model_server import Check, ModelServer, go_on
from proxy.pace import MOST_STEPS_PER_CALL
from proxy.tracing import described

T = TypeVar("T")


class ServedModels:
    """The three networks of a family at one picture size, behind a model server."""

    def __init__(
        self, server: ModelServer, family: Family, size: Size, contexts: Contexts, check: Check = go_on
    ) -> None:
        """contexts: those that were encoded before, by this family or by others.

        check: awaited before a call that one server did not answer goes to another; what it raises ends the call.
        """
        self._server, self._family, self._size, self._contexts = server, family, size, contexts
        self._check = check

    async def encode(self, tokens: NDArray[np.int32]) -> wire.Row:
        """Tokens (77,) of one caption to its context, which `denoise` sends back as it came."""
        return await self._contexts.get((self._family, tokens.tobytes()), lambda: self._encode(tokens))

    async def _encode(self, tokens: NDArray[np.int32]) -> wire.Row:
        numbers = self._family.token_length * self._family.context_width
        return await self._predict(
            self._family.text_encoder,
            "encode",
            lambda: {"tokens": [tokens]},
            ["context_bytes"],
            lambda columns: wire.opaque_row(columns["context_bytes"], numbers),
            go_on,  # others may wait for the same context
        )

    async def denoise(
        self, state: State, guidance: Guidance, timesteps: NDArray[np.int32], coefficients: NDArray[np.float32]
    ) -> State:
        """Run the k (up to 25) steps that timesteps (k,) and coefficients (k, 5) describe on every row of the state."""
        names = ["latent_bytes", "x0_bytes"]
        rows, steps = len(state.latent), len(timesteps)
        with described(rows=rows, steps=steps):
            denoised = await self._predict(
                self._family.diffusion_model,
                self._size.signature("denoise"),
                lambda: _denoise_inputs(state, guidance, timesteps, coefficients),
                names,
                lambda columns: State(*(wire.array(columns[name], np.float32, state.latent.shape) for name in names)),
                self._check,
            )
        metrics.STEPS.labels(self._family.name).inc(rows * steps)
        return denoised

    async def decode(self, latent: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Latent (batch, h, w, 4) to pictures (batch, H, W, 3)."""
        shape = (len(latent), self._size.height, self._size.width, 3)
        with described(rows=len(latent)):
            return await self._predict(
                self._family.decoder,
                self._size.signature("decode"),
                lambda: {"latent_bytes": _raw_rows(latent)},
                ["image_bytes"],
                lambda columns: _pictures(columns["image_bytes"], shape),
                self._check,
            )

    async def _predict(
        self,
        model: str,
        signature: str,
        inputs: Callable[[], Mapping[str, object]],
        outputs: Sequence[str],
        read: Callable[[dict[str, Any]], T],
        check: Check,
    ) -> T:
        """A call of the version that the family was learned from: no picture is drawn by two."""
        return await self._server.predict(model, self._family.versions[model], signature, inputs, outputs, read, check)


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
