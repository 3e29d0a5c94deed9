"""A family of small networks, made of the layers that KerasCV makes Stable Diffusion of."""

from __future__ import annotations

from typing import Any

from export.families import DECODER, DIFFUSION_MODEL, TEXT_ENCODER, Family, Network
from export.networks import MAX_TOKENS, PictureSize

WIDTH = 32
VOCABULARY_SIZE = 49408
SIZE = PictureSize(64, 64)
OTHER_SIZE = PictureSize(96, 32)


def text_encoder(size: PictureSize, download: bool) -> Any:
    """Return one layer of KerasCV's text encoder at width 32."""
    import keras
    from keras_cv.src.models.stable_diffusion.text_encoder import CLIPEmbedding, CLIPEncoderLayer, quick_gelu

    tokens = keras.Input((MAX_TOKENS,), dtype="int32", name="tokens")
    positions = keras.Input((MAX_TOKENS,), dtype="int32", name="positions")
    x = CLIPEmbedding(VOCABULARY_SIZE, WIDTH, MAX_TOKENS)([tokens, positions])
    x = CLIPEncoderLayer(WIDTH, 2, activation=quick_gelu)(x)
    return keras.Model([tokens, positions], keras.layers.LayerNormalization(epsilon=1e-5)(x), name="text_encoder")


def diffusion_model(size: PictureSize, download: bool) -> Any:
    """Return KerasCV's U-Net with one halving and two blocks, at width 32."""
    import keras
    from keras_cv.src.models.stable_diffusion.diffusion_model import ResBlock, SpatialTransformer, Upsample
    from keras_cv.src.models.stable_diffusion.padded_conv2d import PaddedConv2D

    latent = keras.Input(size.latent_shape, name="latent")
    timestep_embedding = keras.Input((320,), name="timestep_embedding")
    context = keras.Input((MAX_TOKENS, WIDTH), name="context")
    embedding = keras.layers.Dense(WIDTH, activation="swish")(timestep_embedding)
    skip = PaddedConv2D(WIDTH, 3, padding=1)(latent)
    x = PaddedConv2D(WIDTH, 3, strides=2, padding=1)(skip)
    x = ResBlock(WIDTH)([x, embedding])
    x = SpatialTransformer(2, WIDTH // 2)([x, context])
    x = keras.layers.Concatenate()([Upsample(WIDTH)(x), skip])
    x = ResBlock(WIDTH)([x, embedding])
    noise = PaddedConv2D(4, 3, padding=1)(x)
    return keras.Model([latent, timestep_embedding, context], noise, name="diffusion_model")


def decoder(size: PictureSize, download: bool) -> Any:
    """Return KerasCV's decoder with one block of each kind, at width 32."""
    import keras
    from keras_cv.src.models.stable_diffusion.attention_block import AttentionBlock
    from keras_cv.src.models.stable_diffusion.padded_conv2d import PaddedConv2D
    from keras_cv.src.models.stable_diffusion.resnet_block import ResnetBlock

    layers = [
        keras.Input(size.latent_shape),
        keras.layers.Rescaling(1.0 / 0.18215),
        PaddedConv2D(WIDTH, 3, padding=1),
        AttentionBlock(WIDTH),
        keras.layers.UpSampling2D(8),
        ResnetBlock(WIDTH),
        PaddedConv2D(3, 3, padding=1),
    ]
    return keras.Sequential(layers, name="decoder")


SMALL = Family(
    name="small",
    networks=(
        Network(TEXT_ENCODER, text_encoder, "text_encoder.npz"),
        Network(DIFFUSION_MODEL, diffusion_model, "diffusion_model.npz"),
        Network(DECODER, decoder, "decoder.npz"),
    ),
    context_width=WIDTH,
    default_size=SIZE,
    size_multiple=16,
    weights=("random", "pretrained"),
    licence="none",
    examples=("a small thing",),
)
