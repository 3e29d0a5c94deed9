"""Optimized graphs against the networks as Keras computes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras_cv.src.models.stable_diffusion.diffusion_model import Upsample

from export import weights
from export.families import FAMILIES, Family, Network
from export.networks import MAX_TOKENS, OPTIMIZATIONS, PictureSize
from export.optimize import SWAPS, optimized
from export.saved_model import write_saved_model
from export.signatures import build_signatures
from export.weights import Weights
from tests.export.small import OTHER_SIZE, SIZE, SMALL

EMOJI = FAMILIES["emoji"]
NETWORKS = [
    (SMALL, SIZE),
    pytest.param(SMALL, OTHER_SIZE, marks=pytest.mark.slow),
    pytest.param(EMOJI, EMOJI.default_size, marks=pytest.mark.slow),
]


def build(network: Network) -> Any:
    """Build a network at random, with no weight left at 0 or 1."""
    model = weights.build(network, Weights("random"), SIZE, "float32")
    rng = np.random.default_rng(5)
    for variable in model.variables:
        if len(variable.shape) == 1:
            variable.assign_add(rng.normal(0, 0.1, variable.shape))
    return model


def inputs(family: Family, network: Network, size: PictureSize) -> list[Any]:
    """Return three rows of a network's inputs."""
    rng = np.random.default_rng(6)
    if network.role == "text_encoder":
        return [rng.integers(0, 49408, (3, MAX_TOKENS)), np.broadcast_to(np.arange(MAX_TOKENS), (3, MAX_TOKENS))]
    latent = rng.standard_normal((3, *size.latent_shape), np.float32)
    if network.role == "decoder":
        return [latent]
    shapes = [(3, 320), (3, MAX_TOKENS, family.context_width)]
    return [latent, *(rng.standard_normal(shape, np.float32) for shape in shapes)]


def run(model: Any, arguments: list[Any]) -> Any:
    """Trace and run a network for any number of rows."""
    specs = [tf.TensorSpec([None, *argument.shape[1:]], argument.dtype) for argument in arguments]

    def call(*tensors: Any) -> Any:
        return model.call(list(tensors) if len(tensors) > 1 else tensors[0], training=False)

    return tf.function(call, input_signature=specs)(*arguments).numpy()


@pytest.mark.parametrize(("family", "size"), NETWORKS, ids=lambda value: getattr(value, "name", str(value)))
@pytest.mark.parametrize("index", range(3), ids=["text_encoder", "diffusion_model", "decoder"])
def test_each_optimization_answers_as_keras(family: Family, size: PictureSize, index: int) -> None:
    """Alone and all together, at another size than the network was built for too."""
    network = family.networks[index]
    model, arguments = build(network), inputs(family, network, size)
    expected = run(model, arguments)
    for names in [*([name] for name in OPTIMIZATIONS), OPTIMIZATIONS]:
        with optimized(model, names):
            found = run(model, arguments)
        assert np.abs(found - expected).max() <= 2e-5 * np.abs(expected).max(), names


@pytest.mark.parametrize("name", ["group-norm", "upsampling"])
@pytest.mark.parametrize("size", [(16, 18), (3, 5)], ids=str)
def test_large_and_small_maps_answer_as_keras(name: str, size: tuple[int, int]) -> None:
    """Both sides of the size from which a layer computes otherwise."""
    x = keras.Input((*size, 4))
    y = keras.layers.Conv2D(512, 3, padding="same", activation="tanh")(keras.layers.UpSampling2D(2)(x))
    y = keras.layers.GroupNormalization(16)(Upsample(512)(y))
    model, arguments = keras.Model(x, y), [np.random.default_rng(7).standard_normal((2, *size, 4), np.float32)]
    expected = run(model, arguments)
    with optimized(model, [name]):
        assert np.abs(run(model, arguments) - expected).max() <= 2e-5 * np.abs(expected).max()


def test_every_optimization_finds_its_layers() -> None:
    """Each finds its layers in networks made of KerasCV's."""
    calls = dict.fromkeys(SWAPS, 0)
    for network in SMALL.networks:
        model = weights.build(network, Weights("random"), SIZE, "float32")
        found = list(model._flatten_layers(include_self=False))
        for name in SWAPS:
            calls[name] += len(SWAPS[name](found))
    assert {*SWAPS, "constants"} == set(OPTIMIZATIONS)
    assert all(calls.values()), calls


def test_constants_leave_embeddings_variables(tmp_path: Path) -> None:
    """A small network's weights are in the graph and no longer beside it, but for tables of which few rows are read."""
    for network, kept in zip(SMALL.networks, (2, 0, 0), strict=True):
        model, arguments = build(network), inputs(SMALL, network, SIZE)
        with optimized(model, ["constants"]):
            signatures = build_signatures(network.role, model, SMALL.context_width, (SIZE,), {})
        path = tmp_path / network.role
        write_saved_model(path, model, signatures)
        names = [name for name, _ in tf.train.list_variables(str(path / "variables" / "variables"))]
        assert len([name for name in names if name.startswith("weights")]) == kept, network.role
        assert len(run(model, arguments)) == 3


def test_a_large_network_keeps_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is too large for a graph stays as it was."""
    model = build(SMALL.networks[2])
    monkeypatch.setattr("export.optimize._BYTES_KEPT_AS_CONSTANTS", 1 << 10)
    with optimized(model, ["constants"]):
        assert "call" not in vars(model)


def test_layers_compute_as_before_after_the_block() -> None:
    """Nothing stays replaced, an error inside included."""
    model = build(SMALL.networks[1])
    found = list(model._flatten_layers(include_self=False))

    def replaced() -> bool:
        return any("call" in vars(layer) for layer in found)

    with optimized(model, OPTIMIZATIONS):
        assert replaced()
    assert not replaced()
    with pytest.raises(ValueError, match="inside"), optimized(model, OPTIMIZATIONS):
        raise ValueError("inside")
    assert not replaced()


def test_an_upsampling_that_others_see_is_left_alone() -> None:
    """It is folded only into a 3 x 3 convolution of step 1 that keeps the size, and only if nothing else takes it."""
    shape = (4, 6, 8)
    x = keras.Input(shape)
    doubled = keras.layers.UpSampling2D(2)(x)
    shared = keras.layers.Add()([keras.layers.Conv2D(8, 3, padding="same")(doubled), doubled])
    other = [
        keras.layers.Conv2D(8, 3)(keras.layers.UpSampling2D(2)(x)),
        keras.layers.Conv2D(8, 3, strides=2, padding="same")(keras.layers.UpSampling2D(2)(x)),
        keras.layers.Conv2D(8, 5, padding="same")(keras.layers.UpSampling2D(2)(x)),
        keras.layers.Conv2D(8, 3, padding="same")(keras.layers.UpSampling2D(2, interpolation="bilinear")(x)),
        keras.layers.Conv2D(8, 3, padding="same")(keras.layers.UpSampling2D((1, 2))(x)),
    ]
    for output in (shared, *other):
        assert SWAPS["upsampling"](list(keras.Model(x, output)._flatten_layers(include_self=False))) == {}
    folded = keras.layers.Conv2D(8, 3, padding="same")(keras.layers.UpSampling2D(2)(x))
    assert len(SWAPS["upsampling"](list(keras.Model(x, folded)._flatten_layers(include_self=False)))) == 2
