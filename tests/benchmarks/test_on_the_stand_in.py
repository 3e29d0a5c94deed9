"""The benchmarks that the others' code could break, on networks that cost nothing."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from benchmarks import overhead, overload, servers, stand_in, watching, wire
from local.stack import StackError, running_stack

TWO_CORES = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="what is measured has a core of its own")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stand_in")
    stand_in.write_family(folder)
    return folder


@pytest.mark.parametrize(
    ("steps_per_call", "calls"),
    [(["--steps-per-call", "2"], 5), ([], 4)],  # two captions, 2 and 1 steps or all 3, decoder
    ids=["given", "learned"],
)
def test_overhead_runs(models: Path, tmp_path: Path, steps_per_call: list[str], calls: int) -> None:
    """Served and in process the same picture is drawn; the parts beyond the graphs add up to all there is."""
    steps = ["--steps", "3", *steps_per_call, "--rounds", "2"]
    overhead.main(["--models", str(models), "--family", stand_in.FAMILY, *steps, "--results", str(tmp_path)])
    rows = _rows(tmp_path / "overhead.json")
    assert rows["served ÷ in process"]["target"] == "≤ 1.05"
    beyond, *parts = (
        values["values"] for what, values in rows.items() if what == "beyond the graphs" or what.startswith("— ")
    )
    assert [sum(each) for each in zip(*parts, strict=True)] == pytest.approx(beyond)
    assert any(f"{calls} empty requests" in what for what in rows)


def test_wire_runs(tmp_path: Path) -> None:
    """All four ways to have a step are timed, raw bytes in fewer milliseconds than JSON."""
    wire.main(["--rounds", "2", "--results", str(tmp_path)])
    rows = {what: min(row["values"]) for what, row in _rows(tmp_path / "wire.json").items()}
    assert list(rows) == ["JSON, columns", "JSON, rows", "raw, 1 a call", "raw, 5 a call"]
    assert rows["raw, 5 a call"] < rows["JSON, columns"], "of the fastest, as the others had to wait for the machine"


@TWO_CORES
def test_servers_runs(models: Path, tmp_path: Path) -> None:
    """Both sides draw, each model server on one core only."""
    few = ["--users", "2", "--pictures", "4", "--rounds", "1", "--steps", "2"]
    servers.main(["--models", str(models), "--family", stand_in.FAMILY, *few, "--results", str(tmp_path)])
    rows = _rows(tmp_path / "servers.json")
    assert list(rows) == ["throughput of two servers ÷ of one", "pictures a second, one", "pictures a second, two"]
    assert all(row["median"] > 0 for row in rows.values())


@TWO_CORES
def test_overload_runs(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more requests than can be drawn each is drawn or refused, and what the proxy says of itself is read."""
    monkeypatch.setenv("EASEL_QUEUE_LENGTH", "2")  # so that it is full however fast the machine is
    few = ["--times", "10", "--seconds", "3", "--pictures", "50", "--steps", "25"]
    overload.main(["--models", str(models), "--family", stand_in.FAMILY, *few, "--results", str(tmp_path)])
    rows = {what: row["median"] for what, row in _rows(tmp_path / "overload.json").items()}
    assert rows["neither drawn nor refused"] == 0
    assert rows["a refusal: median"] > 0
    assert rows["p95 of what a picture took ÷ what was promised"] > 0
    assert rows["the event loop was late, at most"] > 0
    assert rows["proxy: most memory ÷ idle"] >= 1


def test_watching_runs(models: Path, tmp_path: Path) -> None:
    """All three proxies draw, and a span that nobody collects is over in microseconds."""
    few = ["--steps", "2", "--sittings", "2", "--rounds", "2", "--warm", "1"]
    watching.main(["--models", str(models), "--family", stand_in.FAMILY, *few, "--results", str(tmp_path)])
    rows = _rows(tmp_path / "watching.json")
    assert rows["watched ÷ unwatched"]["target"] == "≤ 1.01"
    assert rows["what the proxy computes more when watched ÷ unwatched"]["target"] == "≤ 0.01"
    assert all(len(rows[way]["values"]) == 4 for way in ("watched", "unwatched", "traced"))
    assert 0 < rows["a span without the SDK"]["median"] < 1000


def test_flags_reach_the_model_server(models: Path) -> None:
    """A flag that the model server does not know ends it."""
    flags = ["--no_such_flag"]
    with (
        pytest.raises(StackError, match="model server ended"),
        running_stack(models, stand_in.FAMILY, model_server_flags=flags),
    ):
        pass


def _rows(path: Path) -> dict[str, Any]:
    return {row["what"]: row for row in json.loads(path.read_text())["rows"]}
