"""Stage 3: the diffusion model, which learns to remove noise from latents, given what the trained text encoder says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from export import emoji
from proxy.schedule import TRAINED_STEPS, alphas_cumprod
from training.fitting import fit

LEARNING_RATE = 1.2e-3
BATCH_SIZE = 128
PASSES_PER_EPOCH = 8
CAPTION_DROP_SHARE = 0.1
MIN_SNR_GAMMA = 5.0
TIMESTEP_EXPONENT = 0.6  # t = 1000 u^0.6: more of the high noise, where a caption decides what appears


@dataclass(frozen=True)
class Contexts:
    """What the text encoder says.

    Attributes:
        captions: (N, C, 77, 128) float16: C captions of each of N pictures.
        unconditional: (77, 128) float16: the empty caption.
    """

    captions: np.ndarray
    unconditional: np.ndarray


def train_diffusion_model(latents: np.ndarray, contexts: Contexts, epochs: int, folder: Path) -> keras.Model:
    """Train on normalised latents and return the U-Net.

    Args:
        latents: (N, 16, 16, 4) float32 of variance 1.
        contexts: what is said about each of them.
        epochs: each `PASSES_PER_EPOCH` passes over the latents.
        folder: where progress is kept; training resumes from it.
    """
    model = emoji.diffusion_model()
    fit(model, _NoisyLatents(latents, contexts), epochs, folder, LEARNING_RATE, loss="mse")
    return model


def timestep_embeddings() -> np.ndarray:
    """Return KerasCV's embedding of t = 0...999: (1000, 320) float32, cosines first."""
    half = emoji.TIMESTEP_EMBEDDING_WIDTH // 2
    frequencies = np.exp(-np.log(10000) * np.arange(half) / half)
    angles = np.arange(TRAINED_STEPS)[:, None] * frequencies
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


class _NoisyLatents(keras.utils.PyDataset):
    """Batches of ((noisy latent, timestep embedding, context), noise, weight)."""

    def __init__(self, latents: np.ndarray, contexts: Contexts) -> None:
        super().__init__()
        self.latents, self.contexts = latents, contexts
        signal = alphas_cumprod()
        self.alpha, self.sigma = np.sqrt(signal).astype(np.float32), np.sqrt(1 - signal).astype(np.float32)
        self.embeddings = timestep_embeddings()
        self.weights = np.minimum(1.0, MIN_SNR_GAMMA * (self.sigma / self.alpha) ** 2)
        self.random = np.random.default_rng()  # a resumed run must not see the same noise again
        self.on_epoch_end()

    def __len__(self) -> int:
        return PASSES_PER_EPOCH * len(self.latents) // BATCH_SIZE

    def __getitem__(self, index: int) -> tuple[tuple[np.ndarray, ...], np.ndarray, np.ndarray]:
        rows = self.order[index * BATCH_SIZE : (index + 1) * BATCH_SIZE]
        t = np.minimum(TRAINED_STEPS * self.random.random(BATCH_SIZE) ** TIMESTEP_EXPONENT, TRAINED_STEPS - 1).astype(
            int
        )
        noise = self.random.standard_normal((BATCH_SIZE, *self.latents.shape[1:]), np.float32)
        noisy = self.alpha[t, None, None, None] * self.latents[rows] + self.sigma[t, None, None, None] * noise
        which = self.random.integers(self.contexts.captions.shape[1], size=BATCH_SIZE)
        context = self.contexts.captions[rows, which]
        context[self.random.random(BATCH_SIZE) < CAPTION_DROP_SHARE] = self.contexts.unconditional
        return (noisy, self.embeddings[t], context.astype(np.float32)), noise, self.weights[t, None, None]

    def on_epoch_end(self) -> None:
        passes = [self.random.permutation(len(self.latents)) for _ in range(PASSES_PER_EPOCH)]
        self.order = np.concatenate(passes)
