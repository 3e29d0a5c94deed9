"""Noise is TensorFlow's."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.noise import SEEDS, initial_noise, picture_seeds, stateless_normal

SHAPES = [(64, 64, 4), (16, 16, 4), (96, 64, 4), (3, 5, 7), (1,)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", [0, 1, 42, 1337, 2**31 - 2])
def test_noise_is_tensorflows(seed: int, shape: tuple[int, ...]) -> None:
    theirs = tf.random.stateless_normal(shape, seed=[seed, 0]).numpy()
    np.testing.assert_allclose(stateless_normal(seed, shape), theirs, rtol=0, atol=2e-6)


def test_the_first_picture_has_the_noise_of_keras_cvs_batch() -> None:
    theirs = tf.random.stateless_normal((3, 16, 16, 4), seed=[7, 0]).numpy()
    np.testing.assert_allclose(initial_noise([7], (16, 16, 4))[0], theirs[0], rtol=0, atol=2e-6)


@settings(deadline=None)
@given(st.integers(0, SEEDS - 1), st.integers(1, 16))
def test_every_picture_can_be_made_again_alone(seed: int, n: int) -> None:
    seeds = picture_seeds(seed, n)
    assert seeds[0] == seed
    assert len(set(seeds)) == n
    assert all(0 <= each < SEEDS for each in seeds)
    together = initial_noise(seeds, (2, 2, 4))
    alone = initial_noise([seeds[-1]], (2, 2, 4))[0]
    assert together.dtype == np.float32
    assert (together[-1] == alone).all()


def test_after_the_last_seed_comes_the_first() -> None:
    assert picture_seeds(2**31 - 2, 3) == [2**31 - 2, 0, 1]


def test_noise_is_normal() -> None:
    noise = stateless_normal(3, (200_000,))
    assert abs(noise.mean()) < 0.01
    assert abs(noise.std() - 1) < 0.01
    assert abs((noise**3).mean()) < 0.03
    assert abs((noise**4).mean() - 3) < 0.06
