"""A proxy in a process of its own, over a real socket."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from local.stack import free_port

ROOT = Path(__file__).parents[2]
START_SECONDS = 60


def wait_until_healthy(url: str, process: subprocess.Popen[str], path: str = "/healthz") -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}{path}").is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise TimeoutError(f"no answer from {url}")


@contextlib.contextmanager
def running_proxy(model_server: str, *options: str, **settings: object) -> Iterator[tuple[str, int, list[str]]]:
    """The proxy's address, its process and the lines it logs, which are complete after the block. It ends well."""
    port = free_port()
    settings = {"model_server_urls": model_server, "port": port, **settings}
    environment = os.environ | {f"EASEL_{name.upper()}": str(value) for name, value in settings.items()}
    command = [sys.executable, *options, "-m", "proxy"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        log: list[str] = []
        reader = threading.Thread(target=lambda: log.extend(process.stdout or []))
        reader.start()
        try:
            wait_until_healthy(f"http://127.0.0.1:{port}", process)
            yield f"http://127.0.0.1:{port}", process.pid, log
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(START_SECONDS)
            reader.join()
        assert process.returncode == 0, log[-20:]
