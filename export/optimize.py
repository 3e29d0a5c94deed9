"""Makes the layers of a network compute the same by cheaper arithmetic while its graphs are traced."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

import tensorflow as tf
from keras import layers, ops

from export.networks import KerasModel

Tensor: TypeAlias = Any
Layer: TypeAlias = Any
Call: TypeAlias = Callable[..., Tensor]
Pads: TypeAlias = tuple[tuple[int, int], tuple[int, int]]

# Below one 1024 x 1024 matrix of scores a head, a loop costs more than it saves.
_SCORES_WORTH_A_LOOP = 1 << 20
_QUERIES_AT_ONCE = 1024
# oneDNN copies a filter into a layout of its own at every call; on fewer places than this that is most of the work.
_PLACES_WORTH_THE_COPY = 600
# Outputs a large power of two apart evict each other from the cache: half the speed, unless made 64 channels at a time.
_CHANNELS_AT_ONCE = 64
_CHANNELS_TO_SPLIT = (256, 512, 1024)


@contextmanager
def optimized(model: KerasModel, names: Sequence[str]) -> Iterator[None]:
    """Let the layers of `model` compute by the optimizations `names` inside the block; the weights are the same.

    Args:
        model: a network of any family; what its layers are decides what can be swapped.
        names: of `OPTIMIZATIONS`.
    """
    calls: dict[Layer, Call] = {}
    found = list(model._flatten_layers(include_self=False))
    for name in names:
        calls |= OPTIMIZATIONS[name](found)
    for layer, call in calls.items():
        vars(layer)["call"] = call
    try:
        yield
    finally:
        for layer in calls:
            del vars(layer)["call"]


def group_norm(layer: Layer, inputs: Tensor) -> Tensor:
    """Normalise as `keras.layers.GroupNormalization`: inputs (B, ..., C); the sums over places are matrix products.

    TensorFlow's own reduction of (B, h, w, groups, C / groups) takes ten times as long, and rounds worse.
    """
    batch, channels = tf.shape(inputs)[0], inputs.shape[-1]
    groups = [layer.groups, channels // layer.groups]
    x = tf.reshape(tf.cast(inputs, tf.float32), [batch, -1, channels])
    mean = _group_means(x, groups)
    centre = tf.reshape(tf.broadcast_to(mean, [batch, *groups]), [-1, 1, channels])
    variance = _group_means(tf.math.squared_difference(x, centre), groups)
    scale = tf.math.rsqrt(variance + layer.epsilon) * tf.reshape(layer.gamma, groups)
    offset = tf.reshape(layer.beta, groups) - mean * scale
    y = x * tf.reshape(scale, [-1, 1, channels]) + tf.reshape(offset, [-1, 1, channels])
    return tf.cast(tf.reshape(y, tf.shape(inputs)), layer.compute_dtype)


def _group_means(x: Tensor, groups: list[int]) -> Tensor:
    """Return means over places and a group's channels: (B, places, C) -> (B, groups, 1)."""
    batch, places = tf.shape(x)[0], tf.shape(x)[1]
    share = tf.fill([batch, 1, places], 1 / tf.cast(places, tf.float32))
    return tf.reduce_mean(tf.reshape(tf.matmul(share, x), [-1, *groups]), axis=2, keepdims=True)


def cross_attention(layer: Layer, inputs: Tensor, context: Tensor | None = None) -> Tensor:
    """Attend as KerasCV's `CrossAttention`: inputs (B, places, C), to themselves or to a context (B, sources, W)."""
    source = inputs if context is None else context

    def heads(x: Tensor) -> Tensor:
        return tf.transpose(tf.reshape(x, [-1, x.shape[1], layer.num_heads, layer.head_size]), [0, 2, 1, 3])

    y = attention(heads(layer.to_q(inputs) * layer.scale), heads(layer.to_k(source)), heads(layer.to_v(source)))
    y = tf.reshape(tf.transpose(y, [0, 2, 1, 3]), [-1, inputs.shape[1], layer.num_heads * layer.head_size])
    return layer.out_proj(y)


def attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Return softmax(queries · keysᵀ) · values for each head: (B, heads, places, width) of all three.

    Large ones go by a row's head and 1,024 queries at a time: the scores are 16 MB instead of a gigabyte and stay in
    the cache, and a product of two matrices is faster than one of two stacks of them.
    """
    places, width, sources = queries.shape[2], queries.shape[3], keys.shape[2]
    if places * sources < _SCORES_WORTH_A_LOOP:
        return tf.matmul(tf.nn.softmax(tf.matmul(queries, keys, transpose_b=True)), values)
    part = max(number for number in range(1, _QUERIES_AT_ONCE + 1) if places % number == 0)
    parts, shape = places // part, tf.shape(queries)
    queries = tf.reshape(queries, [-1, part, width])
    keys, values = (tf.reshape(x, [-1, sources, width]) for x in (keys, values))
    count = tf.shape(queries)[0]

    def step(index: Tensor, done: Any) -> tuple[Tensor, Any]:
        head = index // parts
        scores = tf.matmul(queries[index], keys[head], transpose_b=True)
        return index + 1, done.write(index, tf.matmul(tf.nn.softmax(scores), values[head]))

    done = tf.TensorArray(queries.dtype, count, element_shape=[part, width])
    _, done = tf.while_loop(lambda index, _: index < count, step, [tf.constant(0), done], parallel_iterations=1)
    return tf.reshape(done.stack(), shape)


def convolution(layer: Layer, inputs: Tensor) -> Tensor:
    """Convolve as `keras.layers.Conv2D`: inputs (B, h, w, C)."""
    x, kernel = inputs, ops.convert_to_tensor(layer.kernel)
    pads = ((0, 0), (0, 0))
    if layer.padding == "same":
        pads = tuple(map(_same_padding, x.shape[1:3], kernel.shape[:2], layer.strides))
    return _finish(layer, _convolve(x, kernel, layer.strides, pads))


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _finish(layer: Layer, x: Tensor) -> Tensor:
    if layer.use_bias:
        x = tf.nn.bias_add(x, ops.convert_to_tensor(layer.bias))
    return x if layer.activation is None else layer.activation(x)


def _convolve(x: Tensor, kernel: Tensor, strides: tuple[int, int], pads: Pads) -> Tensor:
    """Convolve in the way that is fastest for the sizes: x (B, h, w, C), kernel (kh, kw, C, F)."""
    size = [
        (length + sum(pad) - width) // stride + 1
        for length, pad, width, stride in zip(x.shape[1:3], pads, kernel.shape[:2], strides, strict=True)
    ]
    if size[0] * size[1] <= _PLACES_WORTH_THE_COPY:
        return _convolve_as_product(x, kernel, strides, pads, size)
    x = tf.pad(x, [(0, 0), *pads, (0, 0)])
    if kernel.shape[-1] not in _CHANNELS_TO_SPLIT:
        return tf.nn.conv2d(x, kernel, strides, "VALID")
    kernels = tf.split(kernel, kernel.shape[-1] // _CHANNELS_AT_ONCE, axis=3)
    return tf.concat([tf.nn.conv2d(x, part, strides, "VALID") for part in kernels], axis=3)


def _convolve_as_product(
    x: Tensor, kernel: Tensor, strides: tuple[int, int], pads: Pads, size: Sequence[int]
) -> Tensor:
    """Convolve as one matrix product of each place's neighbourhood with the filters as they lie in memory."""
    height, width, _, filters = kernel.shape
    x = tf.pad(x, [(0, 0), *pads, (0, 0)])
    down, right = strides
    seen = [
        x[:, top : top + down * size[0] : down, left : left + right * size[1] : right]
        for top in range(height)
        for left in range(width)
    ]
    rows = tf.reshape(tf.concat(seen, axis=3), [-1, height * width * x.shape[-1]])
    return tf.reshape(tf.matmul(rows, tf.reshape(kernel, [-1, filters])), [-1, *size, filters])


def upsampled_convolution(layer: Layer, inputs: Tensor) -> Tensor:
    """Double inputs (B, h, w, C) by repetition and convolve 3 x 3, with 16 products a place instead of 36.

    Each of the four kinds of output places sees 2 x 2 different inputs only, some of them several times, so their
    weights are added up instead.
    """
    height, width = inputs.shape[1:3]
    kernel = ops.convert_to_tensor(layer.kernel)
    rows = []
    for top, tall in enumerate(_halves(kernel, axis=0)):
        columns = [
            _finish(layer, _convolve(inputs, both, (1, 1), ((1 - top, top), (1 - left, left))))
            for left, both in enumerate(_halves(tall, axis=1))
        ]
        rows.append(tf.reshape(tf.stack(columns, axis=3), [-1, height, 2 * width, kernel.shape[-1]]))
    return tf.reshape(tf.stack(rows, axis=2), [-1, 2 * height, 2 * width, kernel.shape[-1]])


def _halves(kernel: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Return what three weights along an axis are to the first and to the second of two equal places."""
    first, middle, last = tf.unstack(kernel, axis=axis)
    return tf.stack([first, middle + last], axis=axis), tf.stack([first + middle, last], axis=axis)


def _swap_group_norms(found: list[Layer]) -> dict[Layer, Call]:
    return {
        layer: partial(group_norm, layer)
        for layer in found
        if isinstance(layer, layers.GroupNormalization) and layer.axis == -1 and layer.center and layer.scale
    }


def _swap_attention(found: list[Layer]) -> dict[Layer, Call]:
    from keras_cv.src.models.stable_diffusion.diffusion_model import CrossAttention

    return {layer: partial(cross_attention, layer) for layer in found if isinstance(layer, CrossAttention)}


def _swap_convolutions(found: list[Layer]) -> dict[Layer, Call]:
    return {
        layer: partial(convolution, layer)
        for layer in found
        if isinstance(layer, layers.Conv2D) and layer.dilation_rate == (1, 1) and layer.groups == 1
    }


def _swap_upsampling(found: list[Layer]) -> dict[Layer, Call]:
    from keras_cv.src.models.stable_diffusion.diffusion_model import Upsample
    from keras_cv.src.models.stable_diffusion.padded_conv2d import PaddedConv2D

    pairs = [(layer.ups, layer.conv) for layer in found if isinstance(layer, Upsample)]
    for layer in found:
        followers = [node.operation for node in layer._outbound_nodes]
        if isinstance(layer, layers.UpSampling2D) and len(followers) == 1:
            pairs.append((layer, followers[0]))
    calls: dict[Layer, Call] = {}
    for doubling, follower in pairs:
        padded = isinstance(follower, PaddedConv2D) and set(follower.padding2d.padding) == {(1, 1)}
        conv = follower.conv2d if padded else follower
        if (
            (doubling.size, doubling.interpolation) == ((2, 2), "nearest")
            and isinstance(conv, layers.Conv2D)
            and (padded or conv.padding == "same")
            and (conv.kernel_size, conv.strides, conv.dilation_rate, conv.groups) == ((3, 3), (1, 1), (1, 1), 1)
        ):
            calls |= {doubling: lambda inputs: inputs, follower: partial(upsampled_convolution, conv)}
    return calls


def dense(layer: Layer, inputs: Tensor) -> Tensor:
    """Compute as `keras.layers.Dense`, as one product of two matrices that the bias is added in."""
    x = tf.reshape(inputs, [-1, inputs.shape[-1]])
    y = _finish(layer, tf.matmul(x, ops.convert_to_tensor(layer.kernel)))
    return tf.reshape(y, [-1, *inputs.shape[1:-1], layer.units])


def gated_gelu(layer: Layer, inputs: Tensor) -> Tensor:
    """Compute as KerasCV's `GEGLU`: half of the features, each times the GELU of another."""
    x = tf.reshape(inputs, [-1, inputs.shape[-1]])
    weights = (tf.split(ops.convert_to_tensor(part), 2, axis=-1) for part in (layer.dense.kernel, layer.dense.bias))
    value, gate = (tf.nn.bias_add(tf.matmul(x, kernel), bias) for kernel, bias in zip(*weights, strict=True))
    return tf.reshape(value * tf.nn.gelu(gate, approximate=True), [-1, *inputs.shape[1:-1], layer.output_dim])


def _swap_dense(found: list[Layer]) -> dict[Layer, Call]:
    return {layer: partial(dense, layer) for layer in found if isinstance(layer, layers.Dense)}


def _swap_geglu(found: list[Layer]) -> dict[Layer, Call]:
    from keras_cv.src.models.stable_diffusion.diffusion_model import GEGLU

    return {layer: partial(gated_gelu, layer) for layer in found if isinstance(layer, GEGLU)}


OPTIMIZATIONS: dict[str, Callable[[list[Layer]], dict[Layer, Call]]] = {
    "group-norm": _swap_group_norms,
    "attention": _swap_attention,
    "convolution": _swap_convolutions,
    "upsampling": _swap_upsampling,
    "dense": _swap_dense,
    "geglu": _swap_geglu,
}
