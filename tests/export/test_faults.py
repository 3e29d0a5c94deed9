"""Exports in processes of their own that are stopped, killed or run out of disk: no half of a version ever shows."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.export.served import ServedModel
from tests.export.small import SMALL

STAGING = ".export-in-progress"
ROLES = [network.role for network in SMALL.networks]


def start(output: Path, file_limit_bytes: int = 0, *options: str) -> subprocess.Popen[str]:
    """Start an export of the small family."""
    command = [sys.executable, "-m", "tests.export.run_small", str(file_limit_bytes), "small"]
    return subprocess.Popen(
        [*command, "--weights", "random", "--output", str(output), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def visible(output: Path) -> set[str]:
    """Return everything in the repository that is not hidden, by path."""
    paths = (path.relative_to(output) for path in output.rglob("*"))
    return {str(path) for path in paths if not any(part.startswith(".") for part in path.parts)}


def assert_versions_are_whole(output: Path, versions: set[int]) -> None:
    """Assert that each network has exactly these versions, and that each one loads with its weights."""
    for role in ROLES:
        folder = output / "small" / role
        assert {int(path.name) for path in folder.iterdir()} == versions
        for version in versions:
            ServedModel(folder / str(version)).close()


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGTERM, "text_encoder/variables"),
        pytest.param(signal.SIGINT, "diffusion_model/saved_model.pb", marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, "diffusion_model/variables", marks=pytest.mark.slow),
        (signal.SIGKILL, "decoder/assets.extra/tf_serving_warmup_requests"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_stopped_export_leaves_nothing_half_written(tmp_path: Path, number: signal.Signals, moment: str) -> None:
    """Stopped at a random time after it began a file, an export shows all of a version or none of it.

    Killed, which it cannot put off, it is stopped at once: long before the moment in which its folders get their names.
    """
    export = start(tmp_path)
    while not (tmp_path / STAGING / moment).exists():
        assert export.poll() is None, export.communicate()[1]
        time.sleep(0.002)
    if number != signal.SIGKILL:
        time.sleep(random.uniform(0, 0.3))  # noqa: S311 (chance is no secret)
    export.send_signal(number)
    errors = export.communicate(timeout=500)[1]
    if export.returncode == 0 or (tmp_path / "small").exists():
        assert_versions_are_whole(tmp_path, {1})
        return
    assert visible(tmp_path) == set()
    if number == signal.SIGKILL:
        assert export.returncode == -signal.SIGKILL
        assert (tmp_path / STAGING).exists()
    else:
        assert export.returncode == 128 + number, errors
        assert not (tmp_path / STAGING).exists()
        assert f"stopped by {number.name}" in errors


@pytest.mark.parametrize(
    "limit_bytes", [1 << 16, pytest.param(1 << 19, marks=pytest.mark.slow)], ids=["graph", "weights"]
)
def test_a_full_disk_leaves_nothing(tmp_path: Path, limit_bytes: int) -> None:
    """An export whose writes fail part-way says so in one line, and the repository is as it was before."""
    export = start(tmp_path, limit_bytes)
    errors = export.communicate(timeout=500)[1]
    assert export.returncode == 1
    assert "error: text_encoder could not be written" in errors
    assert "Traceback" not in errors
    assert {path.name for path in tmp_path.iterdir()} == {".export.lock"}


def test_two_exports_at_once_take_turns(tmp_path: Path) -> None:
    """Of two exports of the same the second waits and finds nothing to do; what a killed one left before is gone."""
    leftover = tmp_path / STAGING / "text_encoder" / "saved_model.pb"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"half")
    exports = [start(tmp_path, 0, "--if-missing") for _ in range(2)]
    outputs = [export.communicate(timeout=500) for export in exports]
    assert [export.returncode for export in exports] == [0, 0], outputs
    assert sorted("Waiting for another export" in output for output, _ in outputs) == [False, True]
    assert sorted("version 1 in" in output and "is up to date" in output for output, _ in outputs) == [False, True]
    assert_versions_are_whole(tmp_path, {1})
    assert {path.name for path in tmp_path.iterdir()} == {".export.lock", "models.config", "small"}
