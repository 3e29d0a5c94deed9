"""The line of requests: its bound, its order, its promises."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from proxy.errors import QueueFullError, TooManyRequestsError
from proxy.queue import Queue

pytestmark = pytest.mark.own_time


class Line:
    """Requests that hold their place until they are told to end, and the order in which they got it."""

    def __init__(self, **settings: int) -> None:
        self.now = 0.0
        self.queue = Queue(**settings, clock=lambda: self.now)
        self.begun: list[str] = []
        self.positions: dict[str, int] = {}
        self.seconds_left: dict[str, float | None] = {}
        self._ends: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, *names: str) -> None:
        """A request of the caller that the first letter names; returns when it waits, or has its place."""
        for name in names:
            self._ends[name] = asyncio.Event()
            self._tasks[name] = asyncio.create_task(self._hold(name))
            await asyncio.sleep(0)

    async def _hold(self, name: str) -> None:
        async def moved(position: int, seconds_left: float | None) -> None:
            self.positions[name], self.seconds_left[name] = position, seconds_left

        with self.queue.admitted(name[0]):
            async with self.queue.place(name[0], moved):
                await self._stay(name)

    async def _stay(self, name: str) -> None:
        self.begun.append(name)
        await self._ends[name].wait()

    def end_soon(self, name: str) -> None:
        """Tell a request that holds its place to end."""
        self._ends[name].set()

    async def end(self, name: str) -> None:
        """End a request that holds its place, and let the next begin."""
        self.end_soon(name)
        await self._tasks[name]
        await asyncio.sleep(0.01)

    async def leave(self, name: str) -> None:
        """Take a request away, wherever it is."""
        self._tasks[name].cancel()
        await asyncio.wait([self._tasks[name]])

    async def end_all(self) -> list[str]:
        """End each as soon as it has begun; in which order they began."""
        ended = 0
        while ended < len(self._tasks):
            await self.end(self.begun[ended])
            ended += 1
        return self.begun


@contextlib.asynccontextmanager
async def line(at_once: int = 1, longest: int = 100, per_caller: int = 100) -> AsyncIterator[Line]:
    opened = Line(at_once=at_once, longest=longest, per_caller=per_caller)
    yield opened
    assert (opened.queue.waiting, opened.queue.running) == (0, 0)


async def test_callers_take_turns() -> None:
    """Who came with many requests does not keep others waiting for all of them; each caller's own keep their order."""
    async with line() as requests:
        await requests.ask("a1", "a2", "a3", "a4", "b1", "b2", "c1")
        assert await requests.end_all() == ["a1", "a2", "b1", "c1", "a3", "b2", "a4"]


async def test_the_position_is_how_many_will_really_go_before() -> None:
    async with line() as requests:
        await requests.ask("a0", "a1", "a2", "a3", "b1", "b2", "c1")
        names = ["a1", "a2", "a3", "b1", "b2", "c1"]
        expected = dict(zip(["a1", "b1", "c1", "a2", "b2", "a3"], range(1, 7), strict=True))
        await asyncio.sleep(0.6)  # they look again every half second
        assert {name: requests.positions[name] for name in names} == expected
        assert (await requests.end_all())[1:] == list(expected)


async def test_more_than_may_wait_are_refused() -> None:
    """Not before each place is held, and not any more when one has left."""
    async with line(at_once=2, longest=1) as requests:
        await requests.ask("a1", "b1", "c1")
        with pytest.raises(QueueFullError, match="1 requests wait already"):
            try_again(requests, "d")
        await requests.leave("c1")
        try_again(requests, "d")
        await requests.ask("d1")
        await requests.end("a1")
        assert requests.begun == ["a1", "b1", "d1"]
        await requests.end("b1")
        await requests.end("d1")


async def test_one_caller_may_have_so_many_under_way() -> None:
    """Those that hold a place count as well as those that wait; nobody else is refused."""
    async with line(per_caller=2) as requests:
        await requests.ask("a1", "a2")
        with pytest.raises(TooManyRequestsError, match="2 requests of this caller"):
            try_again(requests, "a")
        try_again(requests, "b")
        await requests.leave("a2")
        try_again(requests, "a")
        await requests.end("a1")


async def test_a_request_that_leaves_lets_the_others_move_up() -> None:
    async with line() as requests:
        await requests.ask("a1", "b1", "b2", "c1")
        await requests.leave("b1")
        assert await _after(requests, "a1") == "b2"
        await requests.leave("b2")
        await asyncio.sleep(0)
        assert requests.begun == ["a1", "b2", "c1"]
        await requests.end("c1")


async def test_a_place_that_comes_to_one_that_is_leaving_goes_on_to_the_next() -> None:
    """It was given, and not yet taken."""
    async with line() as requests:
        await requests.ask("a1", "b1", "c1")
        requests.end_soon("a1")
        while requests.queue.waiting == 2:  # noqa: ASYNC110 - until the very moment
            await asyncio.sleep(0)
        await requests.leave("b1")
        await asyncio.sleep(0.01)
        assert requests.begun == ["a1", "c1"]
        await requests.end("c1")


async def test_the_promise_is_what_the_last_requests_took() -> None:
    """Whoever is fourth in line waits for the one that is drawn and three others; drawn two at once, half as long."""
    async with line() as requests:
        assert requests.queue.seconds_left(1) is None
        await requests.ask("a1")
        requests.now += 0.2
        await requests.end("a1")
        assert requests.queue.seconds_left(4) == pytest.approx(5 * 0.2)
    async with line(at_once=2) as requests:
        names = [f"a{number}" for number in range(8)]
        await requests.ask(*names)
        for first, second in zip(names[::2], names[1::2], strict=True):
            requests.now += 0.2
            await requests.end(first)
            await requests.end(second)
        assert requests.queue.seconds_left(4) == pytest.approx(3 * 0.2, rel=0.1)  # a free place is filled at once


async def test_the_promise_counts_on_callers_who_ask_again() -> None:
    """The third of a caller's own goes after three of the other's, of which one is there."""
    async with line() as requests:
        await requests.ask("a0")
        requests.now += 0.2
        await requests.ask("a1", "a2", "b1", "a3")
        await requests.end("a0")
        await asyncio.sleep(0.6)
        left = requests.seconds_left
        assert left["a3"] == pytest.approx(left["a2"] * 5 / 3)
        await requests.end_all()


async def test_who_is_refused_is_told_when_to_come_back() -> None:
    """After what the line will take; at least a second."""
    async with line(longest=0, per_caller=1) as requests:
        await requests.ask("a1")
        with pytest.raises(QueueFullError) as full:
            try_again(requests, "b")
        with pytest.raises(TooManyRequestsError) as many:
            try_again(requests, "a")
        assert (full.value.retry_after_seconds, many.value.retry_after_seconds) == (1, 1)
        requests.now += 1.1
        await requests.end("a1")
        await requests.ask("a2")
        with pytest.raises(QueueFullError) as full:
            try_again(requests, "b")
        assert full.value.retry_after_seconds == 2
        await requests.end("a2")


def try_again(requests: Line, caller: str) -> None:
    """Be admitted, or refused, and leave."""
    with requests.queue.admitted(caller):
        pass


async def _after(requests: Line, name: str) -> str:
    """Who begins when this one ends."""
    await requests.end(name)
    return requests.begun[-1]
