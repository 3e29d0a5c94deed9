"""Batching in a real server process, on a model that tells how many rows ran together."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.model_server import saved_models
from tests.model_server.saved_models import copy_version, warmup_record, write_warmup
from tests.model_server.server_process import Answer, ServerProcess

FOREVER = 2**31 - 1
# Longer than anything here takes, and shorter than requests' time-out: what is answered ran because its batch was full.
PATIENT = "batch_timeout_micros { value: 25000000 }"
PER_VERSION = ("--enable_batching", "--enable_per_model_batching_parameters")


ENTRY = (
    'config {{ name: "{0}" base_path: "{0}" model_platform: "tensorflow" model_version_policy {{ all {{ }} }} }}'.format
)


def write_version(source: Path, target: Path, parameters: str) -> None:
    """A copy of a version, with batching parameters of its own."""
    copy_version(source, target)
    if parameters:
        (target / "batching_params.pbtxt").write_text(parameters)


def write_models(root: Path, **models: tuple[Path, str]) -> str:
    """Copies of versions under new names, with their batching parameters; the flag that serves them all."""
    for name, (version, parameters) in models.items():
        write_version(version, root / name / "1", parameters)
    (root / "models.config").write_text(f"model_config_list {{ {' '.join(map(ENTRY, models))} }}")
    return f"--model_config_file={root}/models.config"


@pytest.fixture(scope="module")
def batched(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A model that tells how many rows ran together, under several parameters; `plain` has none."""
    counted = tmp_path_factory.mktemp("counted") / "1"
    saved_models.counted().save(counted)
    root = tmp_path_factory.mktemp("batched")
    config = write_models(
        root,
        plain=(counted, ""),
        patient=(counted, f"max_batch_size {{ value: 4 }} {PATIENT}"),
        prompt=(counted, "max_batch_size { value: 4 } batch_timeout_micros { value: 1000 } allowed_batch_sizes: 4"),
        any_length=(counted, f"max_batch_size {{ value: 2 }} {PATIENT} pad_variable_length_inputs: true"),
        several=(models / "several" / "1", PATIENT),
    )
    # Two that do not load. The older one serves.
    write_version(counted, root / "plain" / "2", "max_batch_size { value: 0 }")
    write_version(counted, root / "plain" / "3", "max_batch_size { value: 2 }")
    write_warmup(root / "plain" / "3", warmup_record("text", s="a scalar"))
    flags = ("--rest_api_num_threads=16", "--max_num_load_retries=0")
    with ServerProcess(root / "log", config, *PER_VERSION, *flags) as process:
        yield process


def ask_at_once(process: ServerProcess, model: str, *documents: Any) -> list[Answer]:
    with ThreadPoolExecutor(len(documents)) as pool:
        return list(pool.map(lambda document: process.predict(model, document), documents))


def test_requests_share_a_run_and_each_gets_its_own_rows(batched: ServerProcess) -> None:
    questions: list[Any] = [{"inputs": [[1.0]]}, {"inputs": [[2.0], [3.0]]}, {"instances": [[4.0]]}]
    first, second, third = ask_at_once(batched, "patient", *questions)
    assert first.json == {"outputs": {"y": [[2.0]], "rows": [4]}}
    assert second.json == {"outputs": {"y": [[4.0], [6.0]], "rows": [4, 4]}}
    assert third.json == {"predictions": [{"y": [8.0], "rows": 4}]}


def test_strings_share_a_run_too(batched: ServerProcess) -> None:
    questions = [{"signature_name": "text", "inputs": [text * 1000]} for text in "abcd"]
    answers = ask_at_once(batched, "patient", *questions)
    assert [answer.json["outputs"] for answer in answers] == [[text * 1000 + "!"] for text in "abcd"]


def test_batches_are_padded_and_the_padding_is_not_returned(batched: ServerProcess) -> None:
    assert batched.predict("prompt", {"inputs": [[1.0]]}).json == {"outputs": {"y": [[2.0]], "rows": [4]}}


def test_shapes_do_not_mix(batched: ServerProcess) -> None:
    """Rows of one length share a run, and rows of another length share another one."""
    questions = [{"inputs": [[1.0] * length]} for length in (1, 5) * 4]
    for question, answer in zip(questions, ask_at_once(batched, "patient", *questions), strict=True):
        assert answer.json["outputs"] == {"y": [[2 * x for x in question["inputs"][0]]], "rows": [4]}


def test_lengths_mix_if_they_may(batched: ServerProcess) -> None:
    short, long = ask_at_once(batched, "any_length", {"inputs": [[1.0]]}, {"inputs": [[2.0, 3.0]]})
    assert short.json["outputs"] == {"y": [[2.0, 2.0]], "rows": [2]}
    assert long.json["outputs"] == {"y": [[4.0, 6.0]], "rows": [2]}


def test_only_the_guilty_fails(batched: ServerProcess) -> None:
    questions = [{"inputs": [[number]]} for number in (1.0, -1.0, 2.0, 3.0)]
    first, bad, *others = ask_at_once(batched, "patient", *questions)
    assert [answer.json["outputs"]["y"] for answer in (first, *others)] == [[[2.0]], [[4.0]], [[6.0]]]
    assert bad.status == 400
    assert "negative" in bad.error
    assert bad.error == batched.predict("plain", questions[1]).error


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ({"inputs": [[1.0]] * 5}, "Task size 5 is larger than maximum input batch size 4"),
        ({"signature_name": "text", "inputs": "a"}, "Batching Run() input tensors must have at least one dimension"),
        ({"signature_name": "mean", "inputs": [[1.0]]}, "Batched output tensor has 0 dimensions"),
    ],
)
def test_what_cannot_be_batched(batched: ServerProcess, document: Any, error: str) -> None:
    """Without batching the same is answered."""
    answer = batched.predict("prompt", document)
    assert (answer.status, answer.error) == (400, error)
    assert batched.predict("plain", document).status == 200


def test_a_request_without_rows_is_answered(batched: ServerProcess) -> None:
    """At once and as without batching; TensorFlow Serving never answers it."""
    for model in ("patient", "plain"):
        assert batched.predict(model, {"signature_name": "text", "inputs": []}).json == {"outputs": []}


def test_a_version_without_parameters_is_not_batched(batched: ServerProcess) -> None:
    answers = ask_at_once(batched, "plain", *[{"inputs": [[1.0]]}] * 4)
    assert [answer.json["outputs"]["rows"] for answer in answers] == [[1]] * 4


def test_inputs_of_unequal_rows(batched: ServerProcess) -> None:
    answer = batched.predict("several", {"inputs": {"a": [[1, 2], [3, 4]], "n": [1], "flag": [True]}})
    assert (answer.status, answer.error) == (400, "Batching Run() input tensors must have equal 0th-dimension size")


def test_versions_that_do_not_load(batched: ServerProcess) -> None:
    """Parameters that cannot be meant; and a warm-up record that cannot be batched, as warm-up is batched too."""
    entries = batched.get("/v1/models/plain").json["model_version_status"]
    scalar, zero, good = (entry["status"] for entry in entries)
    assert good["error_code"] == "OK"
    assert zero["error_code"] == scalar["error_code"] == "INVALID_ARGUMENT"
    assert zero["error_message"].startswith("--enable_per_model_batching_parameters: ")
    assert zero["error_message"].endswith("batching_params.pbtxt: max_batch_size must be positive; was 0")
    assert scalar["error_message"].startswith("Warm-up record 1 of ")
    assert scalar["error_message"].endswith("Batching Run() input tensors must have at least one dimension")


@pytest.fixture(scope="module")
def hasty(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with little time and one batch thread, over a model that takes as long as it is told to."""
    root = tmp_path_factory.mktemp("hasty")
    (root / "batching").write_text("num_batch_threads { value: 1 }")
    slow = models / "slow" / "1"
    config = write_models(
        root,
        small=(slow, "max_batch_size { value: 1 } max_enqueued_batches { value: 1 }"),
        waits=(slow, "batch_timeout_micros { value: 1000000 }"),
        waits_too_long=(slow, "batch_timeout_micros { value: 5500000 }"),
    )
    flags = (f"--batching_parameters_file={root}/batching", "--rest_api_timeout_in_ms=5000")
    with ServerProcess(root / "log", config, *PER_VERSION, *flags) as process:
        yield process


def test_a_full_queue_turns_requests_away(hasty: ServerProcess) -> None:
    """One runs and one waits; the rest is answered at once."""
    answers = ask_at_once(hasty, "small", *[{"inputs": [FOREVER]}] * 6)
    refused = [answer for answer in answers if answer.status == 503]
    assert {answer.error for answer in refused} == {
        "The batch scheduling queue to which this task was submitted is full; currently 1 batches enqueued and "
        "max_enqueued_batches is 1"
    }
    # Whether the first had left the queue before the others came is chance, and whether the one that waited still ran.
    accepted = sorted(answer.status for answer in answers if answer.status != 503)
    assert accepted in ([504], [504, 504], [429, 504])


def test_a_run_has_the_time_that_waiting_left(hasty: ServerProcess) -> None:
    begun = time.monotonic()
    answer = hasty.predict("waits", {"inputs": [FOREVER]})
    assert answer.status == 504
    assert "Timed out" in answer.error
    assert time.monotonic() - begun > 4.9


def test_a_time_out_in_the_queue(hasty: ServerProcess) -> None:
    """Under TensorFlow Serving's code, which is not that of a run that takes too long."""
    answer = hasty.predict("waits_too_long", {"inputs": [1]})
    assert (answer.status, answer.error) == (429, "Run() timeout exceeded while waiting in batching queue")


def test_batching_without_a_file(models: Path, tmp_path: Path) -> None:
    """Requests wait for nobody, and the process ends as it does without batching."""
    single = ("--model_name=linear", f"--model_base_path={models / 'linear'}")
    with ServerProcess(tmp_path / "log", *single, "--enable_batching") as process:
        assert process.predict("linear", {"inputs": [1.0]}).json == {"outputs": [2.5]}
        assert process.stop() == 0
    assert "Batching at most" in process.log
