"""Gaussian noise for a seed, as TensorFlow's stateless normal makes it on a CPU, in NumPy.

KerasCV draws the first latent with the seed pair [seed, 0]. TensorFlow scrambles the pair into a key and a counter and
runs Philox4x32-10 (Salmon et al. 2011) through Box-Muller; both are integer or float32 arithmetic that NumPy repeats.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LARGEST_SEED = 2**31 - 2
# Keras takes seeds modulo this before TensorFlow sees them, so that the largest seed draws what seed 0 draws.
DISTINCT_SEEDS = 2**31 - 2

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_SCRAMBLE_KEY = (0x3EC8F720, 0x02461E29)
_WORD = 0xFFFFFFFF


def picture_seeds(seed: int, n: int) -> list[int]:
    """The seeds of a request's n pictures: seed + i, modulo 2^31 - 2, so that no two are the same picture.

    KerasCV would draw one noise of n rows from one seed, so that its later pictures exist only inside a batch. With a
    seed each, every picture can be made again alone; the first one is KerasCV's.
    """
    return [seed] + [(seed + i) % DISTINCT_SEEDS for i in range(1, n)]


def initial_noise(seeds: Sequence[int], shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """One noise per seed, (len(seeds), *shape) float32; row i is KerasCV's noise of a batch of 1 for that seed."""
    return np.stack([stateless_normal(seed % DISTINCT_SEEDS, shape) for seed in seeds])


def stateless_normal(seed: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """`tf.random.stateless_normal(shape, seed=[seed, 0])`, within 2e-6: (shape) float32."""
    start = np.array([[seed & _WORD, seed >> 32 & _WORD, 0, 0]], np.uint64)
    key_low, key_high, counter_2, counter_3 = (int(word) for word in _philox(start, _SCRAMBLE_KEY)[0])

    size = int(np.prod(shape))
    block = np.arange(-(-size // 4), dtype=np.uint64)
    counters = np.empty((len(block), 4), np.uint64)
    counters[:, 0] = block & np.uint64(_WORD)
    counters[:, 1] = block >> np.uint64(32)
    counters[:, 2:] = counter_2, counter_3
    return _box_muller(_philox(counters, (key_low, key_high))).reshape(-1)[:size].reshape(shape)


def _philox(counters: NDArray[np.uint64], key: tuple[int, int]) -> NDArray[np.uint64]:
    """Philox4x32-10 of (blocks, 4) counters, 32-bit words held in 64 bits for the products."""
    x0, x1, x2, x3 = counters.T
    low, high = key
    shift, word = np.uint64(32), np.uint64(_WORD)
    for _ in range(_ROUNDS):
        product_0, product_2 = x0 * _MULTIPLIERS[0], x2 * _MULTIPLIERS[1]
        x0, x1, x2, x3 = (
            product_2 >> shift ^ x1 ^ np.uint64(low),
            product_2 & word,
            product_0 >> shift ^ x3 ^ np.uint64(high),
            product_0 & word,
        )
        low, high = low + _WEYL[0] & _WORD, high + _WEYL[1] & _WORD
    return np.stack([x0, x1, x2, x3], axis=1)


def _box_muller(words: NDArray[np.uint64]) -> NDArray[np.float32]:
    """Two normal values, r·sin and r·cos, from every two words: (blocks, 4) to (blocks, 4) float32."""
    mantissas = (words & np.uint64(0x7FFFFF)).astype(np.uint32) | np.uint32(127 << 23)
    uniform = mantissas.view(np.float32) - np.float32(1)
    radius = np.sqrt(np.float32(-2) * np.log(np.maximum(uniform[:, 0::2], np.float32(1e-7))))
    angle = np.float32(2 * np.pi) * uniform[:, 1::2]
    return np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=2).reshape(-1, 4)
