"""Pictures a second with one model server and with two, each on a core of its own."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from functools import partial

from benchmarks import report
from benchmarks.drawing import Easel, add_options, served_on_cores
from benchmarks.machine import two_cores
from benchmarks.report import Report, Row, at_least, ratios
from benchmarks.turns import take_turns
from benchmarks.users import draw_at_once

GAIN = at_least(1.5)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    options = _options(arguments)
    first, second = two_cores()
    place = partial(served_on_cores, options.models, options.family)
    with place([first]) as one, place([first, second]) as two:
        numbers = itertools.count()  # no picture is drawn twice

        def draw(easel: Easel, _: int) -> float:
            return draw_at_once(easel, options.users, options.pictures, options.steps, numbers).throughput

        sides = {"one": partial(draw, one), "two": partial(draw, two)}
        take_turns(sides, 1)  # warm
        taken = take_turns(sides, options.rounds)
    figures = [Row(f"pictures a second, {name}", values) for name, values in taken.items()]
    rows = [Row("throughput of two servers ÷ of one", ratios(taken["two"], taken["one"]), "", GAIN), *figures]
    title = f"model servers of one core each, {options.users} users, {options.family}, {options.steps} steps"
    Report("servers", title, vars(options), rows).publish(options.results, report.bars(figures))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = report.parser("servers", __doc__)
    add_options(parser)
    parser.add_argument("--users", type=int, default=8, help="users at once")
    parser.add_argument("--pictures", type=int, default=32, help="pictures of each side in a round")
    parser.add_argument("--rounds", type=int, default=4, help="rounds")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
