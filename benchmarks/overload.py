"""What becomes of requests, and of the proxy, when ten times as many come as can be drawn."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field

import httpx
import httpx_sse
import numpy as np
from matplotlib.axes import Axes

from benchmarks import report
from benchmarks.drawing import PICTURE_SECONDS, Easel, add_options, request, served_on_cores
from benchmarks.machine import pinned, resident_bytes, two_cores
from benchmarks.report import Report, Row, Table, at_least, at_most
from benchmarks.users import MANY, draw_at_once

CALLERS = 8
GREEDY_SHARE = 0.5
REFUSED_MILLISECONDS = at_most(50)
LATE_MILLISECONDS = at_most(50)
NONE = at_most(0)
OF_THE_PROMISE = at_most(1.5)
OF_IDLE_MEMORY = at_most(2)
OF_CAPACITY = at_least(0.9)
_REFUSED = (httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.TOO_MANY_REQUESTS)
_SECOND = 1.0
_A_MINUTE = 60  # after which what was late before the storm is not in it any more
_LAG = "easel_event_loop_lag_largest_seconds"
_COLUMNS = ("caller", "asked", "drawn", "refused", "median s", "p95 s")


@dataclass
class Request:
    """One request that came.

    caller: 0 is the greedy one. at, seconds: when it came, and how long it took until its picture or its refusal.
    outcome: a status, or the name of the last event. promise: seconds that the line first promised, if it waited.
    """

    caller: int
    at: float
    seconds: float = 0.0
    outcome: int | str = ""
    promise: float | None = None


@dataclass
class Storm:
    """All requests, and of the proxy its resident bytes and the seconds that its event loop was late at most.

    idle_bytes: before; resident_bytes: each second meanwhile; lags: of the last minute, each second meanwhile.
    """

    requests: list[Request] = field(default_factory=list)
    idle_bytes: int = 0
    resident_bytes: list[int] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)

    def ended(self, *outcomes: int | str) -> list[Request]:
        """The requests that ended so."""
        return [each for each in self.requests if each.outcome in outcomes]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    options = _options(arguments)
    # As where a GPU computes, the proxy has a core of its own: what is measured of it is its own doing.
    beside, own = two_cores()
    with served_on_cores(options.models, options.family, [beside], [own]) as easel, pinned(beside):
        numbers = itertools.count()
        draw_at_once(easel, MANY, 2 * MANY, options.steps, numbers)  # warm
        capacity = draw_at_once(easel, MANY, options.pictures, options.steps, numbers).throughput
        gc.collect()
        gc.freeze()  # or collections of what was imported would hold up the clients, and be measured
        storm = asyncio.run(_storm(easel, options.times * capacity, options.seconds, options.steps, numbers))
    rows = _rows(storm, capacity, options.seconds)
    tables = [Table("by caller", _COLUMNS, _lines(storm)), Table("how they ended", ("", "requests"), _outcomes(storm))]
    title = f"{options.times} times what can be drawn, for {options.seconds} s, {options.family}, {options.steps} steps"
    Report("overload", title, vars(options), rows, tables).publish(options.results, lambda axes: _draw(axes, storm))


async def _storm(easel: Easel, rate: float, seconds: float, steps: int, numbers: Iterator[int]) -> Storm:
    """Requests that come at random moments, `rate` a second on average, whatever became of those before."""
    rng = np.random.default_rng(1)
    storm = Storm(idle_bytes=resident_bytes(easel.stack.proxy.pid))
    async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        callers = [await stack.enter_async_context(_caller(easel.stack.url, number)) for number in range(CALLERS)]
        watch = tasks.create_task(_watch(easel, callers[0], storm))
        under_way = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            caller = 0 if rng.random() < GREEDY_SHARE else int(rng.integers(1, CALLERS))
            parameters = {**request(next(numbers)), "steps": steps}
            storm.requests.append(asked := Request(caller, time.perf_counter()))
            under_way.append(tasks.create_task(_ask(callers[caller], parameters, asked)))
            await asyncio.sleep(rng.exponential(1 / rate))
        await asyncio.gather(*under_way)
        watch.cancel()
    return storm


@contextlib.asynccontextmanager
async def _caller(url: str, number: int) -> AsyncIterator[httpx.AsyncClient]:
    """A client with an address of its own on this machine."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    transport = httpx.AsyncHTTPTransport(local_address=f"127.0.0.{2 + number}", limits=limits)
    async with httpx.AsyncClient(base_url=url, transport=transport, timeout=PICTURE_SECONDS) as client:
        yield client


async def _ask(client: httpx.AsyncClient, parameters: dict[str, str | float], asked: Request) -> None:
    async with client.stream("GET", "/generate/events", params=parameters) as answer:
        asked.outcome = answer.status_code
        if answer.is_success:
            async for event in httpx_sse.EventSource(answer).aiter_sse():
                asked.outcome = event.event
                if event.event == "queued" and asked.promise is None:
                    asked.promise = event.json()["seconds_left"]
        elif "Retry-After" not in answer.headers:
            asked.outcome = f"{answer.status_code} without Retry-After"
    asked.seconds = time.perf_counter() - asked.at


async def _watch(easel: Easel, client: httpx.AsyncClient, storm: Storm) -> None:
    while True:
        storm.resident_bytes.append(resident_bytes(easel.stack.proxy.pid))
        lines = (await client.get("/metrics")).text.splitlines()
        storm.lags += [float(line.split()[1]) for line in lines if line.startswith(f"{_LAG} ")]
        await asyncio.sleep(_SECOND)


def _rows(storm: Storm, capacity: float, seconds: float) -> list[Row]:
    drawn, refused = storm.ended("result"), storm.ended(*_REFUSED)
    within = [each for each in drawn if each.at + each.seconds <= storm.requests[0].at + seconds]
    return [
        Row("requests a second, those that can be drawn", [capacity]),
        Row("requests a second, those that came", [len(storm.requests) / seconds]),
        Row("drawn meanwhile ÷ what can be drawn", [len(within) / seconds / capacity], "", OF_CAPACITY),
        Row("neither drawn nor refused", [float(len(storm.requests) - len(drawn) - len(refused))], "", NONE),
        *_refusals(refused),
        *_promises(drawn),
        Row(
            "the event loop was late, at most",
            [1000 * max(storm.lags[_A_MINUTE:] or storm.lags)],
            "ms",
            LATE_MILLISECONDS,
        ),
        Row("proxy: most memory ÷ idle", [max(storm.resident_bytes) / storm.idle_bytes], "", OF_IDLE_MEMORY),
    ]


def _refusals(refused: Sequence[Request]) -> list[Row]:
    milliseconds = [1000 * each.seconds for each in refused]
    quantiles = {"median": 0.5, "p99": 0.99, "the slowest": 1.0}
    return [
        Row(f"a refusal: {name}", [float(np.quantile(milliseconds, share))], "ms", REFUSED_MILLISECONDS)
        for name, share in quantiles.items()
        if milliseconds  # none, where all could be drawn
    ]


def _promises(drawn: Sequence[Request]) -> list[Row]:
    late = [each.seconds / each.promise for each in drawn if each.promise]
    what = "p95 of what a picture took ÷ what was promised"
    return [Row(what, [float(np.quantile(late, 0.95))], "", OF_THE_PROMISE)] if late else []


def _lines(storm: Storm) -> list[list[float | str]]:
    lines: list[list[float | str]] = []
    for caller in range(CALLERS):
        own = [each for each in storm.requests if each.caller == caller]
        seconds = [each.seconds for each in own if each.outcome == "result"] or [0.0]
        refused = sum(each.outcome in _REFUSED for each in own)
        name = "the greedy one" if caller == 0 else f"another, {caller}"
        drawn = sum(each.outcome == "result" for each in own)
        waits = float(np.median(seconds)), float(np.quantile(seconds, 0.95))
        lines.append([name, float(len(own)), float(drawn), float(refused), *waits])
    return lines


def _outcomes(storm: Storm) -> list[list[float | str]]:
    return [[str(outcome), float(count)] for outcome, count in Counter(each.outcome for each in storm.requests).items()]


def _draw(axes: Axes, storm: Storm) -> None:
    first = storm.requests[0].at
    for name, chosen in (("the greedy caller", [0]), ("the others", range(1, CALLERS))):
        drawn = [each for each in storm.ended("result") if each.caller in chosen]
        axes.plot([each.at - first for each in drawn], [each.seconds for each in drawn], ".", label=name)
    axes.set(xlabel="seconds", ylabel="seconds until the picture", ylim=(0, None))
    axes.legend()


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = report.parser("overload", __doc__)
    add_options(parser)
    parser.add_argument("--times", type=float, default=10, help="how many times what can be drawn")
    parser.add_argument("--seconds", type=float, default=120, help="for how long")
    parser.add_argument("--pictures", type=int, default=60, help="from which to tell what can be drawn")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
