"""Samplers as tables: every step of a deterministic linear sampler is five numbers.

With x the latent and noise what the network predicts after guidance, a step is

    x0 = p·x + q·noise
    x, x0' = a·x + b·x0 + c·x0', x0          where x0' is the previous step's x0, and 0 before the first step

All of it is in the variance preserving space that the network reads, x = α·clean + σ·noise with α² + σ² = 1. Papers
that write their sampler for x / α (k-diffusion's x, Karras et al. 2022) are brought over by α of the step's two ends.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proxy import schedule


@dataclass(frozen=True)
class Table:
    """The whole course of a sampler.

    timesteps: (steps,) int32, what the network is told, highest first.
    coefficients: (steps, 5) float32, columns p, q, a, b, c.
    initial_scale: what unit noise is multiplied by to give the first latent.
    """

    timesteps: NDArray[np.int32]
    coefficients: NDArray[np.float32]
    initial_scale: float


def ddim(steps: int) -> Table:
    """DDIM with η = 0 (Song et al. 2021, eq. 12) on KerasCV's timesteps; the first latent is the noise itself."""
    timesteps = schedule.keras_cv_timesteps(steps)
    alpha = np.append(np.sqrt(schedule.alphas_cumprod()[timesteps]), 1.0)
    return Table(timesteps, _first_order(alpha, _sigma(alpha)), 1.0)


def euler(steps: int) -> Table:
    """Euler's method (Karras et al. 2022, algorithm 1 without churn) on Karras et al.'s noise levels.

    In this space an Euler step is a DDIM step, so only where the steps lie sets the two apart.
    """
    timesteps, alpha, sigma = _karras(steps)
    return Table(timesteps, _first_order(alpha, sigma), float(sigma[0]))


def dpm_solver_pp_2m(steps: int) -> Table:
    """DPM-Solver++(2M) (Lu et al. 2022, algorithm 2) on Karras et al.'s noise levels.

    The first step has no previous x0 and the last one ends without noise, where the correction has no limit: both
    are of first order, as in k-diffusion.
    """
    timesteps, alpha, sigma = _karras(steps)
    table = _first_order(alpha, sigma)
    log_snr = np.log(alpha[:-1] / sigma[:-1])
    width = np.diff(log_snr)
    for i in range(1, steps - 1):
        toward = -alpha[i + 1] * np.expm1(-width[i])
        correction = width[i] / (2 * width[i - 1])
        table[i, 3:] = toward * (1 + correction), -toward * correction
    return Table(timesteps, table, float(sigma[0]))


SAMPLERS: dict[str, Callable[[int], Table]] = {
    "ddim": ddim,
    "euler": euler,
    "dpmpp_2m": dpm_solver_pp_2m,
}


def _first_order(alpha: NDArray[np.float64], sigma: NDArray[np.float64]) -> NDArray[np.float32]:
    """The coefficients that keep the predicted noise and lower its level from each (α, σ) to the next."""
    here, there = (alpha[:-1], sigma[:-1]), (alpha[1:], sigma[1:])
    a = there[1] / here[1]
    columns = (1 / here[0], -here[1] / here[0], a, there[0] - a * here[0], np.zeros_like(a))
    return np.stack(columns, axis=1).astype(np.float32)


def _karras(steps: int) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.float64]]:
    """Timesteps (steps,), and α and σ (steps + 1,) of Karras et al.'s levels, ending with (1, 0)."""
    levels = schedule.karras_sigmas(steps)
    alpha = 1 / np.sqrt(1 + levels**2)
    return schedule.nearest_timesteps(levels[:-1]), alpha, levels * alpha


def _sigma(alpha: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sqrt(1 - alpha**2))
