"""Ten times as many requests as can be drawn, for a few seconds."""

import json
from pathlib import Path

from benchmarks import overload


def test_whoever_is_not_refused_is_drawn(models: Path, tmp_path: Path) -> None:
    """Nobody is forgotten, promises hold and memory has a bound, also on a busy machine."""
    few = ["--seconds", "3", "--pictures", "16", "--steps", "10"]
    overload.main(["--models", str(models), *few, "--results", str(tmp_path)])
    rows = {row["what"]: row for row in json.loads((tmp_path / "overload.json").read_text())["rows"]}
    came, drawable = (rows[f"requests a second, those that {what}"]["median"] for what in ("came", "can be drawn"))
    assert came > 4 * drawable
    assert rows["neither drawn nor refused"]["median"] == 0
    assert rows["drawn meanwhile ÷ what can be drawn"]["median"] > 0.3
    assert rows["proxy: most memory ÷ idle"]["met"]
    assert rows["p95 of what a picture took ÷ what was promised"]["median"] < 3
