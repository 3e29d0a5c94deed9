"""Calls a SavedModel as TensorFlow Serving does: in a session of its own, by signature."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray


class ServedModel:
    """One loaded version; `close` it after use."""

    def __init__(self, path: Path) -> None:
        """Load the SavedModel at `path`."""
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        meta_graph = tf.compat.v1.saved_model.loader.load(self._session, ["serve"], str(path))
        self.signatures: Mapping[str, Any] = meta_graph.signature_def

    def call(self, signature: str, **inputs: Any) -> dict[str, NDArray[Any]]:
        """Run a signature and return its outputs by name."""
        definition = self.signatures[signature]
        feed = {definition.inputs[name].name: value for name, value in inputs.items()}
        answers: dict[str, NDArray[Any]] = self._session.run(
            {name: info.name for name, info in definition.outputs.items()}, feed
        )
        return answers

    def close(self) -> None:
        """Free the session."""
        self._session.close()


def floats(rows: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return rows of raw bytes as float32 of shape (B, *shape)."""
    return np.stack([np.frombuffer(row, np.float32).reshape(shape) for row in rows])
