"""A served Easel to draw from, and how long its pictures take."""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.machine import pinned
from local.stack import Stack, free_port, model_server_process, proxy_process, running_stack, wait_until_ready

PICTURE_SECONDS = 3600.0
_CONNECTIONS = 256
QUIET = {"EASEL_LOG_LEVEL": "warning", "EASEL_CALL_TIMEOUT_SECONDS": str(int(PICTURE_SECONDS))}
"""Settings of a proxy that is measured."""


@dataclass(frozen=True)
class Picture:
    """One answer.

    seconds: what the client waited. stages: seconds of each as the proxy counts them, `total` among them.
    """

    seconds: float
    stages: dict[str, float]
    file: bytes

    def pixels(self) -> NDArray[np.uint8]:
        """The picture (H, W, 3)."""
        with Image.open(io.BytesIO(self.file)) as image:
            return np.asarray(image.convert("RGB"))


@dataclass(frozen=True)
class Easel:
    """A running stack and a connection to its proxy."""

    stack: Stack
    client: httpx.Client

    def draw(self, number: int, **parameters: str | float) -> Picture:
        """Draw picture `number`: with a caption and a seed of its own, so that nothing can be remembered of it."""
        started = time.perf_counter()
        response = self.client.get("/generate", params={**request(number), **parameters}).raise_for_status()
        return Picture(time.perf_counter() - started, stages(response.headers["Server-Timing"]), response.content)


def request(number: int) -> dict[str, str | float]:
    """The caption and the seed of picture `number`."""
    return {"caption": f"red heart, number {number}", "seed": number}


def stages(server_timing: str) -> dict[str, float]:
    """Seconds by stage from the header, such as `decoder;dur=12.5, total;dur=500.1` in milliseconds."""
    durations = (entry.strip().split(";dur=") for entry in server_timing.split(","))
    return {stage: float(milliseconds) / 1000 for stage, milliseconds in durations}


@contextmanager
def served(
    models: Path,
    family: str,
    *,
    environment: Mapping[str, str] | None = None,
    model_server_flags: Sequence[str] = (),
) -> Iterator[Easel]:
    """Run the stack over a family of a model repository for the length of a block. Raises StackError."""
    settings = {**QUIET, **(environment or {})}
    with (
        running_stack(models, family, environment=settings, model_server_flags=model_server_flags) as stack,
        connected(stack) as easel,
    ):
        yield easel


@contextmanager
def served_on_cores(
    models: Path, family: str, cores: Sequence[int], proxy_cores: Sequence[int] = ()
) -> Iterator[Easel]:
    """Run a proxy, on any core unless told, before a model server on each of the cores."""
    ports = [free_port() for _ in cores]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    proxy_port = free_port()
    with ExitStack() as processes:
        servers = []
        for core, port in zip(cores, ports, strict=True):
            with pinned(core):
                servers.append(processes.enter_context(model_server_process(models, family, port)))
        with pinned(*proxy_cores):
            proxy = processes.enter_context(proxy_process(urls, family, proxy_port, QUIET))
        for url, server in zip(urls, servers, strict=True):
            stack = Stack(f"http://127.0.0.1:{proxy_port}", url, proxy, server)
            wait_until_ready(stack)
        yield processes.enter_context(connected(stack))


@contextmanager
def connected(stack: Stack) -> Iterator[Easel]:
    """A client of a running stack for the length of a block."""
    limits = httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS)
    with httpx.Client(base_url=stack.url, timeout=PICTURE_SECONDS, limits=limits, trust_env=False) as client:
        yield Easel(stack, client)


def add_options(parser: argparse.ArgumentParser, *, steps: int = 20) -> None:
    """What is drawn from: --models, --family and --steps."""
    parser.add_argument("--models", type=Path, default=Path("serving_models"), help="model repository")
    parser.add_argument("--family", default="emoji", help="family of that repository")
    parser.add_argument("--steps", type=int, default=steps, help="denoising steps a picture")
