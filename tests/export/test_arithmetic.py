"""The arithmetic of the optimized graphs against the Keras layer, or the formula, that each form replaces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras_cv.src.models.stable_diffusion.diffusion_model import GEGLU, Upsample
from numpy.typing import NDArray

from export import arithmetic

Array = NDArray[np.float32]


def normal(*shape: int) -> Array:
    """Return normal numbers, the same for the same shape."""
    return np.random.default_rng(shape).standard_normal(shape, np.float32)


def close(found: Any, expected: Any) -> None:
    """Compare relative to the largest expected number."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def traced(function: Callable[[Any], Any], x: Array) -> Any:
    """Run a function as a graph for any number of rows."""
    return tf.function(function, input_signature=[tf.TensorSpec([None, *x.shape[1:]], tf.float32)])(x)


def randomise(layer: Any) -> None:
    """Fill all weights of a layer with normal numbers, so that none of them is 0 or 1 by default."""
    for variable in layer.variables:
        variable.assign(normal(*variable.shape))


@pytest.mark.parametrize("shape", [(3, 5, 7, 96), (1, 33, 4, 64), (2, 9, 32)], ids=str)
def test_group_norm(shape: tuple[int, ...]) -> None:
    """Groups are normalised as Keras does, at odd sizes, far from zero and without a second place axis."""
    x = normal(*shape) + 3
    layer = keras.layers.GroupNormalization(32, epsilon=1e-5)
    layer.build(x.shape)
    randomise(layer)
    close(traced(lambda x: arithmetic.group_norm(x, 32, layer.gamma, layer.beta, 1e-5), x), layer(x))


def test_group_norm_of_a_large_map_is_exact() -> None:
    """Over half a million numbers a group it stays with float64's answer."""
    x = normal(1, 256, 256, 32) + 1
    groups = x.reshape(-1, 4, 8).astype(np.float64)
    expected = (groups - groups.mean((0, 2), keepdims=True)) / np.sqrt(groups.var((0, 2), keepdims=True) + 1e-5)
    found = traced(lambda x: arithmetic.group_norm(x, 4, tf.ones(32), tf.zeros(32), 1e-5), x)
    close(found, expected.reshape(x.shape))


@pytest.mark.parametrize(("places", "sources"), [(1221, 1221), (2048, 1024), (1031, 1031), (35, 77)])
def test_attention(places: int, sources: int) -> None:
    """In parts, with a prime number of places, or whole: each row's heads attend to their own keys and values."""
    queries, keys, values = normal(2, 3, places, 8), normal(2, 3, sources, 8), normal(2, 3, sources, 8)
    scores = np.exp(np.einsum("bhtd,bhsd->bhts", queries.astype(np.float64), keys))
    expected = np.einsum("bhts,bhsd->bhtd", scores / scores.sum(-1, keepdims=True), values)
    close(traced(lambda q: arithmetic.attention(q, tf.constant(keys), tf.constant(values)), queries), expected)


@pytest.mark.parametrize(("places", "sources", "loops"), [(1024, 1024, True), (1023, 2048, False), (16384, 77, False)])
def test_only_large_attention_goes_by_parts(places: int, sources: int, loops: bool) -> None:
    """A gigabyte of scores is never in memory at once; with the 77 keys of a caption a loop would only cost time."""
    specs = [tf.TensorSpec([None, 2, length, 8], tf.float32) for length in (places, sources, sources)]
    graph = tf.function(arithmetic.attention, input_signature=specs).get_concrete_function().graph
    assert any("While" in operation.type for operation in graph.get_operations()) == loops


@pytest.mark.parametrize("padding", [((0, 0), (0, 0)), ((1, 1), (1, 1)), ((0, 1), (2, 0))], ids=str)
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (1, 3)], ids=str)
@pytest.mark.parametrize(
    ("size", "kernel"),
    [
        ((7, 5), (3, 3, 352, 352)),  # few places, many weights
        ((7, 5), (1, 1, 6, 4)),
        ((6, 9), (2, 3, 5, 256)),  # channels that crowd the cache
        ((6, 9), (3, 2, 5, 7)),
    ],
    ids=str,
)
def test_convolution(
    size: tuple[int, int], kernel: tuple[int, ...], strides: tuple[int, int], padding: tuple[tuple[int, int], ...]
) -> None:
    """Every form is TensorFlow's convolution, for any kernel, stride and padding."""
    x, weights = normal(2, *size, kernel[2]), normal(*kernel)
    expected = tf.nn.conv2d(np.pad(x, [(0, 0), *padding, (0, 0)]), weights, strides, "VALID")
    close(traced(lambda x: arithmetic.convolution(x, tf.constant(weights), strides, padding), x), expected)


@pytest.mark.parametrize(
    ("size", "kernel", "expected"),
    [
        ((7, 5), (3, 3, 352, 352), {"MatMul": 1}),
        ((7, 5), (3, 3, 32, 32), {"Conv2D": 1}),
        ((64, 32), (3, 3, 352, 352), {"Conv2D": 1}),
        ((64, 32), (1, 1, 32, 32), {"MatMul": 1}),
        ((64, 32), (3, 3, 32, 256), {"Conv2D": 4}),
        ((64, 32), (3, 3, 32, 320), {"Conv2D": 1}),
    ],
    ids=str,
)
def test_the_form_of_a_convolution(size: tuple[int, int], kernel: tuple[int, ...], expected: dict[str, int]) -> None:
    """Sizes decide between a product, a convolution, and several of 64 channels."""

    @tf.function(input_signature=[tf.TensorSpec([None, *size, kernel[2]], tf.float32)])
    def graph(x: Any) -> Any:
        return arithmetic.convolution(x, tf.zeros(kernel), (1, 1), ((1, 1), (1, 1)))

    kinds = [operation.type for operation in graph.get_concrete_function().graph.get_operations()]
    assert {kind: kinds.count(kind) for kind in ("MatMul", "Conv2D") if kind in kinds} == expected


@pytest.mark.parametrize("shape", [(2, 5, 3, 6), (1, 4, 7, 352)], ids=str)
def test_upsampled_convolution(shape: tuple[int, ...]) -> None:
    """Folding the repetition into the weights gives KerasCV's upsampling."""
    x = normal(*shape)
    layer = Upsample(shape[-1])
    layer(x)
    randomise(layer)
    bias = layer.conv.conv2d.bias
    close(traced(lambda x: arithmetic.upsampled_convolution(x, layer.conv.conv2d.kernel.value), x) + bias, layer(x))


def test_dense() -> None:
    """A product over the last axis, with a bias or without."""
    x, kernel, bias = normal(3, 5, 7, 6), normal(6, 4), normal(4)
    close(traced(lambda x: arithmetic.dense(x, tf.constant(kernel), tf.constant(bias)), x), x @ kernel + bias)
    close(traced(lambda x: arithmetic.dense(x, tf.constant(kernel), None), x), x @ kernel)


def test_gated_gelu() -> None:
    """Value and gate are KerasCV's halves, and the GELU is its approximation."""
    x = normal(2, 5, 6)
    layer = GEGLU(8)
    layer(x)
    randomise(layer)
    kernel, bias = layer.dense.kernel.value, layer.dense.bias.value
    close(traced(lambda x: arithmetic.gated_gelu(x, kernel, bias), x), layer(x))
