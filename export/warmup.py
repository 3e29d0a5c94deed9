"""Writes the requests that a model server runs through a model before it calls it available."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from export.probes import Arrays

WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"


def write_warmup(path: Path, model: str, requests: Mapping[str, Arrays]) -> None:
    """Write one record for each signature of `requests` into the SavedModel at `path`.

    Args:
        path: folder of one version.
        model: name that a server knows the model by.
        requests: inputs by signature; of each the first row is sent, the batch that most requests have.
    """
    file = path / WARMUP_FILE
    file.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(file)) as writer:
        for record in _records(model, requests):
            writer.write(record.SerializeToString())


def _records(model: str, requests: Mapping[str, Arrays]) -> Iterable[Any]:
    for signature, inputs in requests.items():
        log = prediction_log_pb2.PredictionLog()
        request = log.predict_log.request
        request.model_spec.name = model
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value[:1]))
        yield log
