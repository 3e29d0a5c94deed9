"""The server process: what it starts with and what it refuses to, time-outs, and how it stops."""

import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.model_server.saved_models import copy_version
from tests.model_server.server_process import ServerProcess

FOREVER = 2**31 - 1


def single(models: Path, name: str) -> tuple[str, str]:
    return f"--model_name={name}", f"--model_base_path={models / name}"


def test_a_long_run_holds_up_nobody_and_ends_with_504(models: Path, tmp_path: Path) -> None:
    """While a graph runs, the server answers everyone else; past the time-out the run is given up."""
    with ServerProcess(tmp_path / "log", *single(models, "slow"), "--rest_api_timeout_in_ms=6000") as process:
        started = time.monotonic()
        with process.begun("slow", {"inputs": [FOREVER]}) as long_run:
            assert process.predict("slow", {"inputs": [1]}).json == {"outputs": [1]}
            assert time.monotonic() - started < 6, "the long run is still under way"
            answer = long_run()
        assert answer.status == 504
        assert "Timed out" in answer.error


def test_cors_headers_on_request(models: Path, tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "log", *single(models, "linear"), "--rest_api_enable_cors_support") as process:
        for method in ("GET", "OPTIONS"):
            answer = process.request(method, "/v1/models/linear")
            assert answer.status == 200
            assert answer.headers["Access-Control-Allow-Origin"] == "*"


def accepts(address: str, port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex((address, port)) == 0


def test_listens_on_this_machine_only_unless_told(models: Path, server: ServerProcess, tmp_path: Path) -> None:
    assert not accepts("127.0.0.2", server.port)
    environment = {"EASEL_MODEL_SERVER_HOST": "0.0.0.0"}  # noqa: S104 - what is tested
    with ServerProcess(tmp_path / "log", *single(models, "linear"), environment=environment) as process:
        assert accepts("127.0.0.2", process.port)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_cleanly(models: Path, tmp_path: Path, number: int) -> None:
    """Requests under way get their answers, and the exit status is 0."""
    with ServerProcess(tmp_path / "log", *single(models, "slow"), "--port=8500") as process:
        with process.begun("slow", {"inputs": [100_000]}) as answer:
            assert process.stop(number) == 0
            assert answer().json == {"outputs": [100_000]}
        assert "Stopped" in process.log
        assert process.log.count("gRPC is not served") == 1


def test_a_signal_while_waiting_for_a_model(tmp_path: Path) -> None:
    process = ServerProcess(tmp_path / "log", "--model_name=m", f"--model_base_path={tmp_path / 'none'}")
    wait_until(lambda: "Could not find base path" in process.log)
    assert not process.is_listening()
    assert process.stop() == 0


def wait_until(condition: Callable[[], bool], seconds: float = 200) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_stop_hurries_requests_that_wait_for_others(models: Path, tmp_path: Path) -> None:
    (tmp_path / "batching").write_text("batch_timeout_micros { value: 3600000000 }")
    batching = ("--enable_batching", f"--batching_parameters_file={tmp_path}/batching", "--enable_model_warmup=false")
    flags = (*single(models, "linear"), *batching)
    with ServerProcess(tmp_path / "log", *flags) as process, process.begun("linear", {"inputs": [1.0]}) as waiting:
        assert process.stop() == 0
        assert waiting().json == {"outputs": [2.5]}


def test_a_second_signal_waits_for_nobody(models: Path, tmp_path: Path) -> None:
    """A request that would not end is answered with 503, and the process ends."""
    with ServerProcess(tmp_path / "log", *single(models, "slow"), "--rest_api_timeout_in_ms=3600000") as process:
        with process.begun("slow", {"inputs": [FOREVER]}) as endless:
            process.process.send_signal(signal.SIGTERM)
            wait_until(lambda: not process.is_listening())
            asked = time.monotonic()
            assert process.stop() == 0
            assert time.monotonic() - asked < 15, "the first signal alone would wait for 20 s"
            answer = endless()
        assert (answer.status, answer.error) == (503, "The server is stopping")


def test_starts_once_the_model_appears(models: Path, tmp_path: Path) -> None:
    """A server started too early waits for the first version, as TensorFlow Serving does."""
    process = ServerProcess(tmp_path / "log", "--model_name=m", f"--model_base_path={tmp_path / 'm'}")
    threading.Timer(1, copy_version, [models / "linear" / "1", tmp_path / "m" / "1"]).start()
    with process:
        assert process.predict("m", {"inputs": [1.0]}).json == {"outputs": [2.5]}


def failed_start(tmp_path: Path, *flags: str) -> str:
    process = ServerProcess(tmp_path / "log", *flags)
    assert process.process.wait(300) == 1
    return process.log


def test_a_model_that_does_not_load_fails_the_start(models: Path, tmp_path: Path) -> None:
    (tmp_path / "m" / "1").mkdir(parents=True)
    flags = ("--model_name=m", f"--model_base_path={tmp_path / 'm'}", "--max_num_load_retries=0")
    log = failed_start(tmp_path, *flags)
    assert "Failed to start server. Error: Some models did not become available: {name: m version: 1}: NOT_FOUND" in log


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model_name=m"], "both are empty"),
        (["--model_base_path=m", "--enable_profiler=true"], "--enable_profiler is a flag of TensorFlow Serving which"),
        (
            ["--model_base_path=m", "--enable_batching", "--batching_parameters_file=/none"],
            "--batching_parameters_file: cannot read /none",
        ),
        (["--model_config_file=/none"], "cannot read /none"),
        (["--model_base_path=m", "--port=65536"], "--port: got 65536, allowed are 0 to 65535"),
        (["--model_base_path=m", "--rest_api_num_threads=0"], "got 0, allowed are 1 to 10000"),
        (["--model_base_path=m", "--max_num_load_retries=-1"], "got -1, allowed are 0 to"),
        (["--model_base_path=m", "--tensorflow_intra_op_parallelism=-3"], "got -3, allowed are 0 to"),
        (["--model_base_path=m", "--rest_api_timeout_in_ms=soon"], "got 'soon', allowed are whole numbers"),
    ],
)
def test_a_bad_command_line_fails_the_start(tmp_path: Path, flags: list[str], message: str) -> None:
    assert message in failed_start(tmp_path, *flags)


def test_labels_of_versions_to_come_need_a_flag(models: Path, tmp_path: Path) -> None:
    log = failed_start(tmp_path, f"--model_config_file={models}/models.config")
    assert "Request to assign label to version 3 of model versions, which is not currently available for" in log


def test_a_port_that_is_taken_fails_the_start(models: Path, server: ServerProcess, tmp_path: Path) -> None:
    log = failed_start(tmp_path, *single(models, "linear"), f"--rest_api_port={server.port}")
    assert f"cannot listen on 127.0.0.1:{server.port}: Address already in use" in log
