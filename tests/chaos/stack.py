"""Two model servers and a proxy, each a process that can be killed, halted and started again."""

from __future__ import annotations

import asyncio
import itertools
import math
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import httpx

from local.stack import free_port, model_server_process
from proxy.families import NETWORKS
from tests.chaos.fault_proxy import FaultProxy

FAMILY = "emoji"
VARIED = "diffusion_model"
START_SECONDS = 600
# Between the moments that a user, or this module, writes down, and those at which it is so.
SLACK_SECONDS = 1.0
# In saved_model.pb, as a float in a list of one: what the layers of normalisation add to the variance, and more of it.
_EPSILON, _LARGER_EPSILON = (b"\x2a\x04" + struct.pack("<f", epsilon) for epsilon in (1e-5, 1e-2))


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
    """The proxy process, always on the same port. ended_at, statuses: when it was told to end, and how it did.

    gone_at: when it had ended. back_at: when it answered again. Both are shorter than `ended_at` until then.
    """

    def __init__(self, model_server_urls: list[str], log: Path, settings: dict[str, object]) -> None:
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        urls = ",".join(model_server_urls)
        known = {"model_server_urls": urls, "families": FAMILY, "port": self._port, **settings}
        self._environment = os.environ | {f"EASEL_{name.upper()}": str(value) for name, value in known.items()}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.ended_at: list[float] = []
        self.gone_at: list[float] = []
        self.back_at: list[float] = []
        self.is_up = asyncio.Event()
        self.statuses: list[int] = []

    async def start(self) -> None:
        """Until it is healthy."""
        command = [sys.executable, "-m", "proxy"]
        with self._log.open("ab") as log:
            self._process = await asyncio.to_thread(
                subprocess.Popen, command, env=self._environment, stdout=log, stderr=log
            )
        await until_answered(f"{self.url}/healthz", self._process)
        if self.ended_at:
            self.back_at.append(time.monotonic())
        self.is_up.set()

    def was_away(self, moment: float) -> bool:
        """Whether it was being stopped or started, give or take a second."""
        times = itertools.zip_longest(self.ended_at, self.back_at, fillvalue=math.inf)
        return any(ended - SLACK_SECONDS <= moment <= back + SLACK_SECONDS for ended, back in times)

    def was_closing(self, moment: float) -> bool:
        """Whether its door was being shut, or was shut, give or take a second."""
        times = itertools.zip_longest(self.ended_at, self.gone_at, fillvalue=math.inf)
        return any(ended - SLACK_SECONDS <= moment <= gone + SLACK_SECONDS for ended, gone in times)

    async def stop(self) -> None:
        """SIGTERM, and wait for the end."""
        assert self._process is not None
        self.ended_at.append(time.monotonic())
        self.is_up.clear()
        self._process.send_signal(signal.SIGTERM)
        self.statuses.append(await asyncio.to_thread(self._process.wait))
        self.gone_at.append(time.monotonic())

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
                pass
            await asyncio.sleep(0.1)
    raise TimeoutError(f"no answer from {url}; the process ended with {process.poll()}")


def lay_out(models: Path, folder: Path) -> None:
    """Two versions of each network of the family, which draw differently: the newest that there is, and one varied."""
    for network in NETWORKS:
        newest = max((models / FAMILY / network).iterdir(), key=_number)
        for version in ("1", "2"):
            shutil.copytree(newest, folder / FAMILY / network / version)
    graph = folder / FAMILY / VARIED / "2" / "saved_model.pb"
    graph.write_bytes(graph.read_bytes().replace(_EPSILON, _LARGER_EPSILON))


def add_version(folder: Path) -> None:
    """Copy the version before the newest of each network under the next number, at once, as an export does."""
    for network in NETWORKS:
        home = folder / FAMILY / network
        newest = max(map(_number, home.iterdir()))
        coming = home / f".{newest + 1}"
        shutil.copytree(home / str(newest - 1), coming)
        coming.rename(home / str(newest + 1))


def _number(version: Path) -> int:
    return int(version.name) if version.name.isdecimal() else 0
