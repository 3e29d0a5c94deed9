"""Streams of events that are never silent for long."""

import asyncio
from collections.abc import AsyncGenerator

import httpx
import pytest

from proxy.api.streams import kept_alive
from tests.proxy.event_stream import slow
from tests.proxy.fake_model_server import FakeModelServer

COMMENT = b": ping\n\n"


async def slowly(closed: list[bool], seconds: float = 0.25) -> AsyncGenerator[bytes]:
    try:
        for event in (b"one", b"two"):
            yield event
            await asyncio.sleep(seconds)
    finally:
        closed.append(True)


@pytest.mark.own_time
async def test_silence_is_broken_by_comments() -> None:
    """However long it is; what comes in time is passed on alone."""
    closed: list[bool] = []
    assert [event async for event in kept_alive(slowly(closed), 0.1)] == [
        b"one",
        *[COMMENT] * 2,
        b"two",
        *[COMMENT] * 2,
    ]
    assert [event async for event in kept_alive(slowly(closed), 9)] == [b"one", b"two"]
    assert closed == [True, True]


@pytest.mark.own_time
@pytest.mark.parametrize("seen", [1, 2])
async def test_who_leaves_closes_the_events(seen: int) -> None:
    """After an event, and after a comment while the next is awaited."""
    closed: list[bool] = []
    stream = kept_alive(slowly(closed, 60), 0.01)
    for _ in range(seen):
        await anext(stream)
    await stream.aclose()
    assert closed == [True]


@pytest.mark.own_time
async def test_what_is_cancelled_while_it_waits_closes_the_events() -> None:
    closed: list[bool] = []
    stream = kept_alive(slowly(closed, 60), 60)
    await anext(stream)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await anext(stream)
    assert closed == [True]


def test_openais_stream_is_not_silent_while_a_model_works(url: str, served: FakeModelServer) -> None:
    slow(served, 16)
    body = {"prompt": "red heart", "steps": 1, "stream": True}
    answer = httpx.post(f"{url}/v1/images/generations", json=body, timeout=60)
    assert answer.content.startswith(COMMENT + b"event: image_generation.completed")
