"""What goes wrong and when, drawn by chance from a seed."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.chaos.fault_proxy import Fault
from tests.chaos.stack import ModelServer, Proxy, add_version

KILL = "kill -9 of a model server"
CALL_SECONDS = 4.0
HALT_SECONDS = CALL_SECONDS + 2
# From one to the next of its kind, on average.
EVERY_SECONDS = {
    KILL: 12.0,
    "SIGSTOP of a model server": 35.0,
    "new version of all models": 55.0,
    "SIGTERM of the proxy": 45.0,
    "an answer spoiled": 1.5,
}


class Faults:
    """Makes things go wrong until it is told to stop. done: how often, by kind."""

    def __init__(self, servers: list[ModelServer], proxy: Proxy, models: Path, seed: int) -> None:
        self._servers, self._proxy, self._models, self._seed = servers, proxy, models, seed
        self.done: Counter[str] = Counter()
        self._tasks = asyncio.TaskGroup()

    async def go_on_until(self, end: float) -> None:
        """Each kind at its own pace; none begins after the end. All is put right again before this returns."""
        kinds: dict[str, Callable[[random.Random], Awaitable[None]]] = {
            KILL: self._kill,
            "SIGSTOP of a model server": self._halt,
            "new version of all models": self._load,
            "SIGTERM of the proxy": self._restart,
            "an answer spoiled": self._spoil,
        }
        async with self._tasks:
            for kind, fault in kinds.items():
                self._tasks.create_task(self._repeat(kind, fault, end))

    async def _repeat(self, kind: str, fault: Callable[[random.Random], Awaitable[None]], end: float) -> None:
        """At random moments, one in every stretch of the kind's length; in a short run, two."""
        chance = random.Random(f"{self._seed} {kind}")
        start = time.monotonic()
        stretches = max(2, int((end - start) / EVERY_SECONDS[kind]))
        every = (end - start) / stretches
        for number in range(stretches):
            moment = start + every * (number + chance.random())
            await asyncio.sleep(moment - time.monotonic())
            if time.monotonic() > end:
                return
            await fault(chance)

    async def _one_that_is_up(self, chance: random.Random) -> ModelServer:
        chosen = chance.choice([server for server in self._servers if server.is_up.is_set()] or self._servers)
        while not chosen.is_up.is_set():  # another fault may have had it first
            await chosen.is_up.wait()
        return chosen

    async def _kill(self, chance: random.Random) -> None:
        server = await self._one_that_is_up(chance)
        self.done[KILL] += 1
        await server.kill()
        self._tasks.create_task(server.start())

    async def _halt(self, chance: random.Random) -> None:
        server = await self._one_that_is_up(chance)
        self.done["SIGSTOP of a model server"] += 1
        server.halt()
        await asyncio.sleep(HALT_SECONDS)
        server.go_on()

    async def _load(self, _: random.Random) -> None:
        await asyncio.to_thread(add_version, self._models)
        self.done["new version of all models"] += 1

    async def _restart(self, _: random.Random) -> None:
        self.done["SIGTERM of the proxy"] += 1
        await self._proxy.stop()
        await self._proxy.start()

    async def _spoil(self, chance: random.Random) -> None:
        chance.choice(self._servers).faults.arm(chance.choice(list(Fault)))
