"""What `make demo` and `make serve` run: one picture and out, or serving until it is told to stop."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from PIL import Image

from local.stack import SMALL_NETWORK_BYTES, Stack, free_port, threads_per_operation
from proxy import keys
from proxy.keys import Key


def test_demo_writes_a_picture(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The picture is there, holds its caption, and no process stays behind; also where keys are set, without one."""
    keys.add(tmp_path / "keys.toml", Key("alice", ""))
    monkeypatch.setenv("EASEL_API_KEYS_FILE", str(tmp_path / "keys.toml"))
    output = tmp_path / "heart.png"
    command = ["demo", "--caption", "red heart", "--output", str(output), "--seed", "3"]
    done = subprocess.run(_local(models, *command), capture_output=True, text=True, check=True)
    assert "red heart" in done.stdout
    assert "seed 3" in done.stdout
    with Image.open(io.BytesIO(output.read_bytes())) as picture:
        assert picture.size == (128, 128)
        assert picture.text["caption"] == "red heart"


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("heart.png", "make export FAMILY=emoji"),
        ("heart.gif", "must end in one of .png"),
        ("missing/heart.png", "there is no folder"),
    ],
)
def test_demo_says_what_is_wrong_at_once(tmp_path: Path, output: str, message: str) -> None:
    """No export, an unknown format and a missing folder end in a message and a status, not in a time-out."""
    command = _local(tmp_path / "models.config", "demo", "--output", str(tmp_path / output))
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)])
def test_serve_stops_both_processes(models: Path, stop: signal.Signals) -> None:
    """After Ctrl-C or SIGTERM both ports are free again and the status is 0."""
    port, model_server_port = free_port(), free_port()
    ports = ["--port", str(port), "--model-server-port", str(model_server_port)]
    serving = subprocess.Popen(_local(models, "serve", *ports), process_group=0, stdout=subprocess.PIPE, text=True)
    try:
        with serving.stdout or pytest.fail("no pipe") as told:
            assert next(told).startswith(f"Easel is ready: http://127.0.0.1:{port}")
        os.kill(serving.pid, stop)
        assert serving.wait(300) == 0
    finally:
        serving.kill()
    for address in (port, model_server_port):
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{address}/")


def _local(models: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "local", "--models", str(models), *arguments]


def test_a_small_family_has_one_thread_an_operation(stack: Stack, tmp_path: Path) -> None:
    """The server of the bundled family is told so; a family with one large file gets a thread a core."""
    arguments = Path(f"/proc/{stack.model_server.pid}/cmdline").read_text().split("\0")
    assert "--tensorflow_intra_op_parallelism=1" in arguments
    file = tmp_path / "diffusion_model" / "1" / "variables" / "variables.data-00000-of-00001"
    file.parent.mkdir(parents=True)
    for size, threads in ((SMALL_NETWORK_BYTES, 1), (SMALL_NETWORK_BYTES + 1, 0)):
        with file.open("wb") as sparse:
            sparse.truncate(size)
        assert threads_per_operation(tmp_path) == threads
