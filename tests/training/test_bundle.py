"""Bundled weights are whole, in float16, and load into the network that they came from."""

from pathlib import Path

import keras
import numpy as np
import pytest

from export import emoji
from export.weights import BUNDLED_FOLDER, load_arrays
from training.bundle import bundle

LARGEST_BUNDLE_BYTES = 15_000_000


def test_a_bundle_loads_as_it_was_written(tmp_path: Path) -> None:
    """Every variable comes back, rounded to float16."""
    decoder = emoji.decoder()
    size = bundle(decoder, tmp_path / "decoder.npz")
    assert size == (tmp_path / "decoder.npz").stat().st_size
    other = emoji.decoder()
    load_arrays(other, tmp_path / "decoder.npz")
    for expected, actual in zip(decoder.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(actual, expected.astype(np.float16).astype(np.float32))


def test_weights_beyond_float16_are_refused(tmp_path: Path) -> None:
    """A weight of 70000 would become infinite; nothing is written."""
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Dense(1, name="wide")(inputs))
    model.set_weights([np.array([[70000.0]]), np.array([0.0])])
    with pytest.raises(ValueError, match="wide/kernel"), np.errstate(over="ignore"):
        bundle(model, tmp_path / "wide.npz")
    assert not list(tmp_path.iterdir())


def test_the_bundled_family_is_small() -> None:
    """All three networks together stay under 15 MB."""
    files = list((Path(BUNDLED_FOLDER) / "emoji").glob("*.npz"))
    assert {file.stem for file in files} == {"text_encoder", "diffusion_model", "decoder"}
    assert sum(file.stat().st_size for file in files) <= LARGEST_BUNDLE_BYTES
