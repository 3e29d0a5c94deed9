"""The emoji family's networks: Stable Diffusion's parts at small width, in plain Keras, for any Keras backend.

Inputs have KerasCV's names and order, so KerasCV's own `text_to_image` can run these networks in the place of its own.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

MAX_TOKENS = 77
VOCABULARY_SIZE = 49408
END_TOKEN = 49407
CONTEXT_WIDTH = 128
PICTURE_SIZE = 128
LATENT_SIZE = 16
LATENT_CHANNELS = 4
TIMESTEP_EMBEDDING_WIDTH = 320

TEXT_LAYERS = 3
UNET_WIDTHS = (128, 192)
UNET_EMBEDDING_WIDTH = 256
DECODER_WIDTHS = (128, 48)

Tensor = Any


def text_encoder(
    vocabulary_size: int = VOCABULARY_SIZE, end_token: int = END_TOKEN, length: int | None = MAX_TOKENS
) -> keras.Model:
    """Return a CLIP-like causal transformer: tokens, positions (B, 77) int32 -> context (B, 77, 128) float32.

    Padding is never attended to, so the context at a position depends on the caption and that position alone. Training
    uses this: a short sequence whose last position is 76 has the same last context as the full one.

    Args:
        vocabulary_size: rows of the token embedding; training uses only the rows that its captions need.
        end_token: the token that ends a caption and pads it.
        length: tokens in a sequence; None for any.
    """
    tokens = keras.Input((length,), dtype="int32", name="tokens")
    positions = keras.Input((length,), dtype="int32", name="positions")
    attended = _CaptionMask(end_token, name="caption_mask")(tokens)
    x = layers.Embedding(vocabulary_size, CONTEXT_WIDTH, name="token_embedding")(tokens)
    x = layers.Add()([x, layers.Embedding(MAX_TOKENS, CONTEXT_WIDTH, name="position_embedding")(positions)])
    for index in range(TEXT_LAYERS):
        x = _transformer_layer(x, attended, f"layer_{index}")
    context = layers.LayerNormalization(epsilon=1e-5, dtype="float32", name="context")(x)
    return keras.Model([tokens, positions], context, name="text_encoder")


def diffusion_model() -> keras.Model:
    """Return the U-Net: latent (B, 16, 16, 4), timestep_embedding (B, 320), context (B, 77, 128) -> noise like latent.

    Two things are added to Stable Diffusion's design, without which a network this small learns which picture a
    caption means far more slowly: the last token's context joins the timestep embedding, and a projection of it is
    laid out over the coarse map.
    """
    latent = keras.Input((LATENT_SIZE, LATENT_SIZE, LATENT_CHANNELS), name="latent")
    timestep_embedding = keras.Input((TIMESTEP_EMBEDDING_WIDTH,), name="timestep_embedding")
    context = keras.Input((MAX_TOKENS, CONTEXT_WIDTH), name="context")
    fine, coarse = UNET_WIDTHS

    caption = context[:, -1]
    condition = _condition(timestep_embedding, caption)

    x = _space_to_depth(latent, 2)
    x = _GridPosition(name="grid_position")(layers.Conv2D(fine, 3, padding="same", name="stem")(x))
    skips = [x]
    for index in range(2):
        x = _res_block(x, condition, fine, f"down_fine_{index}")
        x = _attention(x, context, f"down_fine_attention_{index}")
        skips.append(x)
    x = layers.Conv2D(coarse, 3, strides=2, padding="same", name="downsample")(x)
    x = layers.Add()([x, _layout(caption, x.shape[1], coarse)])
    x = _res_block(x, condition, coarse, "down_coarse")
    x = _attention(x, context, "down_coarse_attention", self_attention=True)
    skip_coarse = x
    x = _res_block(x, condition, coarse, "middle")
    x = _attention(x, context, "middle_attention", self_attention=True)
    x = _res_block(layers.Concatenate()([x, skip_coarse]), condition, coarse, "up_coarse")
    x = layers.UpSampling2D(2)(x)
    x = layers.Conv2D(fine, 3, padding="same", name="upsample")(x)
    for index in range(2):
        x = _res_block(layers.Concatenate()([x, skips.pop()]), condition, fine, f"up_fine_{index}")
        x = _attention(x, context, f"up_fine_attention_{index}")
    x = layers.Activation("silu")(layers.GroupNormalization(16, epsilon=1e-5, name="norm_out")(x))
    x = layers.Conv2D(4 * LATENT_CHANNELS, 3, padding="same", dtype="float32", name="noise")(x)
    return keras.Model([latent, timestep_embedding, context], _depth_to_space(x, 2), name="diffusion_model")


def decoder() -> keras.Model:
    """Return the decoder: latent (B, 16, 16, 4) -> picture (B, 128, 128, 3) float32, about -1 to 1."""
    latent = keras.Input((LATENT_SIZE, LATENT_SIZE, LATENT_CHANNELS), name="latent")
    wide, narrow = DECODER_WIDTHS
    x = layers.Conv2D(wide, 3, padding="same", name="stem")(latent)
    for index in range(2):
        x = _plain_block(x, wide, f"block_{index}")
    x = _depth_to_space(layers.Conv2D(4 * narrow, 3, padding="same", name="upsample")(x), 2)
    for index in range(2):
        x = _plain_block(x, narrow, f"fine_block_{index}")
    x = layers.Activation("silu")(layers.GroupNormalization(16, epsilon=1e-5, name="norm_out")(x))
    x = layers.Conv2D(3 * 16, 3, padding="same", dtype="float32", name="pixels")(x)
    return keras.Model(latent, _depth_to_space(x, 4), name="decoder")


def image_encoder() -> keras.Model:
    """Return what training needs: picture (B, 128, 128, 3) -> latent (B, 16, 16, 4), not normalised yet."""
    picture = keras.Input((PICTURE_SIZE, PICTURE_SIZE, 3), name="picture")
    x = layers.Conv2D(128, 3, padding="same", name="stem")(_space_to_depth(picture, 8))
    for index in range(2):
        x = _plain_block(x, 128, f"block_{index}")
    x = layers.Conv2D(LATENT_CHANNELS, 3, padding="same", dtype="float32", name="latent")(x)
    return keras.Model(picture, x, name="image_encoder")


@keras.saving.register_keras_serializable("easel")
class _CaptionMask(layers.Layer):
    """tokens (B, L) -> (B, 1, L) bool: true up to and including a caption's first end token."""

    def __init__(self, end_token: int, **options: Any) -> None:
        super().__init__(**options)
        self.end_token = end_token

    def call(self, tokens: Tensor) -> Tensor:
        ends = ops.cast(ops.equal(tokens, self.end_token), "int32")
        return ops.expand_dims(ops.equal(ops.cumsum(ends, axis=-1) - ends, 0), 1)


@keras.saving.register_keras_serializable("easel")
class _GridPosition(layers.Layer):
    """Adds one learned vector to each place of a map, so that attention and captions can address places."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.table = self.add_weight(shape=input_shape[1:], initializer="zeros", name="table")

    def call(self, x: Tensor) -> Tensor:
        return x + ops.cast(self.table, x.dtype)


def _transformer_layer(x: Tensor, attended: Tensor, name: str) -> Tensor:
    normed = layers.LayerNormalization(epsilon=1e-5, name=f"{name}_norm1")(x)
    attention = layers.MultiHeadAttention(4, CONTEXT_WIDTH // 4, name=f"{name}_attention")
    x = layers.Add()([x, attention(normed, normed, attention_mask=attended, use_causal_mask=True)])
    hidden = layers.LayerNormalization(epsilon=1e-5, name=f"{name}_norm2")(x)
    hidden = layers.Dense(4 * CONTEXT_WIDTH, activation="gelu", name=f"{name}_fc1")(hidden)
    return layers.Add()([x, layers.Dense(CONTEXT_WIDTH, name=f"{name}_fc2")(hidden)])


def _condition(timestep_embedding: Tensor, caption: Tensor) -> Tensor:
    width = UNET_EMBEDDING_WIDTH
    time = layers.Dense(width, activation="silu", name="time_1")(timestep_embedding)
    time = layers.Dense(width, name="time_2")(time)
    words = layers.Dense(width, activation="silu", name="caption_1")(caption)
    words = layers.Dense(width, name="caption_2")(words)
    return layers.Activation("silu")(layers.Add()([time, words]))


def _layout(caption: Tensor, side: int, width: int) -> Tensor:
    """Lay a caption's vector out over a map: (B, 128) -> (B, side, side, width)."""
    x = layers.Dense(side * side * 64, name="layout")(caption)
    x = layers.Reshape((side, side, 64))(x)
    return layers.Conv2D(width, 1, name="layout_width")(x)


def _res_block(x: Tensor, condition: Tensor, width: int, name: str) -> Tensor:
    h = layers.Activation("silu")(layers.GroupNormalization(16, epsilon=1e-5, name=f"{name}_norm1")(x))
    h = layers.Conv2D(width, 3, padding="same", name=f"{name}_conv1")(h)
    shift = layers.Reshape((1, 1, width))(layers.Dense(width, name=f"{name}_condition")(condition))
    h = layers.Add()([h, shift])
    h = layers.Activation("silu")(layers.GroupNormalization(16, epsilon=1e-5, name=f"{name}_norm2")(h))
    h = layers.Conv2D(width, 3, padding="same", kernel_initializer="zeros", name=f"{name}_conv2")(h)
    if x.shape[-1] != width:
        x = layers.Conv2D(width, 1, name=f"{name}_shortcut")(x)
    return layers.Add()([x, h])


def _plain_block(x: Tensor, width: int, name: str) -> Tensor:
    h = layers.Activation("silu")(layers.GroupNormalization(16, epsilon=1e-5, name=f"{name}_norm1")(x))
    h = layers.Conv2D(width, 3, padding="same", name=f"{name}_conv1")(h)
    h = layers.Activation("silu")(layers.GroupNormalization(16, epsilon=1e-5, name=f"{name}_norm2")(h))
    return layers.Add()([x, layers.Conv2D(width, 3, padding="same", name=f"{name}_conv2")(h)])


def _attention(x: Tensor, context: Tensor, name: str, self_attention: bool = False) -> Tensor:
    side, width = x.shape[1], x.shape[-1]
    h = layers.Reshape((side * side, width))(x)
    if self_attention:
        normed = layers.LayerNormalization(epsilon=1e-5, name=f"{name}_self_norm")(h)
        h = layers.Add()([h, layers.MultiHeadAttention(4, width // 4, name=f"{name}_self")(normed, normed)])
    normed = layers.LayerNormalization(epsilon=1e-5, name=f"{name}_norm")(h)
    h = layers.Add()([h, layers.MultiHeadAttention(4, 32, name=f"{name}_cross")(normed, context)])
    return layers.Reshape((side, side, width))(h)


def _space_to_depth(x: Tensor, block: int) -> Tensor:
    side, channels = x.shape[1] // block, x.shape[-1]
    x = layers.Reshape((side, block, side, block * channels))(x)
    x = layers.Permute((1, 3, 2, 4))(x)
    return layers.Reshape((side, side, block * block * channels))(x)


def _depth_to_space(x: Tensor, block: int) -> Tensor:
    side, channels = x.shape[1], x.shape[-1] // block**2
    x = layers.Reshape((side, side, block, block * channels))(x)
    x = layers.Permute((1, 3, 2, 4))(x)
    return layers.Reshape((side * block, side * block, channels))(x)
