"""KerasCV's own loop with other networks in the place of its own: what every served answer is held against."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras_cv.src.models.stable_diffusion.constants import _ALPHAS_CUMPROD
from keras_cv.src.models.stable_diffusion.stable_diffusion import StableDiffusionBase
from numpy.typing import NDArray

from export.networks import PictureSize


class KerasCVLoop(StableDiffusionBase):  # type: ignore[misc]
    """`StableDiffusionBase` at a size that it would round to a multiple of 128."""

    def __init__(self, size: PictureSize, text_encoder: Any, diffusion_model: Any, decoder: Any) -> None:
        """Put the given networks, built for `size`, into KerasCV's loop."""
        super().__init__(jit_compile=False)
        self.img_height, self.img_width = size.height, size.width
        self._networks = text_encoder, diffusion_model, decoder

    @property
    def text_encoder(self) -> Any:
        """The given text encoder."""
        return self._networks[0]

    @property
    def diffusion_model(self) -> Any:
        """The given U-Net."""
        return self._networks[1]

    @property
    def decoder(self) -> Any:
        """The given decoder."""
        return self._networks[2]


def ddim(steps: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return KerasCV's sampler as a table: timesteps (steps,) and p, q, a, b, c (steps, 5), the first step first."""
    timesteps = (np.arange(steps) * 999 / (steps - 1)).round().astype(np.int32)
    now = np.array([_ALPHAS_CUMPROD[t] for t in timesteps])
    before = np.append(1.0, now[:-1])
    alpha, sigma = np.sqrt(now), np.sqrt(1 - now)
    alpha_before, sigma_before = np.sqrt(before), np.sqrt(1 - before)
    ratio = sigma_before / sigma
    table = np.stack([1 / alpha, -sigma / alpha, ratio, alpha_before - ratio * alpha, np.zeros(steps)], axis=1)
    return timesteps[::-1].copy(), table[::-1].astype(np.float32)
