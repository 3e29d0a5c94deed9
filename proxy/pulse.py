"""The event loop's pulse: how late it is, what is in line, and who is set aside."""

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from proxy import metrics
from proxy.queue import Queue
from proxy.servers import Servers

# To wake up costs 50 µs, so this is a quarter of a percent of a processor; as a task with a sleep it would be half.
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

    def _wait(self) -> None:
        self._due = time.perf_counter() + _BEAT_SECONDS
        self._timer = asyncio.get_running_loop().call_later(_BEAT_SECONDS, self._beat)

    def _beat(self) -> None:
        lag = max(time.perf_counter() - self._due, 0.0)
        metrics.LAG_SECONDS.observe(lag)
        self._lags.append(lag)
        if len(self._lags) == _BEATS_A_SECOND:
            self._show()
        self._wait()

    def _show(self) -> None:
        """What is not counted but is as it is, once a second."""
        self._largest.append(max(self._lags))
        self._lags.clear()
        metrics.LARGEST_LAG_SECONDS.set(max(self._largest))
        metrics.WAITING.set(self._queue.waiting)
        metrics.RUNNING.set(self._queue.running)
        for server in self._servers:
            metrics.ASIDE.labels(server.name).set(server.breaker.health)
