"""What a measurement ran on: figures without their machine say little."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

PACKAGES = ("tensorflow", "keras", "keras-cv", "numpy", "orjson", "httpx", "uvicorn", "fastapi", "pillow")


def describe() -> dict[str, object]:
    """CPU, cores, memory, load, versions, commit and date, for a result's file."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "system": platform.platform(),
        "versions": {"python": platform.python_version(), **versions(PACKAGES)},
        "commit": _commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def versions(packages: Sequence[str]) -> dict[str, str]:
    """The installed version of each package that is installed."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def resident_bytes(pid: int) -> int:
    """Resident memory of a process and of those it started; pages they share count once for each."""
    process = psutil.Process(pid)
    return sum(each.memory_info().rss for each in (process, *process.children(recursive=True)))


def two_cores() -> tuple[int, int]:
    """Two cores that this process may use; SystemExit if it has only one."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("This is measured on two cores; there is one.")
    return cores[0], cores[1]


@contextmanager
def pinned(*cores: int) -> Iterator[None]:
    """Start processes that stay on these cores, and count their threads by them; on all, if none is named."""
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores or everywhere)
    try:
        yield
    finally:
        os.sched_setaffinity(0, everywhere)


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _commit() -> str:
    """The commit of the checkout, `-dirty` if files differ from it; empty without git."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return ""
