"""One call for all who want the same at the same time."""

import asyncio
import gc

import pytest

from proxy.flights import Flights


class Call:
    """Counts how often it is made; ends when it is let, or cancelled."""

    def __init__(self, error: Exception | None = None) -> None:
        self.made, self.error, self.let = 0, error, asyncio.Event()
        self.is_cancelled = False

    async def __call__(self) -> int:
        self.made += 1
        try:
            await self.let.wait()
        except asyncio.CancelledError:
            self.is_cancelled = True
            raise
        if self.error:
            raise self.error
        return self.made


async def started(*tasks: asyncio.Task[int]) -> None:
    """Until every task waits for its flight."""
    for _ in range(3):
        await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)


async def test_all_who_come_while_it_is_under_way_share_a_call() -> None:
    flights, call = Flights[str, int](), Call()
    waiting = [asyncio.create_task(flights.join("a", call)) for _ in range(10)]
    await started(*waiting)
    call.let.set()
    assert await asyncio.gather(*waiting) == [1] * 10
    assert await flights.join("a", call) == 2


@pytest.mark.parametrize("error", [None, ValueError("broken")])
async def test_what_a_call_led_to_is_kept_for_a_while(error: Exception | None) -> None:
    """A result and a failure alike; then the next one calls again."""
    for kept_seconds, made in ((60, 1), (0.01, 2)):
        flights, call = Flights[str, int](kept_seconds), Call(error)
        call.let.set()
        for _ in range(2):
            (said,) = await asyncio.gather(flights.join("a", call), return_exceptions=True)
            assert said is error or said == call.made
            await asyncio.sleep(0.1)
        assert call.made == made


async def test_other_keys_are_other_calls() -> None:
    flights, call = Flights[str, int](), Call()
    call.let.set()
    assert await asyncio.gather(flights.join("a", call), flights.join("b", call)) == [1, 2]


async def test_all_share_a_failure_and_the_next_one_tries_again() -> None:
    flights, call = Flights[str, int](), Call(ValueError("broken"))
    waiting = [asyncio.create_task(flights.join("a", call)) for _ in range(3)]
    await started(*waiting)
    call.let.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert list(map(str, results)) == ["broken"] * 3
    call.error = None
    assert await flights.join("a", call) == 2


async def test_who_comes_after_a_call_was_forgotten_makes_another() -> None:
    """Also when it is under way still, or its result is kept."""
    flights, call = Flights[str, int](kept_seconds=60), Call()
    flights.forget("a")
    first = asyncio.create_task(flights.join("a", call))
    await started(first)
    flights.forget("a")
    second = asyncio.create_task(flights.join("a", call))
    await started(second)
    assert call.made == 2
    call.let.set()
    await asyncio.gather(first, second)
    flights.forget("a")
    assert await flights.join("a", call) == 3
    assert await flights.join("a", call) == 3


async def test_who_leaves_stops_nobody_else() -> None:
    """Not even the one for whom the call was begun."""
    flights, call = Flights[str, int](), Call()
    first, second = (asyncio.create_task(flights.join("a", call)) for _ in range(2))
    await started(first, second)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    call.let.set()
    assert await second == 1


async def test_when_the_last_one_leaves_the_call_is_cancelled() -> None:
    """And not before; what a call led to is kept without anybody, for as long as it is."""
    flights, call = Flights[str, int](kept_seconds=60), Call()
    waiting = [asyncio.create_task(flights.join("a", call)) for _ in range(2)]
    await started(*waiting)
    for task in waiting:
        assert not call.is_cancelled
        task.cancel()
        await asyncio.wait([task])
    await started()
    assert call.is_cancelled
    call.let.set()
    for _ in range(2):
        assert await asyncio.wait_for(flights.join("a", call), 5) == 2


async def test_who_comes_before_a_cancelled_call_has_ended_begins_another() -> None:
    """And keeps it when the first one ends."""
    flights, ending = Flights[str, int](), asyncio.Event()

    async def slow_to_end() -> int:
        try:
            return await asyncio.Event().wait()
        finally:
            await asyncio.wait_for(ending.wait(), 5)

    only = asyncio.create_task(flights.join("a", slow_to_end))
    await started(only)
    only.cancel()
    await asyncio.wait([only])
    call = Call()
    others = [asyncio.create_task(flights.join("a", call)) for _ in range(2)]
    await started(*others)
    ending.set()
    await started(*others)
    late = asyncio.create_task(flights.join("a", call))
    await started(late)
    call.let.set()
    assert await asyncio.wait_for(asyncio.gather(*others, late), 5) == [1, 1, 1]


async def test_a_failure_that_nobody_waits_for_is_silent() -> None:
    flights, complaints = Flights[str, int](), list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

    async def fail() -> int:
        try:
            return await asyncio.Event().wait()
        finally:
            raise ValueError("broken")

    only = asyncio.create_task(flights.join("a", fail))
    await started(only)
    only.cancel()
    await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()}, timeout=5)
    await started()
    del only
    gc.collect()
    assert complaints == []


async def test_a_call_that_is_stopped_ends_the_waiting() -> None:
    """As when the loop ends."""
    flights, call, complaints = Flights[str, int](), Call(), []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    only = asyncio.create_task(flights.join("a", call))
    await started(only)
    for task in asyncio.all_tasks() - {asyncio.current_task(), only}:
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(only, 10)
    assert complaints == []
