"""A loaded SavedModel: what it answers, how it fails to load, and what it leaves out of the process."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from model_server.errors import InvalidArgumentError, LoadError, RunError
from model_server.servable import Servable, SessionOptions
from model_server.serving_metrics import ServingMetrics
from model_server.warmup import warm_up
from tests.model_server.saved_models import copy_version, warmup_record, write_warmup
from tests.model_server.server_process import ROOT

OPTIONS = SessionOptions(intra_op_threads=1, inter_op_threads=1)


@pytest.fixture(scope="module")
def linear(models: Path) -> Iterator[Servable]:
    servable = Servable.load(str(models / "linear" / "1"), OPTIONS, ServingMetrics())
    yield servable
    servable.close()


def test_default_signature(linear: Servable) -> None:
    """An empty name means serving_default; shapes of one or two dimensions are not checked against the signature."""
    signature = linear.signature("")
    assert signature.name == "serving_default"
    assert linear.predict(signature, {"x": np.array(3, np.float32)})["y"] == 3.5
    np.testing.assert_array_equal(
        linear.predict(signature, {"x": np.ones([2, 2], np.float32)})["y"], np.full([2, 2], 2.5)
    )


def test_inputs_must_be_those_of_the_signature(linear: Servable) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        linear.predict(linear.signature(""), {"x": np.array(3, np.float32), "z": np.array(3, np.float32)})
    assert str(refused.value) == (
        "input size does not match signature: 2!=1 len({x,z}) != len({x}). Sent extra: {z}. Missing but required: {}."
    )


def test_a_failed_run_has_the_code_of_tensorflow(models: Path) -> None:
    servable = Servable.load(str(models / "matrix" / "1"), OPTIONS, ServingMetrics())
    with pytest.raises(RunError, match="Matrix size-incompatible") as failed:
        servable.predict(servable.signature(""), {"x": np.ones([1, 3], np.float32)})
    servable.close()
    assert failed.value.code == "INVALID_ARGUMENT"


def test_damaged_models_do_not_load(models: Path, tmp_path: Path) -> None:
    """A missing file is NOT_FOUND; other damage has whatever code fits."""
    with pytest.raises(LoadError, match="does not exist") as missing:
        Servable.load(str(tmp_path), OPTIONS, ServingMetrics())
    assert missing.value.code == "NOT_FOUND"
    copy_version(models / "linear" / "1", tmp_path / "1")
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"not a graph")
    with pytest.raises(LoadError):
        Servable.load(str(tmp_path / "1"), OPTIONS, ServingMetrics())
    copy_version(models / "linear" / "1", tmp_path / "2")
    (tmp_path / "2" / "variables" / "variables.data-00000-of-00001").write_bytes(b"")
    with pytest.raises(LoadError):
        Servable.load(str(tmp_path / "2"), OPTIONS, ServingMetrics())


def test_warm_up_replays_every_record(models: Path, tmp_path: Path) -> None:
    copy_version(models / "several" / "1", tmp_path / "1")
    servable = Servable.load(str(tmp_path / "1"), OPTIONS, ServingMetrics())
    assert warm_up(servable, tmp_path / "1", ServingMetrics()) == 0
    good = warmup_record("reduced", a=[[1.0, 2.0]])
    write_warmup(tmp_path / "1", good, good, warmup_record(a=[[1.0, 2.0]], n=[1], flag=[True]))
    assert warm_up(servable, tmp_path / "1", ServingMetrics()) == 3
    servable.close()


def test_warm_up_has_no_time_limit(models: Path, tmp_path: Path) -> None:
    """The time-out of requests does not cut a warm-up short."""
    copy_version(models / "slow" / "1", tmp_path / "1")
    servable = Servable.load(str(tmp_path / "1"), SessionOptions(1, 1, timeout_milliseconds=50), ServingMetrics())
    with pytest.raises(RunError) as failed:
        servable.predict(servable.signature(""), {"x": np.array([2**31 - 1], np.int32)})
    assert failed.value.code == "DEADLINE_EXCEEDED"
    write_warmup(tmp_path / "1", warmup_record(x=[50_000]))
    assert warm_up(servable, tmp_path / "1", ServingMetrics()) == 1
    servable.close()


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([b"\xff\xff"], "Failed to parse warmup record"),
        ([warmup_record(x=[1.0]), warmup_record(z=[1.0], x=[1.0])], "Warm-up record 2 of .*input size does not match"),
        ([warmup_record(z=[1.0])], r"input tensor alias not found in signature: z. Inputs expected to be .* \{x\}\."),
        ([warmup_record("nosuch", x=[1.0])], 'Serving signature name: "nosuch" not found'),
        ([warmup_record(x=["text"])], "Warm-up record 1 of "),
        ([b""], "Unsupported log_type for warmup: None"),
        ([warmup_record(x=[1.0])] * 1001, r"Number of warmup records exceeds the maximum \(1000\)"),
    ],
)
def test_a_bad_record_fails_the_load(
    linear: Servable, models: Path, tmp_path: Path, records: list[bytes], message: str
) -> None:
    write_warmup(tmp_path, *records)
    with pytest.raises(LoadError, match=message):
        warm_up(linear, tmp_path, ServingMetrics())


def test_a_file_that_is_no_tfrecord_fails_the_load(linear: Servable, tmp_path: Path) -> None:
    write_warmup(tmp_path, warmup_record(x=[1.0]))
    file = tmp_path / "assets.extra" / "tf_serving_warmup_requests"
    file.write_bytes(b"x" * 100)
    with pytest.raises(LoadError, match="Please verify your warmup data is in TFRecord format") as failed:
        warm_up(linear, tmp_path, ServingMetrics())
    assert failed.value.code == "DATA_LOSS"


def test_keras_is_never_imported(models: Path) -> None:
    """Loading and running a model needs TensorFlow, but not Keras, whose import costs time and memory."""
    program = (
        "import sys; import numpy as np; import model_server.server; "
        "from model_server.servable import Servable, SessionOptions; "
        "from model_server.serving_metrics import ServingMetrics; "
        f"s = Servable.load({str(models / 'linear' / '1')!r}, SessionOptions(), ServingMetrics()); "
        "assert s.predict(s.signature(''), {'x': np.float32(1)})['y'] == 2.5; "
        "assert not [m for m in sys.modules if m.split('.')[0] in ('keras', 'keras_cv', 'tf_keras')]"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True)
