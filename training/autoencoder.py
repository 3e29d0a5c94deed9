"""Stages 1 and 4: the image encoder and the decoder, which turn pictures into latents of unit variance and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from export import emoji
from training.fitting import fit

LATENT_NOISE = 0.08  # standard deviation: what the diffusion model leaves over must not show in the picture
LEARNING_RATE = 1.5e-3
BATCH_SIZE = 32


def train_autoencoder(pixels: np.ndarray, epochs: int, folder: Path) -> tuple[keras.Model, keras.Model]:
    """Train on pictures and return (image encoder, decoder), trained.

    Args:
        pixels: (N, 128, 128, 3) uint8.
        epochs: passes over the pictures.
        folder: where progress is kept; training resumes from it.
    """
    encoder, decoder = emoji.image_encoder(), emoji.decoder()
    latent = NormalisedLatent(name="normalised")(encoder.output)
    autoencoder = keras.Model(encoder.input, decoder(latent), name="autoencoder")
    fit(autoencoder, _Batches(None, pixels), epochs, folder, LEARNING_RATE, loss=picture_loss)
    return keras.Model(encoder.input, latent), decoder


def refine_decoder(decoder: keras.Model, latents: np.ndarray, pixels: np.ndarray, epochs: int, folder: Path) -> None:
    """Train the decoder further, on latents that no longer change.

    Args:
        decoder: trained with its encoder; changed in place.
        latents: (N, 16, 16, 4) float32, what the encoder makes of the pictures.
        pixels: (N, 128, 128, 3) uint8.
        epochs: passes over the pictures.
        folder: where progress is kept; training resumes from it.
    """
    latent = keras.Input(latents.shape[1:])
    noisy = layers.GaussianNoise(LATENT_NOISE, dtype="float32")(latent)
    refined = keras.Model(latent, decoder(noisy), name="refined")
    fit(refined, _Batches(latents, pixels), epochs, folder, LEARNING_RATE, loss=picture_loss)


def picture_loss(target: Any, picture: Any) -> Any:
    """L1 of the pixels and of their differences to the right and below, which keeps edges sharp."""
    loss = ops.mean(ops.abs(target - picture))
    error = target - picture
    loss += ops.mean(ops.abs(error[:, 1:] - error[:, :-1]))
    return loss + ops.mean(ops.abs(error[:, :, 1:] - error[:, :, :-1]))


@keras.saving.register_keras_serializable("easel")
class NormalisedLatent(layers.Layer):
    """Latents of mean 0 and variance 1 a channel, with a little noise in training."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.normalise = layers.BatchNormalization(center=False, scale=False, epsilon=1e-5, dtype="float32")
        self.noise = layers.GaussianNoise(LATENT_NOISE, dtype="float32")

    def call(self, latent: Any, training: bool | None = None) -> Any:
        """(B, 16, 16, 4) -> the same, normalised."""
        return self.noise(self.normalise(latent, training=training), training=training)


class _Batches(keras.utils.PyDataset):
    """Shuffled batches of (inputs, pictures in -1..1); without latents, pictures are the inputs too."""

    def __init__(self, latents: np.ndarray | None, pixels: np.ndarray) -> None:
        super().__init__()
        self.latents, self.pixels = latents, pixels
        self.random = np.random.default_rng(0)
        self.order = self.random.permutation(len(pixels))

    def __len__(self) -> int:
        return len(self.pixels) // BATCH_SIZE

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self.order[index * BATCH_SIZE : (index + 1) * BATCH_SIZE]
        pictures = self.pixels[rows].astype(np.float32) / 127.5 - 1
        return (pictures if self.latents is None else self.latents[rows]), pictures

    def on_epoch_end(self) -> None:
        self.order = self.random.permutation(len(self.pixels))
