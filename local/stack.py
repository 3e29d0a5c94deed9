"""The two processes of a local Easel, started in order, watched, and stopped cleanly."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import httpx

from proxy.families import NETWORKS, model_name

READY_SECONDS = 600.0  # a full-size family loads for minutes
CALL_MILLISECONDS = 600_000  # on a CPU, a call of a full-size family takes minutes too
REQUEST_SECONDS = 24 * 3600  # and a picture takes as many of them as it likes
STOP_SECONDS = 40.0  # longer than the proxy lets work finish
POLL_SECONDS = 0.05
# The largest network of a family whose operations are over before a second thread has woken up to help.
SMALL_NETWORK_BYTES = 100_000_000


class StackError(RuntimeError):
    """A process of the stack ended, or did not become ready in time."""


@dataclass(frozen=True)
class Stack:
    """A running local Easel.

    Attributes:
        url: the proxy's address.
        model_server_url: the model server's address.
        proxy: the proxy's process.
        model_server: the model server's process.
    """

    url: str
    model_server_url: str
    proxy: subprocess.Popen[bytes]
    model_server: subprocess.Popen[bytes]

    def wait(self) -> None:
        """Return when one of the two processes has ended."""
        while self.proxy.poll() is None and self.model_server.poll() is None:
            time.sleep(4 * POLL_SECONDS)


@contextmanager
def running_stack(
    models: Path,
    family: str = "emoji",
    *,
    proxy_port: int = 0,
    model_server_port: int = 0,
    model_server_flags: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[Stack]:
    """Start the model server and the proxy, yield when the proxy is ready, and stop both at the end.

    Args:
        models: the model repository.
        family: what to serve from it, whatever else is there.
        proxy_port: 0 for any that is free.
        model_server_port: 0 for any that is free.
        model_server_flags: further flags of the model server.
        environment: further variables for the proxy, such as `EASEL_FAMILIES`.

    Raises:
        StackError: the family was not exported, a process ended early, or the proxy was not ready within
            `READY_SECONDS`.
    """
    model_server_port = model_server_port or free_port()
    proxy_port = proxy_port or free_port()
    model_server_url = f"http://127.0.0.1:{model_server_port}"
    with (
        model_server_process(models, family, model_server_port, *model_server_flags) as model_server,
        proxy_process([model_server_url], family, proxy_port, environment) as proxy,
    ):
        stack = Stack(f"http://127.0.0.1:{proxy_port}", model_server_url, proxy, model_server)
        wait_until_ready(stack)
        yield stack


def _family_config(models: Path, family: str) -> str:
    """Return a model config of one family of the model repository: another one may be large, or half removed."""
    folders = {network: models.resolve() / family / network for network in NETWORKS}
    for folder in folders.values():
        if not folder.is_dir():
            raise StackError(f"There is no {folder}. Export the family first: make export FAMILY={family}")
    configs = (
        f'config {{ name: "{model_name(family, network)}" base_path: "{folder}" model_platform: "tensorflow" }}'
        for network, folder in folders.items()
    )
    return f"model_config_list {{ {' '.join(configs)} }}"


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nothing listens on; on Linux, nobody else gets it while this process runs."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        port = int(held.getsockname()[1])
        # A port that is merely free may be the next one that the system gives away. One that stays bound is not, and
        # yet a server may listen there; elsewhere it may not.
        if sys.platform == "linux":
            held.detach()
    return port


@contextmanager
def model_server_process(
    models: Path, family: str, port: int, *flags: str, log: IO[bytes] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the embedded model server inside a `with` block; it may not be ready yet when the block begins.

    Args:
        models: the model repository.
        family: what to serve from it, whatever else is there.
        port: of the REST API.
        flags: further flags of the model server.
        log: where its output goes; by default where this process's goes.

    Raises:
        StackError: the family was not exported.
    """
    with tempfile.TemporaryDirectory(prefix="easel-") as folder:
        config = Path(folder) / "models.config"
        config.write_text(_family_config(models, family))
        own = (
            f"--rest_api_port={port}",
            f"--model_config_file={config}",
            f"--rest_api_timeout_in_ms={CALL_MILLISECONDS}",
            f"--tensorflow_intra_op_parallelism={threads_per_operation(models / family)}",
        )
        with _process("model_server", *own, *flags, log=log) as process:
            yield process


def threads_per_operation(family: Path) -> int:
    """Return 1 if the networks in the folder of a family are small, else 0, which is as many as there are cores."""
    largest = max((file.stat().st_size for file in family.rglob("*") if file.is_file()), default=0)
    return 1 if largest <= SMALL_NETWORK_BYTES else 0


@contextmanager
def proxy_process(
    model_server_urls: Sequence[str],
    family: str,
    port: int,
    environment: Mapping[str, str] | None = None,
    command: Sequence[str] = ("proxy",),
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the proxy inside a `with` block, or a `command` after `python -m` in its place.

    It may not be ready yet when the block begins.
    """
    settings = {
        "EASEL_MODEL_SERVER_URLS": ",".join(model_server_urls),
        "EASEL_FAMILIES": family,
        "EASEL_PORT": str(port),
        "EASEL_CALL_TIMEOUT_SECONDS": str(CALL_MILLISECONDS // 1000),
        "EASEL_REQUEST_SECONDS": str(REQUEST_SECONDS),
        **(environment or {}),
    }
    with _process(*command, environment=settings) as process:
        yield process


@contextmanager
def _process(
    module: str, *arguments: str, environment: Mapping[str, str] | None = None, log: IO[bytes] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `python -m module`; in a process group of its own, so that Ctrl-C reaches it only through here."""
    command = [sys.executable, "-m", module, *arguments]
    settings = {"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ, **(environment or {})}  # 2: TensorFlow's errors only
    process = subprocess.Popen(  # noqa: S603
        command, env=settings, start_new_session=True, stdout=log, stderr=log
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_ready(stack: Stack) -> None:
    """Wait for the model server's port, which opens when its models are loaded, and then for the proxy."""
    deadline = time.monotonic() + READY_SECONDS
    _poll(stack, deadline, lambda: _listens(stack.model_server_url))
    _poll(stack, deadline, lambda: _answers(f"{stack.url}/readyz"))


def _poll(stack: Stack, deadline: float, ready: Callable[[], bool]) -> None:
    while not ready():
        for name, process in (("model server", stack.model_server), ("proxy", stack.proxy)):
            if process.poll() is not None:
                raise StackError(f"The {name} ended with status {process.returncode} before it was ready.")
        if time.monotonic() > deadline:
            raise StackError(f"{stack.url} was not ready after {READY_SECONDS:.0f} s.")
        time.sleep(POLL_SECONDS)


def _listens(url: str) -> bool:
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname or "", address.port or 0), timeout=5).close()
    except OSError:
        return False
    return True


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).is_success  # no HTTP proxy between processes of one machine
    except httpx.TransportError:
        return False
