"""Two model servers and a proxy, each a process that can be killed, halted and started again."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import httpx

from local.stack import free_port, model_server_process
from tests.chaos.fault_proxy import FaultProxy

FAMILY = "emoji"
START_SECONDS = 120


class ModelServer:
    """The embedded model server, behind a fault proxy, which is what others know of it."""

    def __init__(self, models: Path, log: Path) -> None:
        self._models, self._log, self._port = models, log, free_port()
        self._stack = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self.faults = FaultProxy(self._port)
        self.is_up = asyncio.Event()

    @property
    def url(self) -> str:
        """Where its fault proxy listens."""
        return f"http://127.0.0.1:{self.faults.port}"

    async def start(self) -> None:
        """Until it answers: its port opens when its models are loaded."""
        log = self._stack.enter_context(self._log.open("ab"))
        self._process = self._stack.enter_context(
            model_server_process(self._models, FAMILY, self._port, "--file_system_poll_wait_seconds=1", log=log)
        )
        await until_answered(f"http://127.0.0.1:{self._port}/v1/models/{FAMILY}_decoder", self._process)
        await self.faults.open()
        self.is_up.set()

    async def kill(self) -> None:
        """kill -9."""
        self.is_up.clear()
        self._signal(signal.SIGKILL)
        self.faults.close()
        await self.stop()

    async def stop(self) -> None:
        """End the process, however it is."""
        self.faults.close()
        if self._process is not None and self._process.poll() is None:
            self._signal(signal.SIGCONT)
        await asyncio.to_thread(self._stack.close)

    def halt(self) -> None:
        """SIGSTOP."""
        self.is_up.clear()
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)
        self.is_up.set()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


class Proxy:
    """The proxy process, always on the same port. ended_at, statuses: when it was told to end, and how it did."""

    def __init__(self, model_server_urls: list[str], log: Path, settings: dict[str, object]) -> None:
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        urls = ",".join(model_server_urls)
        known = {"model_server_urls": urls, "families": FAMILY, "port": self._port, **settings}
        self._environment = os.environ | {f"EASEL_{name.upper()}": str(value) for name, value in known.items()}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.ended_at: list[float] = []
        self.statuses: list[int] = []

    async def start(self) -> None:
        """Until it is healthy."""
        command = [sys.executable, "-m", "proxy"]
        with self._log.open("ab") as log:
            self._process = await asyncio.to_thread(
                subprocess.Popen, command, env=self._environment, stdout=log, stderr=log
            )
        await until_answered(f"{self.url}/healthz", self._process)

    async def stop(self) -> None:
        """SIGTERM, and wait for the end."""
        assert self._process is not None
        self.ended_at.append(time.monotonic())
        self._process.send_signal(signal.SIGTERM)
        self.statuses.append(await asyncio.to_thread(self._process.wait))

    def log(self) -> str:
        """All that it said."""
        return self._log.read_text()


async def until_answered(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    async with httpx.AsyncClient(trust_env=False) as client:
        while process.poll() is None and time.monotonic() < deadline:
            try:
                if (await client.get(url, timeout=5)).is_success:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.1)
    raise TimeoutError(f"no answer from {url}; the process ended with {process.poll()}")


def add_version(models: Path) -> None:
    """Copy the newest version of each network under the next number, at once, as an export does."""
    for network in (models / FAMILY).iterdir():
        newest = max(int(version.name) for version in network.iterdir() if version.name.isdecimal())
        coming = network / f".{newest + 1}"
        shutil.copytree(network / str(newest), coming)
        coming.rename(network / str(newest + 1))
