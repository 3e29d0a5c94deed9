"""The warm-up requests of each exported model."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from export.warmup import WARMUP_FILE
from tests.export.conftest import SmallExport
from tests.export.served import ServedModel


@pytest.mark.parametrize(
    ("role", "signatures"),
    [
        ("text_encoder", {"encode"}),
        ("diffusion_model", {"denoise", "denoise_96x32"}),
        ("decoder", {"decode", "decode_96x32"}),
    ],
)
def test_records_are_requests_that_the_model_answers(
    small_export: SmallExport, served: dict[str, ServedModel], role: str, signatures: set[str]
) -> None:
    """Each raw signature at each size has one record of one row, in TensorFlow Serving's format, and it runs."""
    requests = {}
    for record in tf.data.TFRecordDataset(str(small_export.path(role) / WARMUP_FILE)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        assert request.model_spec.name == f"small_{role}"
        requests[request.model_spec.signature_name] = request
    assert set(requests) == signatures
    for signature, request in requests.items():
        inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
        assert {len(value) for value in inputs.values()} == {1}
        outputs = served[role].call(signature, **inputs)
        assert all(len(output) == 1 for output in outputs.values())
        assert all(
            np.isfinite(np.frombuffer(o[0], np.float32)).all()
            for n, o in outputs.items()
            if n != "image_bytes" and o.dtype == object
        )
