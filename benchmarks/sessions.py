"""The exported graphs in TF1 sessions of this process: what remains when every server is taken away."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.networks import PIXELS_PER_LATENT
from local.stack import threads_per_operation
from model_server.tensorflow_runtime import tf
from proxy.families import NETWORKS
from proxy.generation import Guidance, State


class SessionModels:
    """The three networks of a family, as the denoising loop takes them.

    seconds: what the graphs took since the last `reset`, by network. calls: how many there were.
    """

    def __init__(self, models: Path, family: str) -> None:
        """Load the newest versions of a family of the model repository `models`."""
        threads = threads_per_operation(models / family)
        self._graphs = {network: _Graph(_newest(models / family / network), threads) for network in NETWORKS}
        height, width, channels = self._graphs["decoder"].latent_shape
        self.latent_shape = height, width, channels
        self.seconds: dict[str, float] = {}
        self.calls = 0
        self.reset()

    def reset(self) -> None:
        """Count the seconds and calls from 0 again."""
        self.seconds, self.calls = dict.fromkeys(NETWORKS, 0.0), 0

    async def encode(self, tokens: NDArray[np.int32]) -> bytes:
        """Tokens (77,) of one caption to its context, as the graph packs it."""
        ((context,),) = self._run("text_encoder", "encode", {"tokens": tokens[np.newaxis]}, ["context_bytes"])
        return bytes(context)

    async def denoise(
        self, state: State, guidance: Guidance, timesteps: NDArray[np.int32], coefficients: NDArray[np.float32]
    ) -> State:
        """Run the k steps that timesteps (k,) and coefficients (k, 5) describe on every row of the state."""
        batch = len(state.latent)
        inputs = {
            "latent_bytes": _strings(state.latent),
            "x0_bytes": _strings(state.x0),
            "context_bytes": np.array([guidance.context] * batch, object),
            "unconditional_context_bytes": np.array([guidance.unconditional_context] * batch, object),
            "guidance_scale": np.full(batch, guidance.scale, np.float32),
            "timesteps": np.stack([timesteps] * batch),
            "coefficients": np.stack([coefficients] * batch),
        }
        latent, x0 = self._run("diffusion_model", "denoise", inputs, ["latent_bytes", "x0_bytes"])
        shape = state.latent.shape
        return State(_array(latent, np.float32).reshape(shape), _array(x0, np.float32).reshape(shape))

    async def decode(self, latent: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Latent (batch, h, w, 4) to pictures (batch, H, W, 3)."""
        (image,) = self._run("decoder", "decode", {"latent_bytes": _strings(latent)}, ["image_bytes"])
        batch, height, width, _ = latent.shape
        return _array(image, np.uint8).reshape(batch, PIXELS_PER_LATENT * height, PIXELS_PER_LATENT * width, 3)

    def _run(self, network: str, signature: str, inputs: Mapping[str, Any], outputs: list[str]) -> list[Any]:
        started = time.perf_counter()
        values = self._graphs[network].run(signature, inputs, outputs)
        self.seconds[network] += time.perf_counter() - started
        self.calls += 1
        return values


class _Graph:
    """A SavedModel in a session with the local model server's settings, loaded as TensorFlow Serving loads it."""

    def __init__(self, path: Path, threads: int) -> None:
        config = tf.ConfigProto(intra_op_parallelism_threads=threads)
        self._session = tf.Session(graph=tf.Graph(), config=config)
        loaded = tf.saved_model.loader.load(self._session, [tf.saved_model.tag_constants.SERVING], str(path))
        self._signatures = loaded.signature_def
        self._callables: dict[str, Any] = {}

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """(h, w, 4) of the default size."""
        shape = self._signatures["serving_default"].inputs["latent"].tensor_shape
        return tuple(dimension.size for dimension in shape.dim)[1:]

    def run(self, signature: str, inputs: Mapping[str, Any], outputs: list[str]) -> list[Any]:
        """The outputs of a signature, in the order asked for; the same inputs and outputs at every call."""
        if signature not in self._callables:
            definition = self._signatures[signature]
            self._callables[signature] = self._session.make_callable(
                [definition.outputs[name].name for name in outputs], [definition.inputs[name].name for name in inputs]
            )
        values: list[Any] = self._callables[signature](*inputs.values())
        return values


def _newest(folder: Path) -> Path:
    return max((path for path in folder.iterdir() if path.name.isdecimal()), key=lambda path: int(path.name))


def _strings(rows: NDArray[Any]) -> NDArray[np.object_]:
    return np.array([np.ascontiguousarray(row).tobytes() for row in rows], object)


def _array(strings: NDArray[np.object_], dtype: type[np.generic]) -> NDArray[Any]:
    return np.frombuffer(b"".join(strings), dtype)
