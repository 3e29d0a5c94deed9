"""Stage 1: the image encoder and the decoder, which turn pictures into latents of unit variance and back."""

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
    fit(
        autoencoder, _PictureBatches(pixels, BATCH_SIZE), epochs, folder, LEARNING_RATE, loss=picture_loss,
    )  # fmt: skip
    return keras.Model(encoder.input, latent), decoder


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
        return self.noise(self.normalise(latent, training=training), training=training)


class _PictureBatches(keras.utils.PyDataset):
    """Shuffled batches of pictures in -1..1, each its own target."""

    def __init__(self, pixels: np.ndarray, batch_size: int) -> None:
        super().__init__()
        self.pixels, self.batch_size = pixels, batch_size
        self.random = np.random.default_rng(0)
        self.order = self.random.permutation(len(pixels))

    def __len__(self) -> int:
        return len(self.pixels) // self.batch_size

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        batch = self.pixels[rows].astype(np.float32) / 127.5 - 1
        return batch, batch

    def on_epoch_end(self) -> None:
        self.order = self.random.permutation(len(self.pixels))
