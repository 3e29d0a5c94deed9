"""The event loop's pulse: how late it is, what is in line, and who is set aside."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NoReturn

from proxy import metrics
from proxy.queue import Queue
from proxy.servers import Servers

_BEAT_SECONDS = 0.01
_BEATS_A_SECOND = 100
_SECONDS_A_MINUTE = 60


@asynccontextmanager
async def measured(queue: Queue, servers: Servers) -> AsyncIterator[None]:
    """Measure inside the block: whoever waits for the loop waits as long as this does, beyond its 10 ms."""
    task = asyncio.create_task(_beat(queue, servers))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _beat(queue: Queue, servers: Servers) -> NoReturn:
    latest: deque[float] = deque(maxlen=_SECONDS_A_MINUTE)
    while True:
        latest.append(max([await _lag_seconds() for _ in range(_BEATS_A_SECOND)]))
        metrics.LARGEST_LAG_SECONDS.set(max(latest))
        metrics.WAITING.set(queue.waiting)
        metrics.RUNNING.set(queue.running)
        for server in servers:
            metrics.ASIDE.labels(server.name).set(server.breaker.health)


async def _lag_seconds() -> float:
    due = time.perf_counter() + _BEAT_SECONDS
    await asyncio.sleep(_BEAT_SECONDS)
    lag = max(time.perf_counter() - due, 0.0)
    metrics.LAG_SECONDS.observe(lag)
    return lag
