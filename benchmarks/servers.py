"""Pictures a second with one model server and with two, each on a core of its own."""

from __future__ import annotations

import argparse
import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

from benchmarks import report
from benchmarks.drawing import QUIET, Easel, add_options, connected
from benchmarks.report import Report, Row, at_least, ratios
from benchmarks.turns import take_turns
from benchmarks.users import draw_at_once
from local.stack import Stack, free_port, model_server_process, proxy_process, wait_until_ready

GAIN = at_least(1.5)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    options = _options(arguments)
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        raise SystemExit("Two model servers need two cores; there is one.")
    with _easel(options, cores[:1]) as one, _easel(options, cores) as two:
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


@contextmanager
def _easel(options: argparse.Namespace, cores: Sequence[int]) -> Iterator[Easel]:
    """A proxy, on any core, before a model server on each of the cores."""
    ports = [free_port() for _ in cores]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    proxy_port = free_port()
    with ExitStack() as processes:
        servers = []
        for core, port in zip(cores, ports, strict=True):
            with _pinned(core):
                servers.append(processes.enter_context(model_server_process(options.models, options.family, port)))
        proxy = processes.enter_context(proxy_process(urls, options.family, proxy_port, QUIET))
        for url, server in zip(urls, servers, strict=True):
            stack = Stack(f"http://127.0.0.1:{proxy_port}", url, proxy, server)
            wait_until_ready(stack)
        yield processes.enter_context(connected(stack))


@contextmanager
def _pinned(core: int) -> Iterator[None]:
    """Start processes that stay on one core, and count their threads by it."""
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, everywhere)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = report.parser("servers", __doc__)
    add_options(parser)
    parser.add_argument("--users", type=int, default=8, help="users at once")
    parser.add_argument("--pictures", type=int, default=32, help="pictures of each side in a round")
    parser.add_argument("--rounds", type=int, default=4, help="rounds")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
