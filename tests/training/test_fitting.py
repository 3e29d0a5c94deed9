"""Fitting goes on where it was interrupted, as if nothing had happened."""

from pathlib import Path

import keras
import numpy as np
import pytest

from training.fitting import fit

EPOCHS = 6


class Batches(keras.utils.PyDataset):
    """The same four batches every epoch; raises `KeyboardInterrupt` when asked for batch number `interrupt_at`."""

    def __init__(self, interrupt_at: int | None = None) -> None:
        super().__init__()
        random = np.random.default_rng(0)
        self.inputs = random.standard_normal((4, 8, 3)).astype(np.float32)
        self.targets = self.inputs.sum(axis=-1, keepdims=True)
        self.interrupt_at, self.asked = interrupt_at, 0

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        self.asked += 1
        return self.inputs[index], self.targets[index]

    def on_epoch_end(self) -> None:
        if self.interrupt_at is not None and self.asked >= self.interrupt_at:
            raise KeyboardInterrupt


def small_model() -> keras.Model:
    keras.utils.set_random_seed(3)
    inputs = keras.Input((3,))
    return keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Dense(4, activation="tanh")(inputs)))


def fitted(folder: Path, batches: Batches) -> list[np.ndarray]:
    model = small_model()
    fit(model, batches, EPOCHS, folder, 0.1, loss="mse")
    return model.get_weights()


def test_an_interrupted_fit_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    """Weights, their moving average, the optimizer's state and the learning rate all come back."""
    whole = fitted(tmp_path / "whole", Batches())
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path / "interrupted", Batches(interrupt_at=3 * 4))
    resumed = fitted(tmp_path / "interrupted", Batches())
    for expected, actual in zip(whole, resumed, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_a_finished_fit_is_not_done_again(tmp_path: Path) -> None:
    """The second call loads the weights and asks for no batch."""
    first = fitted(tmp_path, Batches())
    batches = Batches()
    second = fitted(tmp_path, batches)
    assert batches.asked == 0
    for expected, actual in zip(first, second, strict=True):
        np.testing.assert_array_equal(actual, expected)
