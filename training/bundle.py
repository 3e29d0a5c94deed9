"""Writes trained networks as the float16 arrays that the repository bundles and `export` loads."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np


def bundle(model: keras.Model, path: Path, replaced: dict[str, np.ndarray] | None = None) -> int:
    """Write a network's variables to a compressed .npz, one float16 array for each, named by the variable's path.

    Args:
        model: the trained network.
        path: the .npz to write; it appears whole or not at all.
        replaced: arrays to write in the place of the variables of these paths.

    Returns:
        The file's size in bytes.

    Raises:
        ValueError: a weight is not finite in float16.
    """
    arrays = {variable.path: keras.ops.convert_to_numpy(variable) for variable in model.variables}
    arrays |= replaced or {}
    halves = {name: array.astype(np.float16) for name, array in arrays.items()}
    for name, array in halves.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{model.name}: {name} has values that float16 cannot hold")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, **halves)
    partial.rename(path)
    return path.stat().st_size
