"""Writes a network as a SavedModel in which every weight is stored once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from export.networks import KerasModel


def write_saved_model(path: Path, model: KerasModel, signatures: Mapping[str, Any]) -> None:
    """Write a model's traced signatures, and the variables that they read, as a SavedModel into the folder `path`.

    What is saved holds the bare variables and nothing of Keras: saved together with the Keras model, its own graphs
    come along, and TensorFlow Serving then fails every request (`Could not find variable`) or stores every weight
    twice, depending on how the model is tracked.
    """
    module = tf.Module()
    read = {id(tensor) for signature in signatures.values() for tensor in signature.captured_inputs}
    module.weights = [variable.value for variable in model.variables if id(variable.value.handle) in read]
    # Without the gradients of its operations, which only training would need.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module, str(path), signatures=dict(signatures), options=options)


def stored_bytes(path: Path) -> int:
    """Return how many bytes the files of a folder take."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def weight_bytes(model: KerasModel) -> int:
    """Return how many bytes the model's variables take in memory."""
    tensors = [variable.value for variable in model.variables]
    return sum(int(tensor.shape.num_elements()) * int(tensor.dtype.size) for tensor in tensors)
