"""`python -m benchmarks`: every measured result that has a target, as one Markdown table, from benchmarks/results."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.report import RESULTS, number

NAMES = ("overhead", "wire", "peers", "users", "servers", "cold", "steady", "overload", "samplers", "watching")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON files")
    print("\n".join(table(parser.parse_args().results)))


def table(folder: Path) -> Iterator[str]:
    """The lines of the table; a benchmark without a result has one that says how to get it."""
    yield "| benchmark | what | result | target | | on |"
    yield "|---|---|---|---|---|---|"
    for name in NAMES:
        path = folder / f"{name}.json"
        if path.exists():
            yield from _lines(json.loads(path.read_text(encoding="utf-8")))
        else:
            yield f"| {name} | not measured here: `python -m benchmarks.{name}` | | | | |"


def _lines(report: dict[str, Any]) -> Iterator[str]:
    machine = report["machine"]
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['date'][:10]}"
    for row in report["rows"]:
        if row["target"]:
            low, high = map(number, row["quartiles"])
            spread = f" ({low} to {high})" if len(row["values"]) > 1 else ""
            result = f"{number(row['median'])} {row['unit']}".strip() + spread
            verdict = "met" if row["met"] else "**missed**"
            yield f"| {report['benchmark']} | {row['what']} | {result} | {row['target']} | {verdict} | {where} |"


if __name__ == "__main__":
    main()
