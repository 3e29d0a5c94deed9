"""Lets the layers of a network compute by cheaper arithmetic while its graphs are traced."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

import tensorflow as tf
from keras import StatelessScope, layers, ops
from keras_cv.src.models.stable_diffusion.diffusion_model import GEGLU, CrossAttention, Upsample
from keras_cv.src.models.stable_diffusion.padded_conv2d import PaddedConv2D

from export import arithmetic
from export.networks import KerasModel

Tensor: TypeAlias = Any
Layer: TypeAlias = Any
Calls: TypeAlias = dict[Layer, Callable[..., Tensor]]

# On smaller maps the few microseconds of each further operation outweigh what it saves.
_NUMBERS_WORTH_NORMALISING_APART = 1 << 17
_PLACES_WORTH_FOLDING = 256
# Constants are part of the graph, which may have two gigabytes, and every signature in use keeps a copy.
_BYTES_KEPT_AS_CONSTANTS = 1 << 25


@contextmanager
def optimized(model: KerasModel, names: Sequence[str]) -> Iterator[None]:
    """Replace the `call` of layers of `model` inside the block; the weights stay the model's own.

    Args:
        model: a network of any family; layers that no optimization knows stay as they are.
        names: of `export.networks.OPTIMIZATIONS`.
    """
    found = list(model._flatten_layers(include_self=False))
    calls: Calls = {}
    for name, swap in SWAPS.items():
        if name in names:
            calls |= swap(found)
    if "constants" in names:
        calls |= _constants(model, found)
    for layer, call in calls.items():
        layer.__dict__["call"] = call
    try:
        yield
    finally:
        for layer in calls:
            del layer.__dict__["call"]


def _group_norms(found: list[Layer]) -> Calls:
    def call(layer: Layer, inputs: Tensor) -> Tensor:
        if (inputs.shape[1:].num_elements() or 0) < _NUMBERS_WORTH_NORMALISING_APART:
            return type(layer).call(layer, inputs)
        # In float32 whatever the precision, as Keras does.
        x, gamma, beta = (tf.cast(_value(tensor), tf.float32) for tensor in (inputs, layer.gamma, layer.beta))
        return tf.cast(arithmetic.group_norm(x, layer.groups, gamma, beta, layer.epsilon), layer.compute_dtype)

    return {
        layer: partial(call, layer)
        for layer in found
        if isinstance(layer, layers.GroupNormalization) and layer.axis == -1 and layer.center and layer.scale
    }


def _attention(found: list[Layer]) -> Calls:
    def call(layer: Layer, inputs: Tensor, context: Tensor | None = None) -> Tensor:
        source = inputs if context is None else context
        heads = partial(_heads, layer)
        # The queries are scaled instead of the scores, of which there are far more.
        queries = heads(layer.to_q(inputs) * layer.scale)
        y = arithmetic.attention(queries, heads(layer.to_k(source)), heads(layer.to_v(source)))
        y = tf.reshape(tf.transpose(y, [0, 2, 1, 3]), [-1, inputs.shape[1], layer.num_heads * layer.head_size])
        return layer.out_proj(y)

    return {layer: partial(call, layer) for layer in found if isinstance(layer, CrossAttention)}


def _heads(layer: Layer, x: Tensor) -> Tensor:
    """Split features into heads: (B, T, heads · D) -> (B, heads, T, D)."""
    return tf.transpose(tf.reshape(x, [-1, x.shape[1], layer.num_heads, layer.head_size]), [0, 2, 1, 3])


def _convolutions(found: list[Layer]) -> Calls:
    def call(layer: Layer, inputs: Tensor) -> Tensor:
        pads = [(0, 0), (0, 0)]
        if layer.padding == "same":
            pads = list(map(_same_padding, inputs.shape[1:3], layer.kernel_size, layer.strides))
        return _finish(layer, arithmetic.convolution(inputs, _value(layer.kernel), layer.strides, pads))

    return {layer: partial(call, layer) for layer in found if _is_plain_convolution(layer)}


def _is_plain_convolution(layer: Layer) -> bool:
    return isinstance(layer, layers.Conv2D) and layer.dilation_rate == (1, 1) and layer.groups == 1


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _upsampling(found: list[Layer]) -> Calls:
    calls: Calls = {}
    for doubling, follower in _doublings(found):
        padded = isinstance(follower, PaddedConv2D) and set(follower.padding2d.padding) == {(1, 1)}
        conv = follower.conv2d if padded else follower
        doubles = (doubling.size, doubling.interpolation) == ((2, 2), "nearest")
        keeps_size = padded or getattr(conv, "padding", None) == "same"
        if (
            doubles
            and keeps_size
            and _is_plain_convolution(conv)
            and (conv.kernel_size, conv.strides) == ((3, 3), (1, 1))
        ):
            calls |= _fold(doubling, follower, conv)
    return calls


def _doublings(found: list[Layer]) -> Iterator[tuple[Layer, Layer]]:
    """Yield each upsampling with the only layer that takes its result."""
    for layer in found:
        if isinstance(layer, Upsample):
            yield layer.ups, layer.conv
        elif isinstance(layer, layers.UpSampling2D) and len(layer._outbound_nodes) == 1:
            yield layer, layer._outbound_nodes[0].operation


def _fold(doubling: Layer, follower: Layer, conv: Layer) -> Calls:
    def call(inputs: Tensor) -> Tensor:
        if inputs.shape[1] * inputs.shape[2] < _PLACES_WORTH_FOLDING:
            return type(follower).call(follower, type(doubling).call(doubling, inputs))
        return _finish(conv, arithmetic.upsampled_convolution(inputs, _value(conv.kernel)))

    return {doubling: lambda inputs: inputs, follower: call}


def _dense(found: list[Layer]) -> Calls:
    def call(layer: Layer, inputs: Tensor, training: bool | None = None) -> Tensor:
        y = arithmetic.dense(inputs, _value(layer.kernel), None if layer.bias is None else _value(layer.bias))
        return y if layer.activation is None else layer.activation(y)

    def gated(layer: Layer, inputs: Tensor) -> Tensor:
        return arithmetic.gated_gelu(inputs, _value(layer.dense.kernel), _value(layer.dense.bias))

    calls: Calls = {layer: partial(call, layer) for layer in found if isinstance(layer, layers.Dense)}
    return calls | {layer: partial(gated, layer) for layer in found if isinstance(layer, GEGLU)}


def _constants(model: KerasModel, found: list[Layer]) -> Calls:
    """Let a small network have its weights in the graph, where oneDNN puts them into its own layout only once.

    Embeddings, of which a call reads a few rows, stay variables.
    """
    tables = {id(variable) for layer in found if isinstance(layer, layers.Embedding) for variable in layer.variables}
    arrays = [(variable, variable.numpy()) for variable in model.variables if id(variable) not in tables]
    if sum(array.nbytes for _, array in arrays) > _BYTES_KEPT_AS_CONSTANTS:
        return {}
    plain = model.call

    def call(*arguments: Any, **options: Any) -> Tensor:
        with StatelessScope([(variable, tf.constant(array)) for variable, array in arrays]):
            return plain(*arguments, **options)

    return {model: call}


def _finish(layer: Layer, x: Tensor) -> Tensor:
    if layer.use_bias:
        x = tf.nn.bias_add(x, _value(layer.bias))
    return x if layer.activation is None else layer.activation(x)


def _value(variable: Any) -> Tensor:
    """Return a layer's variable as a tensor, in the precision that the layer computes in."""
    return ops.convert_to_tensor(variable)


# In this order: an upsampling's convolution is folded with it rather than replaced alone.
SWAPS: dict[str, Callable[[list[Layer]], Calls]] = {
    "group-norm": _group_norms,
    "attention": _attention,
    "convolution": _convolutions,
    "upsampling": _upsampling,
    "dense": _dense,
}
