"""Finds a family's weights, checks them before any long work, and loads them into a network."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from export.errors import ChoiceError, WeightsError
from export.families import Family, Network
from export.networks import KerasModel, PictureSize, precision_policy

BUNDLED_FOLDER = Path(__file__).parent / "weights"
RANDOM_SEED = 0
_CHUNK_BYTES = 1 << 22


@dataclass(frozen=True)
class Weights:
    """Where a family's weights come from.

    Attributes:
        kind: `bundled`, `pretrained` (KerasCV downloads them), `files` (KerasCV's files in `folder`) or `random`.
        folder: where the files lie, for `bundled` and `files`.
    """

    kind: str
    folder: Path | None = None


def choose(family: Family, choice: str | None, folder: Path | None) -> Weights:
    """Return the weights that `--weights choice` and `--weights-dir folder` ask for; raise `ChoiceError` if none do."""
    kind = choice or family.weights[0]
    if kind not in family.weights:
        raise ChoiceError(f"--weights {kind}: family {family.name} has {' or '.join(family.weights)}")
    if folder is not None and kind != "pretrained":
        raise ChoiceError(f"--weights-dir holds pretrained files; it does not go with --weights {kind} ({family.name})")
    if folder is not None:
        return Weights("files", folder)
    return Weights(kind, BUNDLED_FOLDER / family.name if kind == "bundled" else None)


def check(family: Family, weights: Weights) -> None:
    """Raise `WeightsError` naming every file that is missing or damaged, and its expected SHA-256."""
    if weights.folder is None:
        return
    problems = [problem for network in family.networks if (problem := _problem(network, weights.folder))]
    if problems:
        raise WeightsError("\n".join(problems))


def identity(family: Family, weights: Weights) -> dict[str, str]:
    """Return what tells these weights from others: the SHA-256 of each file, or the seed of random ones."""
    if weights.kind == "random":
        return {network.role: f"random, seed {RANDOM_SEED}" for network in family.networks}
    if weights.folder is None or weights.kind == "files":
        return {network.role: network.sha256 for network in family.networks}
    return {network.role: sha256(weights.folder / network.weights_file) for network in family.networks}


def build(network: Network, weights: Weights, size: PictureSize, precision: str) -> KerasModel:
    """Build the network with its weights loaded; raise `WeightsError` if they do not load.

    Random weights are the same in every process, so that two of them can be compared.
    """
    import keras

    keras.utils.set_random_seed(RANDOM_SEED)
    with precision_policy(precision):
        if weights.kind == "pretrained":
            return _download(network, size)
        model = network.build(size, False)
    if weights.folder is not None:
        _load(model, weights.folder / network.weights_file)
    return model


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal, with a progress bar for a large one."""
    digest = hashlib.sha256()
    total = path.stat().st_size
    with (
        path.open("rb") as file,
        tqdm(desc=f"checking {path.name}", total=total, unit="B", unit_scale=True, disable=total < 1 << 26) as bar,
    ):
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            bar.update(len(chunk))
    return digest.hexdigest()


def _problem(network: Network, folder: Path) -> str | None:
    path = folder / network.weights_file
    expected = f"; expected SHA-256 {network.sha256}" if network.sha256 else ""
    if not path.is_file():
        return f"weights file {path} is missing{expected}"
    if network.sha256 and (found := sha256(path)) != network.sha256:
        return f"weights file {path} is damaged: SHA-256 {found}{expected}"
    return None


def _download(network: Network, size: PictureSize) -> KerasModel:
    try:
        return network.build(size, True)
    except Exception as error:  # KerasCV's downloader raises plain Exception and ValueError
        raise WeightsError(
            f"{network.weights_file} could not be downloaded by KerasCV ({error}); "
            f"bring the file (SHA-256 {network.sha256}) and name its folder with --weights-dir"
        ) from error


def _load(model: KerasModel, path: Path) -> None:
    try:
        if path.suffix == ".npz":
            load_arrays(model, path)
        else:
            model.load_weights(str(path))
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise WeightsError(f"weights file {path} does not fit the network {model.name}: {error}") from error


def load_arrays(model: KerasModel, path: Path) -> None:
    """Load an .npz file with one array for each variable, named by the variable's path.

    Raises:
        ValueError: an array is missing, unknown or of another shape.
    """
    import numpy as np

    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        names, found = {variable.path for variable in model.variables}, set(arrays.files)
        if names != found:
            raise ValueError(f"missing {sorted(names - found)}, unknown {sorted(found - names)}")
        for variable in model.variables:
            variable.assign(arrays[variable.path])
