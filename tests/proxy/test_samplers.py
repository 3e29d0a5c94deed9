"""The tables against textbook samplers written the way their papers and k-diffusion write them."""

from collections.abc import Callable

import numpy as np
import pytest
from keras_cv.src.models.stable_diffusion.constants import _ALPHAS_CUMPROD

from proxy import schedule
from proxy.samplers import SAMPLERS, Table, ddim, dpm_solver_pp_2m, euler

STEPS = [1, 2, 3, 5, 20, 50, 150]
Noise = Callable[[np.ndarray, int], np.ndarray]


def predicted_noise(x: np.ndarray, timestep: int) -> np.ndarray:
    """A smooth stand-in for the network: x in variance preserving space (3,) to noise (3,)."""
    return np.tanh(0.8 * x + 0.3 * np.cos(timestep / 300))


def follow(table: Table, noise: np.ndarray) -> np.ndarray:
    """What `denoise` does with a table, in float64."""
    x, old = noise * table.initial_scale, np.zeros_like(noise)
    for timestep, (p, q, a, b, c) in zip(table.timesteps, table.coefficients.astype(np.float64), strict=True):
        x0 = p * x + q * predicted_noise(x, int(timestep))
        x, old = a * x + b * x0 + c * old, x0
    return x


def denoised(x: np.ndarray, sigma: float, timestep: int) -> np.ndarray:
    """k-diffusion's denoiser of an ε network: D(x; σ) = x - σ·ε(x / √(σ² + 1))."""
    return x - sigma * predicted_noise(x / np.sqrt(sigma**2 + 1), timestep)


def textbook_euler(noise: np.ndarray, sigmas: np.ndarray, timesteps: np.ndarray) -> np.ndarray:
    """k-diffusion's sample_euler without churn."""
    x = noise * sigmas[0]
    for i, timestep in enumerate(timesteps):
        d = (x - denoised(x, sigmas[i], int(timestep))) / sigmas[i]
        x = x + d * (sigmas[i + 1] - sigmas[i])
    return x


def textbook_dpmpp_2m(noise: np.ndarray, sigmas: np.ndarray, timesteps: np.ndarray) -> np.ndarray:
    """k-diffusion's sample_dpmpp_2m."""
    x, old = noise * sigmas[0], None
    with np.errstate(divide="ignore"):
        t = -np.log(sigmas)
    for i, timestep in enumerate(timesteps):
        clean = denoised(x, sigmas[i], int(timestep))
        h = t[i + 1] - t[i]
        if old is None or sigmas[i + 1] == 0:
            x = (sigmas[i + 1] / sigmas[i]) * x - np.expm1(-h) * clean
        else:
            r = (t[i] - t[i - 1]) / h
            corrected = (1 + 1 / (2 * r)) * clean - (1 / (2 * r)) * old
            x = (sigmas[i + 1] / sigmas[i]) * x - np.expm1(-h) * corrected
        old = clean
    return x


NOISE = np.array([-1.3, 0.2, 0.9])


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize(("sampler", "textbook"), [(euler, textbook_euler), (dpm_solver_pp_2m, textbook_dpmpp_2m)])
def test_a_table_draws_what_k_diffusion_draws(
    steps: int, sampler: Callable[[int], Table], textbook: Callable[..., np.ndarray]
) -> None:
    table, sigmas = sampler(steps), schedule.karras_sigmas(steps)
    np.testing.assert_allclose(follow(table, NOISE), textbook(NOISE, sigmas, table.timesteps), rtol=0, atol=2e-5)


@pytest.mark.parametrize("steps", STEPS)
def test_ddim_is_the_papers(steps: int) -> None:
    """Song et al. 2021, eq. 12 with σ = 0, on KerasCV's ᾱ."""
    timesteps = ddim(steps).timesteps
    alphas = [*(_ALPHAS_CUMPROD[t] for t in timesteps), 1.0]
    x = NOISE
    for i, timestep in enumerate(timesteps):
        noise = predicted_noise(x, int(timestep))
        x0 = (x - np.sqrt(1 - alphas[i]) * noise) / np.sqrt(alphas[i])
        x = np.sqrt(alphas[i + 1]) * x0 + np.sqrt(1 - alphas[i + 1]) * noise
    np.testing.assert_allclose(follow(ddim(steps), NOISE), x, rtol=0, atol=2e-5)


def test_dpm_solver_pp_2m_is_of_second_order() -> None:
    """Twice the steps leave a quarter of the error; Euler's method leaves half of it."""

    def errors(sampler: Callable[[int], Table]) -> tuple[float, float]:
        def course(steps: int) -> np.ndarray:
            table = sampler(steps)
            fixed = Table(np.zeros_like(table.timesteps), table.coefficients, table.initial_scale)
            return follow(fixed, NOISE)

        exact = course(6400)
        return float(np.abs(course(40) - exact).max()), float(np.abs(course(80) - exact).max())

    coarse, fine = errors(dpm_solver_pp_2m)
    assert 3 < coarse / fine < 5.5
    coarse, fine = errors(euler)
    assert 1.7 < coarse / fine < 2.3


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("steps", STEPS)
def test_every_table_has_one_row_a_step_and_ends_in_its_clean_prediction(name: str, steps: int) -> None:
    table = SAMPLERS[name](steps)
    assert table.timesteps.shape == (steps,)
    assert table.timesteps.dtype == np.int32
    assert table.coefficients.shape == (steps, 5)
    assert table.coefficients.dtype == np.float32
    assert np.isfinite(table.coefficients).all()
    assert (np.diff(table.timesteps) <= 0).all()
    assert table.timesteps[-1] == (0 if steps > 1 or name == "ddim" else 999)
    assert table.coefficients[-1, 2:].tolist() == [0, 1, 0]
    assert table.coefficients[0, 4] == 0


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_perfect_network_is_followed_to_the_picture(name: str) -> None:
    """A network that always knows the clean latent is left with just that, whatever the steps."""
    clean = np.array([0.5, -0.25, 1.0])
    table = SAMPLERS[name](7)
    x, old = NOISE * table.initial_scale, np.zeros(3)
    for p, q, a, b, c in table.coefficients.astype(np.float64):
        x0 = p * x + q * ((clean - p * x) / q)
        x, old = a * x + b * x0 + c * old, x0
    np.testing.assert_allclose(x, clean, atol=1e-6)


def test_the_noise_levels_are_keras_cvs_in_float32() -> None:
    assert (schedule.alphas_cumprod().astype(np.float32) == np.array(_ALPHAS_CUMPROD, np.float32)).all()


@pytest.mark.parametrize("steps", range(1, 151))
def test_the_timesteps_are_keras_cvs(steps: int) -> None:
    """The lines of KerasCV's generate_image."""
    ratio = 999 / (steps - 1) if steps > 1 else 1000
    theirs = (np.arange(0, steps) * ratio).round().astype(np.int64)[::-1]
    assert schedule.keras_cv_timesteps(steps).tolist() == theirs.tolist()


def test_a_trained_level_is_nearest_to_itself() -> None:
    assert schedule.nearest_timesteps(schedule.sigmas()).tolist() == list(range(1000))
