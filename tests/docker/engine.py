"""A Docker engine: the one that answers, or one that is started for the tests."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.docker.command import CommandError, docker

DEBIAN_PACKAGES = {
    "docker": "docker.io",
    "docker-compose": "docker-compose",
    "debootstrap": "debootstrap",
    "prometheus": "prometheus",
    "promtool": "prometheus",
}
_START_SECONDS = 300


class EngineError(RuntimeError):
    """There is no engine, and none can be started here."""


def require_programs() -> None:
    """Raise EngineError unless all programs are there that the tests run."""
    missing = {package for program, package in DEBIAN_PACKAGES.items() if shutil.which(program) is None}
    if missing:
        raise EngineError(f"These tests need Debian's packages {', '.join(sorted(missing))}, which are not installed")


@contextmanager
def running_engine(folder: Path) -> Iterator[None]:
    """Use the engine that answers, or start one with its log in `folder` and stop it at the end.

    Raises:
        EngineError: no engine answers, and none can be started.
    """
    if _answers():
        yield
        return
    dockerd = shutil.which("dockerd")
    if dockerd is None:
        raise EngineError("No Docker engine answers, and there is no dockerd: install Debian's package docker.io")
    if os.geteuid() != 0:
        raise EngineError("No Docker engine answers, and only root can start one: start it, or run this as root")
    log = folder / "dockerd.log"
    with log.open("wb") as output:
        process = subprocess.Popen([dockerd], stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait(process, log)
        yield
    finally:
        process.terminate()
        process.wait(_START_SECONDS)


def _wait(process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not _answers():
        if process.poll() is not None or time.monotonic() > deadline:
            raise EngineError(f"dockerd does not start:\n{log.read_text(errors='replace')[-4000:]}")
        time.sleep(0.2)


def _answers() -> bool:
    try:
        docker("info")
    except CommandError:
        return False
    return True
