"""Noise is TensorFlow's."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_cv.src.backend import random as keras_cv_random

from proxy.noise import DISTINCT_SEEDS, LARGEST_SEED, initial_noise, picture_seeds, stateless_normal

SHAPES = [(64, 64, 4), (16, 16, 4), (96, 64, 4), (3, 5, 7), (1,)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", [0, 1, 42, 1337, 2**31 - 2])
def test_noise_is_tensorflows(seed: int, shape: tuple[int, ...]) -> None:
    theirs = tf.random.stateless_normal(shape, seed=[seed, 0]).numpy()
    np.testing.assert_allclose(stateless_normal(seed, shape), theirs, rtol=0, atol=2e-6)


@settings(deadline=None)
@given(st.integers(0, LARGEST_SEED), st.integers(1, 16))
def test_every_picture_can_be_made_again_alone(seed: int, n: int) -> None:
    seeds = picture_seeds(seed, n)
    assert seeds[0] == seed
    assert len({each % DISTINCT_SEEDS for each in seeds}) == n
    assert all(0 <= each <= LARGEST_SEED for each in seeds)
    together = initial_noise(seeds, (2, 2, 4))
    alone = initial_noise([seeds[-1]], (2, 2, 4))[0]
    assert together.dtype == np.float32
    assert (together[-1] == alone).all()


def test_after_the_last_seed_the_seeds_begin_anew() -> None:
    assert picture_seeds(2**31 - 3, 3) == [2**31 - 3, 0, 1]


def test_the_largest_seed_is_keras_alias_of_zero() -> None:
    """Keras draws the same noise for both; a batch that begins there does not draw it twice."""
    assert picture_seeds(2**31 - 2, 3) == [2**31 - 2, 1, 2]


@pytest.mark.parametrize("seed", [0, 7, 2**24 + 1, 2**31 - 3, 2**31 - 2])
def test_the_first_noise_of_a_seed_is_keras_own(seed: int) -> None:
    theirs = np.asarray(keras_cv_random.normal((2, 16, 16, 4), seed=seed))[0]
    np.testing.assert_allclose(initial_noise([seed], (16, 16, 4))[0], theirs, rtol=0, atol=2e-6)


def test_noise_is_normal() -> None:
    noise = stateless_normal(3, (200_000,))
    assert abs(noise.mean()) < 0.01
    assert abs(noise.std() - 1) < 0.01
    assert abs((noise**3).mean()) < 0.03
    assert abs((noise**4).mean() - 3) < 0.06
