"""The event loop's pulse: how late it is, what is in line, and who is set aside."""

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from proxy import metrics
from proxy.queue import Queue
from proxy.servers import Servers

# To wake up costs 50 to 100 µs, most of it the kernel's and the caches', so this is 0.25 to 0.5 % of a processor; as a
# task with a sleep it would be a quarter more.
_BEAT_SECONDS = 0.02
_BEATS_A_SECOND = 50
_SECONDS_A_MINUTE = 60


@contextmanager
def measured(queue: Queue, servers: Servers) -> Iterator[None]:
    """Measure inside the block: whoever waits for the event loop waits as long as this does, beyond its 20 ms."""
    pulse = _Pulse(queue, servers)
    try:
        yield
    finally:
        pulse.stop()


class _Pulse:
    """Beats until it is stopped."""

    def __init__(self, queue: Queue, servers: Servers) -> None:
        self._queue, self._servers = queue, servers
        self._lags: deque[float] = deque(maxlen=_BEATS_A_SECOND)
        self._largest: deque[float] = deque(maxlen=_SECONDS_A_MINUTE)
        self._wait()

    def stop(self) -> None:
        """Beat no more."""
        self._timer.cancel()
        self._count()

    def _wait(self) -> None:
        self._due = time.perf_counter() + _BEAT_SECONDS
        self._timer = asyncio.get_running_loop().call_later(_BEAT_SECONDS, self._beat)

    def _beat(self) -> None:
        self._lags.append(max(time.perf_counter() - self._due, 0.0))
        if len(self._lags) == _BEATS_A_SECOND:
            self._show()
        self._wait()

    def _count(self) -> None:
        """All beats together: each alone, with nothing in the processor's caches, takes ten times as long."""
        for lag in self._lags:
            metrics.LAG_SECONDS.observe(lag)
        self._lags.clear()

    def _show(self) -> None:
        """All of it, once a second."""
        self._largest.append(max(self._lags))
        self._count()
        metrics.LARGEST_LAG_SECONDS.set(max(self._largest))
        metrics.WAITING.set(self._queue.waiting)
        metrics.RUNNING.set(self._queue.running)
        for server in self._servers:
            metrics.ASIDE.labels(server.name).set(server.breaker.health)
