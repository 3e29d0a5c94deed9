"""Where weights come from, and what is said of a file that is missing, damaged or another network's."""

from __future__ import annotations

import hashlib
import inspect
import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format
from keras_cv.src.models.stable_diffusion import decoder, diffusion_model, text_encoder

from export import weights
from export.errors import ChoiceError, WeightsError
from export.families import FAMILIES, Family, Network
from export.weights import Weights
from tests.export.small import SIZE, SMALL


@pytest.mark.parametrize(
    ("family", "sources"),
    [
        ("sd-v1", (text_encoder.TextEncoder, diffusion_model.DiffusionModel, decoder.Decoder)),
        ("sd-v2", (text_encoder.TextEncoderV2, diffusion_model.DiffusionModelV2, decoder.Decoder)),
    ],
)
def test_published_files_are_those_of_kerascvs_loader(family: str, sources: tuple[type, ...]) -> None:
    """Names and SHA-256 in the table are those that KerasCV's own code downloads and checks."""
    for network, source in zip(FAMILIES[family].networks, sources, strict=True):
        code = inspect.getsource(source)
        assert re.findall(r'origin="\S+/([\w.]+)"', code) == [network.weights_file]
        assert re.findall(r'file_hash="(\w+)"', code) == [network.sha256]


@pytest.mark.parametrize(
    ("family", "choice", "folder", "expected"),
    [
        ("emoji", None, None, Weights("bundled", weights.BUNDLED_FOLDER / "emoji")),
        ("emoji", "random", None, Weights("random")),
        ("sd-v1", None, None, Weights("pretrained")),
        ("sd-v2", "pretrained", None, Weights("pretrained")),
        ("sd-v1", None, Path("files"), Weights("files", Path("files"))),
        ("sd-v1", "pretrained", Path("files"), Weights("files", Path("files"))),
    ],
)
def test_choice(family: str, choice: str | None, folder: Path | None, expected: Weights) -> None:
    """Each family has a default, and a folder of files stands in for the download."""
    assert weights.choose(FAMILIES[family], choice, folder) == expected


@pytest.mark.parametrize(
    ("family", "choice", "folder", "message"),
    [
        ("emoji", "pretrained", None, "--weights pretrained: family emoji has bundled or random"),
        ("sd-v1", "bundled", None, "--weights bundled: family sd-v1 has pretrained or random"),
        ("sd-v1", "random", Path("files"), "--weights-dir .* does not go with --weights random"),
        ("emoji", None, Path("files"), "--weights-dir .* does not go with --weights bundled"),
    ],
)
def test_choices_that_do_not_go_together(family: str, choice: str | None, folder: Path | None, message: str) -> None:
    """A choice that the family does not have is refused in words."""
    with pytest.raises(ChoiceError, match=message):
        weights.choose(FAMILIES[family], choice, folder)


def published(folder: Path) -> tuple[Family, list[Any]]:
    """Write the small networks' weights as KerasCV publishes its own, in Keras's old HDF5 format."""
    networks: list[Network] = []
    models = []
    for network in SMALL.networks:
        model = network.build(SIZE, False)
        path = folder / f"{network.role}.h5"
        with h5py.File(path, "w") as file, warnings.catch_warnings():
            # Keras's writer, which only this test uses, is not up to NumPy 2.
            warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
            legacy_h5_format.save_weights_to_hdf5_group(file, model)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        networks.append(replace(network, weights_file=path.name, sha256=digest))
        models.append(model)
    return replace(SMALL, networks=(networks[0], networks[1], networks[2])), models


def test_published_files_load(tmp_path: Path) -> None:
    """Files in the format of KerasCV's load into every variable, through Keras's own loader."""
    family, models = published(tmp_path)
    source = weights.choose(family, "pretrained", tmp_path)
    weights.check(family, source)
    for network, expected in zip(family.networks, models, strict=True):
        loaded = weights.build(network, source, SIZE, "float32")
        for variable, value in zip(loaded.variables, expected.variables, strict=True):
            np.testing.assert_array_equal(variable.value, value.value)


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    """All files with a fault are named at once, before any long work, each with the SHA-256 that it should have."""
    family, _ = published(tmp_path)
    text, unet, _ = family.networks
    (tmp_path / text.weights_file).unlink()
    damaged = bytearray((tmp_path / unet.weights_file).read_bytes())
    damaged[-100] ^= 1
    (tmp_path / unet.weights_file).write_bytes(damaged)
    with pytest.raises(WeightsError) as caught:
        weights.check(family, Weights("files", tmp_path))
    missing, changed = str(caught.value).splitlines()
    assert missing == f"weights file {tmp_path}/text_encoder.h5 is missing; expected SHA-256 {text.sha256}"
    assert changed.startswith(f"weights file {tmp_path}/diffusion_model.h5 is damaged: SHA-256 ")
    assert changed.endswith(f"; expected SHA-256 {unet.sha256}")


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    """A file that Keras cannot load into the network is an error that names both."""
    family, _ = published(tmp_path)
    unet = family.networks[1]
    for content in ((tmp_path / "decoder.h5").read_bytes(), b"no HDF5"):
        (tmp_path / unet.weights_file).write_bytes(content)
        with pytest.raises(WeightsError, match=r"diffusion_model\.h5 does not fit the network diffusion_model"):
            weights.build(unet, Weights("files", tmp_path), SIZE, "float32")


def test_bundled_arrays_load(tmp_path: Path) -> None:
    """Bundled weights are float16 arrays named by the variables' paths."""
    network, size = FAMILIES["emoji"].networks[2], FAMILIES["emoji"].default_size
    model = network.build(size, False)
    arrays = {variable.path: np.asarray(variable.value, np.float16) for variable in model.variables}
    np.savez_compressed(tmp_path / network.weights_file, **arrays)
    loaded = weights.build(network, Weights("bundled", tmp_path), size, "float32")
    for variable in loaded.variables:
        np.testing.assert_array_equal(variable.value, arrays[variable.path].astype(np.float32))


@pytest.mark.parametrize("fault", ["missing", "unknown", "shape", "cut", "empty"])
def test_bundled_arrays_that_do_not_fit(tmp_path: Path, fault: str) -> None:
    """A bundled file with an array too few or too many, of another shape, or cut short is refused."""
    network, size = FAMILIES["emoji"].networks[2], FAMILIES["emoji"].default_size
    arrays = {variable.path: np.asarray(variable.value) for variable in network.build(size, False).variables}
    name = next(iter(arrays))
    changes = {"missing": {}, "unknown": {"else": arrays[name]}, "shape": {name: arrays[name][..., :1]}}
    if fault == "missing":
        del arrays[name]
    path = tmp_path / network.weights_file
    np.savez(path, **{**arrays, **changes.get(fault, {})})
    path.write_bytes(path.read_bytes()[: {"cut": 1000, "empty": 0}.get(fault)])
    with pytest.raises(WeightsError, match=r"decoder\.npz does not fit the network decoder"):
        weights.build(network, Weights("bundled", tmp_path), size, "float32")


def test_random_weights_are_the_same_every_time() -> None:
    """Two processes that need the same random network need not exchange it."""
    first, second = (weights.build(SMALL.networks[1], Weights("random"), SIZE, "float32") for _ in range(2))
    for one, other in zip(first.variables, second.variables, strict=True):
        np.testing.assert_array_equal(one.value, other.value)


def test_identity_tells_weights_apart(tmp_path: Path) -> None:
    """Bundled files are told apart by their contents, published ones by what they should contain."""
    for network in SMALL.networks:
        (tmp_path / network.weights_file).write_bytes(b"one")
    before = weights.identity(SMALL, Weights("bundled", tmp_path))
    assert before["decoder"] == hashlib.sha256(b"one").hexdigest()
    (tmp_path / "decoder.npz").write_bytes(b"two")
    assert weights.identity(SMALL, Weights("bundled", tmp_path)) != before
    v1 = FAMILIES["sd-v1"]
    assert weights.identity(v1, Weights("files", tmp_path)) == weights.identity(v1, Weights("pretrained"))
    assert weights.identity(v1, Weights("random")) != weights.identity(v1, Weights("pretrained"))
