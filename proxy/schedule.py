"""The noise levels that Stable Diffusion was trained on, and which of them n steps visit."""

import functools

import numpy as np
from numpy.typing import NDArray

TRAINED_STEPS = 1000


@functools.cache
def alphas_cumprod() -> NDArray[np.float64]:
    """ᾱ of every timestep, (1000,): the running product of 1 - β, β linear in its square root.

    Rounded to float32, in which KerasCV holds it.
    """
    beta = np.linspace(0.00085**0.5, 0.012**0.5, TRAINED_STEPS, dtype=np.float64) ** 2
    table = np.cumprod(1 - beta).astype(np.float32).astype(np.float64)
    table.flags.writeable = False
    return table


def sigmas() -> NDArray[np.float64]:
    """σ of every timestep as Karras et al. 2022 define it, noise over signal: √((1 - ᾱ) / ᾱ), (1000,), rising."""
    return np.asarray(np.sqrt((1 - alphas_cumprod()) / alphas_cumprod()))


def keras_cv_timesteps(steps: int) -> NDArray[np.int32]:
    """KerasCV's timesteps, highest first: round(i·999/(steps - 1)), half to even.

    One step alone is timestep 0, as KerasCV does it: not a useful picture, but the same one.
    """
    ratio = (TRAINED_STEPS - 1) / (steps - 1) if steps > 1 else TRAINED_STEPS
    return (np.arange(steps) * ratio).round().astype(np.int32)[::-1].copy()


def karras_sigmas(steps: int, rho: float = 7.0) -> NDArray[np.float64]:
    """Karras et al. 2022, eq. 5, from the highest trained σ to the lowest, then 0: (steps + 1,)."""
    lowest, highest = sigmas()[0], sigmas()[-1]
    ramp = np.linspace(0, 1, steps)
    levels = (highest ** (1 / rho) + ramp * (lowest ** (1 / rho) - highest ** (1 / rho))) ** rho
    return np.append(levels, 0.0)


def nearest_timesteps(levels: NDArray[np.float64]) -> NDArray[np.int32]:
    """The trained timestep whose log σ is nearest to each level's: (n,) int32."""
    distances = np.abs(np.log(levels)[:, None] - np.log(sigmas())[None, :])
    return np.asarray(distances.argmin(axis=1), np.int32)
