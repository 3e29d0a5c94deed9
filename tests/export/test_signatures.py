"""The served signatures against KerasCV's own code, on networks made of KerasCV's layers."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras_cv.src.models.stable_diffusion.constants import _UNCONDITIONAL_TOKENS
from numpy.typing import NDArray

from export import weights
from export.networks import MAX_TOKENS, PictureSize
from export.probes import to_rows
from export.signatures import timestep_embedding
from export.weights import Weights
from tests.export.conftest import SmallExport
from tests.export.kerascv import KerasCVLoop, ddim
from tests.export.served import ServedModel, floats
from tests.export.small import OTHER_SIZE, SIZE, SMALL, WIDTH

Served = dict[str, ServedModel]
CONTEXT_SHAPE = (MAX_TOKENS, WIDTH)
STEPS = 8
GUIDANCE_SCALE = 7.5


@pytest.fixture(scope="module")
def tokens() -> NDArray[np.int32]:
    """Tokens of a caption of five words."""
    return np.array([[49406, 320, 736, 2368, 320, 1929, *[49407] * 71]], np.int32)


def kerascv_loop(size: PictureSize) -> KerasCVLoop:
    """Return KerasCV's loop with the networks of the small family, built for `size` with the same random weights."""
    return KerasCVLoop(size, *(weights.build(n, Weights("random"), size, "float32") for n in SMALL.networks))


def kerascv_picture(size: PictureSize, tokens: NDArray[np.int32], latent: NDArray[np.float32]) -> Any:
    """Return KerasCV's picture (1, H, W, 3) uint8 for a caption's tokens and an initial latent."""
    loop = kerascv_loop(size)
    positions = np.arange(MAX_TOKENS, dtype=np.int32)[np.newaxis]
    context = loop.text_encoder.predict_on_batch([tokens, positions])
    return loop.generate_image(
        context, num_steps=STEPS, unconditional_guidance_scale=GUIDANCE_SCALE, diffusion_noise=latent
    )


def denoise(served: Served, suffix: str, latent: Any, x0: Any, contexts: Any, timesteps: Any, table: Any) -> Any:
    """Call `denoise` on rows and return its outputs; timesteps (B, k), table (B, k, 5)."""
    return served["diffusion_model"].call(
        f"denoise{suffix}",
        latent_bytes=latent,
        x0_bytes=x0,
        context_bytes=contexts[1],
        unconditional_context_bytes=contexts[0],
        guidance_scale=np.full(len(latent), GUIDANCE_SCALE, np.float32),
        timesteps=timesteps,
        coefficients=table,
    )


def served_picture(served: Served, size: PictureSize, tokens: Any, latent: NDArray[np.float32], k: int) -> Any:
    """Return the picture of the served chain, `k` steps a call."""
    suffix = "" if size == SIZE else f"_{size}"
    empty = np.array([_UNCONDITIONAL_TOKENS], np.int32)
    contexts = [served["text_encoder"].call("encode", tokens=row)["context_bytes"] for row in (empty, tokens)]
    timesteps, table = ddim(STEPS)
    state = {"latent_bytes": to_rows(latent), "x0_bytes": to_rows(np.zeros_like(latent))}
    for first in range(0, STEPS, k):
        part = slice(first, first + k)
        state = denoise(
            served, suffix, *(state[name] for name in ("latent_bytes", "x0_bytes")), contexts,
            timesteps[np.newaxis, part], table[np.newaxis, part],
        )  # fmt: skip
    image = served["decoder"].call(f"decode{suffix}", latent_bytes=state["latent_bytes"])["image_bytes"]
    return np.frombuffer(image[0], np.uint8).reshape(1, size.height, size.width, 3)


@pytest.mark.parametrize("size", [SIZE, OTHER_SIZE], ids=str)
def test_picture_equals_kerascvs(served: Served, size: PictureSize, tokens: NDArray[np.int32]) -> None:
    """The served chain makes KerasCV's picture with 1, 2 and 4 steps a call, at each size from one set of variables."""
    latent = np.random.default_rng(3).standard_normal((1, *size.latent_shape), np.float32)
    expected = kerascv_picture(size, tokens, latent)
    assert expected.std() > 20, "a flat picture would prove nothing"
    for k in (1, 2, 4):
        difference = np.abs(served_picture(served, size, tokens, latent, k).astype(int) - expected.astype(int))
        assert difference.max() <= 1, f"{k} steps a call"


def test_timestep_embedding_equals_kerascvs() -> None:
    """Every timestep's embedding is KerasCV's, cosines first."""
    loop = KerasCVLoop(SIZE, None, None, None)
    expected = np.concatenate([loop._get_timestep_embedding(t, 1) for t in range(1000)])
    graph = tf.function(timestep_embedding, input_signature=[tf.TensorSpec([None], tf.int32)])
    np.testing.assert_allclose(graph(np.arange(1000)), expected, rtol=0, atol=1e-6)


def test_plain_signatures_answer_as_the_keras_networks(served: Served, small_export: SmallExport) -> None:
    """`serving_default` of each network gives what the Keras model gives, for several rows."""
    rng = np.random.default_rng(4)
    tokens = rng.integers(0, 49408, (3, MAX_TOKENS)).astype(np.int32)
    positions = np.broadcast_to(np.arange(MAX_TOKENS), tokens.shape)
    context = served["text_encoder"].call("serving_default", tokens=tokens)["context"]
    close(context, small_export.keras["text_encoder"].predict_on_batch([tokens, positions]))

    latent = rng.standard_normal((3, *SIZE.latent_shape), np.float32)
    timestep = np.array([0, 500, 999], np.int32)
    noise = served["diffusion_model"].call("serving_default", latent=latent, timestep=timestep, context=context)
    close(
        noise["noise"],
        small_export.keras["diffusion_model"].predict_on_batch([latent, timestep_embedding(timestep), context]),
    )

    image = served["decoder"].call("serving_default", latent=latent)["image"]
    decoded = np.asarray(small_export.keras["decoder"].predict_on_batch(latent))
    assert image.dtype == np.uint8
    expected = np.clip((decoded + 1) / 2 * 255, 0, 255).astype(np.uint8)
    np.testing.assert_allclose(image, expected, rtol=0, atol=1)
    assert np.mean(image != expected) < 0.01, "truncated, not rounded"


def test_raw_signatures_answer_as_the_plain_ones(served: Served) -> None:
    """`encode` and `decode` give the bytes of the plain signatures' tensors."""
    rng = np.random.default_rng(5)
    tokens = rng.integers(0, 49408, (2, MAX_TOKENS)).astype(np.int32)
    plain = served["text_encoder"].call("serving_default", tokens=tokens)["context"]
    raw = served["text_encoder"].call("encode", tokens=tokens)["context_bytes"]
    np.testing.assert_array_equal(floats(raw, CONTEXT_SHAPE), plain)

    latent = rng.standard_normal((2, *SIZE.latent_shape), np.float32)
    image = served["decoder"].call("serving_default", latent=latent)["image"]
    image_bytes = served["decoder"].call("decode", latent_bytes=to_rows(latent))["image_bytes"]
    assert [bytes(row) for row in image_bytes] == [row.tobytes() for row in image]


def test_rows_are_independent(served: Served) -> None:
    """Rows with different states, captions and timesteps get in one batch what each gets alone."""
    batch, k = 3, 2
    rows = random_rows(np.random.default_rng(6), batch, k)
    together = served["diffusion_model"].call("denoise", **rows)
    for index in range(batch):
        alone = served["diffusion_model"].call("denoise", **{name: value[[index]] for name, value in rows.items()})
        for name in ("latent_bytes", "x0_bytes"):
            close(floats(together[name][[index]], SIZE.latent_shape), floats(alone[name], SIZE.latent_shape))


def test_rows_of_different_numbers_of_steps_share_a_batch(served: Served) -> None:
    """Tables filled up with zeros give each row what its own steps alone give, and no steps give the state back."""
    batch, width = 4, 5
    rows = random_rows(np.random.default_rng(10), batch, width)
    for index, steps in enumerate((1, 3, 0, 4)):
        rows["coefficients"][index, steps:] = 0
    together = served["diffusion_model"].call("denoise", **rows)
    for index, steps in enumerate((1, 3, 0, 4)):
        row = {name: value[[index]] for name, value in rows.items()}
        row |= {name: row[name][:, :steps] for name in ("timesteps", "coefficients")}
        alone = served["diffusion_model"].call("denoise", **row)
        for name in ("latent_bytes", "x0_bytes"):
            close(floats(together[name][[index]], SIZE.latent_shape), floats(alone[name], SIZE.latent_shape))


def test_every_coefficient_counts(served: Served, small_export: SmallExport) -> None:
    """Two steps follow x0 = p·x + q·noise and x, x0' = a·x + b·x0 + c·x0', x0, with the given x0' at first."""
    rows = random_rows(np.random.default_rng(7), 1, 2)
    answer = served["diffusion_model"].call("denoise", **rows)
    x, x0 = (floats(rows[name], SIZE.latent_shape) for name in ("latent_bytes", "x0_bytes"))
    contexts = [floats(rows[name], CONTEXT_SHAPE) for name in ("unconditional_context_bytes", "context_bytes")]
    for timestep, (p, q, a, b, c) in zip(rows["timesteps"][0], rows["coefficients"][0], strict=True):
        embedding = timestep_embedding(np.array([timestep]))
        unconditional, conditional = (
            np.asarray(small_export.keras["diffusion_model"].predict_on_batch([x, embedding, context]))
            for context in contexts
        )
        now = p * x + q * (unconditional + rows["guidance_scale"][0] * (conditional - unconditional))
        x, x0 = a * x + b * now + c * x0, now
    close(floats(answer["latent_bytes"], SIZE.latent_shape), x)
    close(floats(answer["x0_bytes"], SIZE.latent_shape), x0)


def test_no_steps_change_nothing(served: Served) -> None:
    """With k = 0 `denoise` gives the state back."""
    rows = random_rows(np.random.default_rng(8), 2, 0)
    answer = served["diffusion_model"].call("denoise", **rows)
    assert list(answer["latent_bytes"]) == list(rows["latent_bytes"])
    assert list(answer["x0_bytes"]) == list(rows["x0_bytes"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("latent_bytes", np.array([b"\0" * 512] * 2, dtype=object)),
        ("context_bytes", np.array([b"\0" * 4 * MAX_TOKENS * WIDTH], dtype=object)),
        ("guidance_scale", np.ones(1, np.float32)),
        ("timesteps", np.zeros((1, 4), np.int32)),
        ("coefficients", np.ones((2, 3, 5), np.float32)),
        ("coefficients", np.ones((1, 4, 5), np.float32)),
    ],
)
def test_rows_that_do_not_fit_are_refused(served: Served, name: str, value: Any) -> None:
    """A batch of two with one input of another length is an error, never a broadcast or a reshaped batch."""
    rows = random_rows(np.random.default_rng(9), 2, 2) | {name: value}
    with pytest.raises(tf.errors.InvalidArgumentError):
        served["diffusion_model"].call("denoise", **rows)


def test_metadata_shows_every_shape(served: Served) -> None:
    """What the proxy learns shapes from: each signature's inputs and outputs are fully known but for the batch."""
    shapes = {
        (role, signature): {
            name: [dim.size for dim in info.tensor_shape.dim]
            for name, info in (*definition.inputs.items(), *definition.outputs.items())
        }
        for role, model in served.items()
        for signature, definition in model.signatures.items()
    }
    assert shapes["text_encoder", "serving_default"] == {"tokens": [-1, 77], "context": [-1, 77, WIDTH]}
    assert shapes["text_encoder", "encode"] == {"tokens": [-1, 77], "context_bytes": [-1]}
    for suffix, (height, width) in {"": (64, 64), "_96x32": (32, 96)}.items():
        latent = [-1, height // 8, width // 8, 4]
        plain = "serving_default" if not suffix else f"serving{suffix}"
        assert shapes["diffusion_model", plain] == {
            "latent": latent, "timestep": [-1], "context": [-1, 77, WIDTH], "noise": latent,
        }  # fmt: skip
        assert shapes["diffusion_model", f"denoise{suffix}"] == {
            "latent_bytes": [-1], "x0_bytes": [-1], "context_bytes": [-1], "unconditional_context_bytes": [-1],
            "guidance_scale": [-1], "timesteps": [-1, -1], "coefficients": [-1, -1, 5],
        }  # fmt: skip
        assert shapes["decoder", plain] == {"latent": latent, "image": [-1, height, width, 3]}
        assert shapes["decoder", f"decode{suffix}"] == {"latent_bytes": [-1], "image_bytes": [-1]}


def test_describe_says_what_is_served(served: Served, small_export: SmallExport) -> None:
    """`describe` answers every row with the same JSON: what TensorFlow Serving's metadata cannot carry."""
    for role, model in served.items():
        answers = model.call("describe", key=np.array([b"a", b""], dtype=object))["description"]
        assert [json.loads(answer) for answer in answers] == 2 * [
            {
                "family": "small",
                "network": role,
                "parameters": small_export.keras[role].count_params(),
                "precision": "float32",
                "weights": "random",
                "tensorflow": tf.__version__,
                "keras": keras.__version__,
                **({"examples": ["a small thing"]} if role == "text_encoder" else {}),
            }
        ]


def random_rows(rng: np.random.Generator, batch: int, k: int) -> dict[str, Any]:
    """Return inputs of `denoise`, different in each row."""
    latent, x0 = (rng.standard_normal((batch, *SIZE.latent_shape), np.float32) for _ in range(2))
    context, unconditional = (rng.standard_normal((batch, *CONTEXT_SHAPE), np.float32) for _ in range(2))
    return {
        "latent_bytes": to_rows(latent),
        "x0_bytes": to_rows(x0),
        "context_bytes": to_rows(context),
        "unconditional_context_bytes": to_rows(unconditional),
        "guidance_scale": rng.uniform(0, 10, batch).astype(np.float32),
        "timesteps": rng.integers(0, 1000, (batch, k)).astype(np.int32),
        "coefficients": rng.uniform(-1, 1, (batch, k, 5)).astype(np.float32),
    }


def close(answer: Any, expected: Any) -> None:
    """Assert that two float arrays are equal but for rounding."""
    expected = np.asarray(expected)
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, expected, rtol=0, atol=2e-5 * np.abs(expected).max())
