"""Seconds a picture with everything that watches it, against none of it."""

from __future__ import annotations

import argparse
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from benchmarks import report
from benchmarks.drawing import QUIET, add_options, connected
from benchmarks.report import Report, Row, at_most, ratios
from benchmarks.turns import take_turns
from local.stack import Stack, free_port, model_server_process, proxy_process, wait_until_ready
from proxy.tracing import span

RATIO = at_most(1.01)
SHARE = at_most(0.01)
_WAYS = ("watched", "unwatched", "traced")
_SPANS = 10_000


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    options = _options(arguments)
    port = free_port()
    taken: dict[str, list[Seconds]] = {way: [] for way in _WAYS}
    with model_server_process(options.models, options.family, port) as model_server:
        for _ in range(options.sittings):
            with ExitStack() as stack:
                sides = _sides(stack, options, model_server, f"http://127.0.0.1:{port}")
                for way, seconds in take_turns(sides, options.rounds + options.warm).items():
                    taken[way] += seconds[options.warm :]
    rows = _rows(taken)
    title = f"one user, {options.family}, {options.steps} steps: what it costs to see what happens"
    Report("watching", title, vars(options), rows).publish(
        options.results, report.bars([row for row in rows if row.unit == "ms"])
    )


class Seconds(NamedTuple):
    """What a picture took: until it was there, and of a processor in the proxy, which others disturb less."""

    waited: float
    computed: float


def _sides(
    stack: ExitStack, options: argparse.Namespace, model_server: subprocess.Popen[bytes], model_server_url: str
) -> dict[str, Callable[[int], Seconds]]:
    """Ways to draw picture `number`: a proxy each, over the same model server."""
    settings = {**QUIET, "EASEL_STEPS_PER_CALL": str(options.steps_per_call)}

    def side(way: str) -> Callable[[int], Seconds]:
        port = free_port()
        command = ("benchmarks.watched", way)
        proxy = stack.enter_context(proxy_process([model_server_url], options.family, port, settings, command))
        running = Stack(f"http://127.0.0.1:{port}", model_server_url, proxy, model_server)
        wait_until_ready(running)
        easel = stack.enter_context(connected(running))

        def draw(number: int) -> Seconds:
            before = _computed_seconds(proxy.pid)
            picture = easel.draw(number, steps=options.steps)
            return Seconds(picture.seconds, _computed_seconds(proxy.pid) - before)

        return draw

    return {way: side(way) for way in _WAYS}


def _computed_seconds(pid: int) -> float:
    """What all threads of a process have had of a processor, to the nanosecond, as Linux counts."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def _rows(taken: Mapping[str, Sequence[Seconds]]) -> list[Row]:
    watched, unwatched, traced = ([seconds.waited for seconds in taken[way]] for way in _WAYS)
    more = [
        (one.computed - other.computed) / other.waited
        for one, other in zip(taken["watched"], taken["unwatched"], strict=True)
    ]
    return [
        Row("watched ÷ unwatched", ratios(watched, unwatched), "", RATIO),
        Row("watched, with the SDK's spans ÷ unwatched", ratios(traced, unwatched)),
        Row("what the proxy computes more when watched ÷ unwatched", more, "", SHARE),
        *(Row(way, [1000 * seconds.waited for seconds in taken[way]], "ms") for way in _WAYS),
        *(
            Row(f"{way}: computed in the proxy", [1000 * seconds.computed for seconds in taken[way]], "ms")
            for way in _WAYS
        ),
        Row("a span without the SDK", [1e6 * _span_seconds() for _ in range(5)], "µs"),
    ]


def _span_seconds() -> float:
    started = time.perf_counter()
    for _ in range(_SPANS):
        with span("nothing", attributes={"attempt": 1}):
            pass
    return (time.perf_counter() - started) / _SPANS


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = report.parser("watching", __doc__)
    add_options(parser)
    # A process computes some percent more or less than another one that does the same, for as long as it lives.
    parser.add_argument("--sittings", type=int, default=8, help="times that all proxies are started anew")
    parser.add_argument("--rounds", type=int, default=25, help="pictures of each side in a sitting")
    parser.add_argument("--warm", type=int, default=5, help="pictures of each side before those")
    parser.add_argument("--steps-per-call", type=int, default=10, help="denoising steps in one call")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
