"""Builds each network as a Keras model; every builder imports its framework when called, so importing this is cheap."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from export.errors import ChoiceError

MAX_TOKENS = 77
LATENT_CHANNELS = 4
PIXELS_PER_LATENT = 8
PRECISIONS = ("float32", "float16")
OPTIMIZATIONS = ("group-norm", "attention", "convolution", "upsampling", "dense", "constants")

KerasModel: TypeAlias = Any


@dataclass(frozen=True, order=True)
class PictureSize:
    """A picture's width and height in pixels."""

    width: int
    height: int

    @classmethod
    def parse(cls, text: str) -> PictureSize:
        """Read `512x768` as width 512 and height 768; raise `ChoiceError` for anything else."""
        width, cross, height = text.lower().partition("x")
        if not (cross and width.isdecimal() and height.isdecimal()):
            raise ChoiceError(f"size {text!r} is not WIDTHxHEIGHT in pixels, such as 512x512")
        return cls(int(width), int(height))

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Shape of one latent: (height / 8, width / 8, 4)."""
        return self.height // PIXELS_PER_LATENT, self.width // PIXELS_PER_LATENT, LATENT_CHANNELS

    def __str__(self) -> str:
        """Return the size as `512x768`, the way `parse` reads it."""
        return f"{self.width}x{self.height}"


Builder: TypeAlias = Callable[[PictureSize, bool], KerasModel]
"""Takes the picture size and whether KerasCV should download and load its published weights."""


@contextmanager
def precision_policy(precision: str) -> Iterator[None]:
    """Build networks in `precision` inside the block.

    `float16` is Keras's float16 policy rather than mixed_float16: both multiply in float16, and Keras computes the
    normalisations in float32 under both, but mixed_float16 keeps float32 variables and rounds them at every call.
    Stored as float16 they take half the disk and half the memory, and give the same numbers.
    """
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def sd_v1_text_encoder(size: PictureSize, download: bool) -> KerasModel:
    """Return KerasCV's text encoder of Stable Diffusion 1: tokens, positions (B, 77) -> context (B, 77, 768)."""
    from keras_cv.src.models.stable_diffusion.text_encoder import TextEncoder

    return TextEncoder(MAX_TOKENS, download_weights=download)


def sd_v1_diffusion_model(size: PictureSize, download: bool) -> KerasModel:
    """Return KerasCV's U-Net of Stable Diffusion 1: latent, timestep_embedding (B, 320), context -> noise."""
    from keras_cv.src.models.stable_diffusion.diffusion_model import DiffusionModel

    return DiffusionModel(size.height, size.width, MAX_TOKENS, download_weights=download)


def sd_v2_text_encoder(size: PictureSize, download: bool) -> KerasModel:
    """Return KerasCV's text encoder of Stable Diffusion 2: tokens, positions (B, 77) -> context (B, 77, 1024)."""
    from keras_cv.src.models.stable_diffusion.text_encoder import TextEncoderV2

    return TextEncoderV2(MAX_TOKENS, download_weights=download)


def sd_v2_diffusion_model(size: PictureSize, download: bool) -> KerasModel:
    """Return KerasCV's U-Net of Stable Diffusion 2: latent, timestep_embedding (B, 320), context -> noise."""
    from keras_cv.src.models.stable_diffusion.diffusion_model import DiffusionModelV2

    return DiffusionModelV2(size.height, size.width, MAX_TOKENS, download_weights=download)


def sd_decoder(size: PictureSize, download: bool) -> KerasModel:
    """Return KerasCV's decoder, the same in both versions: latent (B, h, w, 4) -> picture (B, 8h, 8w, 3), -1 to 1."""
    from keras_cv.src.models.stable_diffusion.decoder import Decoder

    return Decoder(size.height, size.width, download_weights=download)


def emoji_text_encoder(size: PictureSize, download: bool) -> KerasModel:
    """Return the emoji family's text encoder: tokens, positions (B, 77) -> context (B, 77, 128)."""
    from export import emoji

    return emoji.text_encoder()


def emoji_diffusion_model(size: PictureSize, download: bool) -> KerasModel:
    """Return the emoji family's U-Net: latent (B, 16, 16, 4), timestep_embedding (B, 320), context -> noise."""
    from export import emoji

    return emoji.diffusion_model()


def emoji_decoder(size: PictureSize, download: bool) -> KerasModel:
    """Return the emoji family's decoder: latent (B, 16, 16, 4) -> picture (B, 128, 128, 3), -1 to 1."""
    from export import emoji

    return emoji.decoder()
