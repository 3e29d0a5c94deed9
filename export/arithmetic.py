"""What the costly layers of Stable Diffusion compute, in the form that runs fastest on a CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import tensorflow as tf

Tensor: TypeAlias = Any
Pads: TypeAlias = Sequence[Sequence[int]]

# With fewer queries or keys (cross-attention has 77), a loop costs more than it saves.
_WORTH_A_LOOP = 1024
_QUERIES_AT_ONCE = 1024
# oneDNN copies a kernel into a layout of its own at every call: with many weights and few places, most of the work.
_PLACES_WORTH_A_COPY = 600
_CHEAPLY_COPIED_WEIGHTS = 1 << 20
# Channels a large power of two apart share cache lines' sets: half the speed, unless made 64 at a time.
_CROWDING_CHANNELS = (256, 512, 1024)
_CHANNELS_AT_ONCE = 64


def group_norm(x: Tensor, groups: int, gamma: Tensor, beta: Tensor, epsilon: float) -> Tensor:
    """Normalise each group of channels: x (B, ..., C) float32, gamma and beta (C,).

    The sums over places are matrix products. TensorFlow's own reduction of (B, h, w, groups, C / groups) takes ten
    times as long on a large map, and adds up a million numbers with an error of 1e-4.
    """
    batch, channels = tf.shape(x)[0], x.shape[-1]
    shape = [groups, channels // groups]
    flat = tf.reshape(x, [batch, -1, channels])
    mean = _group_means(flat, shape)
    centre = tf.reshape(tf.broadcast_to(mean, [batch, *shape]), [-1, 1, channels])
    variance = _group_means(tf.math.squared_difference(flat, centre), shape)
    scale = tf.math.rsqrt(variance + epsilon) * tf.reshape(gamma, shape)
    offset = tf.reshape(beta, shape) - mean * scale
    y = flat * tf.reshape(scale, [-1, 1, channels]) + tf.reshape(offset, [-1, 1, channels])
    return tf.reshape(y, tf.shape(x))


def _group_means(x: Tensor, shape: Sequence[int]) -> Tensor:
    """Return means over places and a group's channels: (B, places, C) -> (B, groups, 1)."""
    batch, places, _ = tf.unstack(tf.shape(x))
    share = tf.fill([batch, 1, places], 1 / tf.cast(places, tf.float32))
    return tf.reduce_mean(tf.reshape(tf.matmul(share, x), [-1, *shape]), axis=2, keepdims=True)


def attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Return softmax(queries · keysᵀ) · values: queries (B, heads, T, D), the others (B, heads, S, D).

    Large ones go by one head of one row and at most 1,024 queries at a time: the scores are some megabytes and stay in
    the cache instead of a gigabyte, and a product of two matrices is faster than one of two stacks of them.
    """
    places, sources, width = queries.shape[2], keys.shape[2], queries.shape[3]
    if min(places, sources) < _WORTH_A_LOOP:
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


def convolution(x: Tensor, kernel: Tensor, strides: Sequence[int], pads: Pads) -> Tensor:
    """Convolve in the way that is fastest for the sizes.

    Args:
        x: (B, h, w, C), h and w known when the graph is traced.
        kernel: (kh, kw, C, F).
        strides: down and right.
        pads: zeros before and after, of the height and of the width.
    """
    size = [
        (length + sum(pad) - width) // stride + 1
        for length, pad, width, stride in zip(x.shape[1:3], pads, kernel.shape[:2], strides, strict=True)
    ]
    few_places = size[0] * size[1] <= _PLACES_WORTH_A_COPY and kernel.shape.num_elements() > _CHEAPLY_COPIED_WEIGHTS
    if any(map(any, pads)):
        x = tf.pad(x, [(0, 0), *pads, (0, 0)])
    if few_places or tuple(kernel.shape[:2]) == (1, 1):
        return _convolution_as_product(x, kernel, strides, size)
    if kernel.shape[-1] not in _CROWDING_CHANNELS:
        return tf.nn.conv2d(x, kernel, strides, "VALID")
    kernels = tf.split(kernel, kernel.shape[-1] // _CHANNELS_AT_ONCE, axis=3)
    return tf.concat([tf.nn.conv2d(x, part, strides, "VALID") for part in kernels], axis=3)


def _convolution_as_product(x: Tensor, kernel: Tensor, strides: Sequence[int], size: Sequence[int]) -> Tensor:
    """Multiply each place's neighbourhood by the kernel as it lies in memory; x is padded already."""
    (height, width, channels, filters), (down, right) = kernel.shape, strides
    seen = [
        x[:, top : top + down * (size[0] - 1) + 1 : down, left : left + right * (size[1] - 1) + 1 : right]
        for top in range(height)
        for left in range(width)
    ]
    rows = tf.reshape(tf.concat(seen, axis=3), [-1, height * width * channels])
    return tf.reshape(tf.matmul(rows, tf.reshape(kernel, [-1, filters])), [-1, *size, filters])


def upsampled_convolution(x: Tensor, kernel: Tensor) -> Tensor:
    """Repeat every place of x (B, h, w, C) as 2 x 2 and convolve that with kernel (3, 3, C, F), one zero around it.

    A place of the result sees 2 x 2 different places of x, some of them several times: with those weights added up
    there are 16 products a place of x instead of 36.
    """
    (height, width), filters = x.shape[1:3], kernel.shape[-1]
    rows = []
    for top, tall in enumerate(_halves(kernel, axis=0)):
        columns = [
            convolution(x, both, (1, 1), ((1 - top, top), (1 - left, left)))
            for left, both in enumerate(_halves(tall, axis=1))
        ]
        rows.append(tf.reshape(tf.stack(columns, axis=3), [-1, height, 2 * width, filters]))
    return tf.reshape(tf.stack(rows, axis=2), [-1, 2 * height, 2 * width, filters])


def _halves(kernel: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Return what three weights along an axis are to the first and to the second of two equal places."""
    first, middle, last = tf.unstack(kernel, axis=axis)
    return tf.stack([first, middle + last], axis=axis), tf.stack([first + middle, last], axis=axis)


def dense(x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """Return x · kernel + bias for x (B, ..., C), as one product of two matrices, which the bias can be fused into."""
    y = tf.matmul(tf.reshape(x, [-1, x.shape[-1]]), kernel)
    return tf.reshape(y if bias is None else tf.nn.bias_add(y, bias), [-1, *x.shape[1:-1], kernel.shape[-1]])


def gated_gelu(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """Return value · gelu(gate), where x · kernel + bias is value and gate side by side: x (B, ..., C).

    TensorFlow runs product, bias and GELU as one operation if they stand like this.
    """
    flat = tf.reshape(x, [-1, x.shape[-1]])
    halves = zip(tf.split(kernel, 2, axis=1), tf.split(bias, 2), strict=True)
    value, gate = (tf.nn.bias_add(tf.matmul(flat, weights), offset) for weights, offset in halves)
    return tf.reshape(value * tf.nn.gelu(gate, approximate=True), [-1, *x.shape[1:-1], value.shape[-1]])
