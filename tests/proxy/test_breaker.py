"""A server that failed is set aside, and probed until it answers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from proxy.breaker import Breaker, Health
from tests.proxy.own_time import now

pytestmark = pytest.mark.own_time


class Probed:
    """A server that is as `health` says; times: of the probes, in seconds from the beginning."""

    def __init__(self, health: Health) -> None:
        self.health, self.times, self._start = health, list[float](), now()
        self.breaker = Breaker(self._probe)

    async def _probe(self) -> Health:
        self.times.append(now() - self._start)
        return self.health

    async def until(self, health: Health) -> None:
        for _ in range(1000):
            if self.breaker.health is health:
                return
            await asyncio.sleep(0.01)
        raise TimeoutError


@contextlib.asynccontextmanager
async def probed(health: Health = Health.WELL) -> AsyncIterator[Probed]:
    server = Probed(health)
    yield server
    await server.breaker.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_one_failure_sets_aside_and_one_probe_brings_back() -> None:
    async with probed() as server:
        assert server.breaker.health is Health.WELL
        server.breaker.failed()
        assert server.breaker.health is Health.FAILING
        await server.until(Health.WELL)
        assert len(server.times) == 1
        assert server.times[0] == 0


async def test_it_is_probed_every_second_or_so_until_it_answers() -> None:
    async with probed(Health.FAILING) as server:
        for _ in range(8):  # requests that were under way together
            server.breaker.failed()
        await asyncio.sleep(2)
        assert len(server.times) == 4
        assert server.breaker.health is Health.FAILING
        server.health = Health.WELL
        await server.until(Health.WELL)


async def test_a_probe_says_whether_it_hangs() -> None:
    async with probed(Health.HANGING) as server:
        server.breaker.failed()
        await server.until(Health.HANGING)
        server.health = Health.FAILING
        await server.until(Health.FAILING)
        server.breaker.failed(Health.HANGING)
        assert server.breaker.health is Health.HANGING


async def test_a_server_whose_probes_are_better_than_its_calls_waits_longer_each_time() -> None:
    """Until a call goes well."""
    async with probed() as server:
        for pause in (0, 1, 2):
            start = now()
            server.breaker.failed()
            await server.until(Health.WELL)
            assert pause <= now() - start < pause + 0.1
        server.breaker.answered_well()
        start = now()
        server.breaker.failed()
        await server.until(Health.WELL)
        assert now() - start < 0.1


async def test_bad_answers_set_aside_if_they_come_in_a_row() -> None:
    async with probed(Health.FAILING) as server:
        for _ in range(3):
            server.breaker.answered_badly()
            server.breaker.answered_badly()
            server.breaker.answered_well()
        assert server.breaker.health is Health.WELL
        for _ in range(3):
            server.breaker.answered_badly()
        assert server.breaker.health is Health.FAILING


@pytest.mark.parametrize("health", Health)
async def test_a_server_under_suspicion_is_set_aside_only_if_its_probe_fails(health: Health) -> None:
    async with probed(health) as server:
        for _ in range(5):
            server.breaker.suspected()
            assert server.breaker.health is Health.WELL
        await asyncio.sleep(0.1)
        assert len(server.times) == 1
        assert server.breaker.health is health


async def test_nothing_is_probed_after_the_end() -> None:
    async with probed(Health.FAILING) as server:
        await server.breaker.close()
        server.breaker.failed()
        server.breaker.suspected()
        await asyncio.sleep(0.1)
        assert server.times == []
