"""The order in which requests are drawn: so many at once, the others wait, and callers take turns."""

import asyncio
import math
import statistics
import time
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from proxy.errors import QueueFullError, TooManyRequestsError
from proxy.stages import stage

_PATIENCE_SECONDS = 0.5
_REMEMBERED = 32
_LONGEST_RETRY_SECONDS = 60

Moved = Callable[[int, float | None], Awaitable[None]]
"""Awaited while a request waits, with its position, 1 for the next, and the seconds until its end, if that is known.

What it raises takes the request out.
"""


class Queue:
    """At most `at_once` requests hold a place, and `longest` wait for one; callers get a free place in turn.

    per_caller: requests of one caller, waiting or not; own_limit: what a caller has instead, if it has one;
    clock: seconds, from any beginning.
    """

    def __init__(
        self,
        at_once: int,
        *,
        longest: int,
        per_caller: int,
        own_limit: Callable[[str], int | None] = lambda _caller: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._at_once, self._longest, self._per_caller = at_once, longest, per_caller
        self._own_limit, self._clock = own_limit, clock
        self._free = at_once
        self._lines: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._requests: Counter[str] = Counter()
        self._seconds_each: deque[float] = deque(maxlen=_REMEMBERED)

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return sum(map(len, self._lines.values()))

    @property
    def running(self) -> int:
        """Requests that hold a place."""
        return self._at_once - self._free

    @contextmanager
    def admitted(self, caller: str) -> Iterator[None]:
        """Count a request of the caller inside the block. Raises TooManyRequestsError, QueueFullError."""
        allowed = self._own_limit(caller) or self._per_caller
        if self._requests[caller] >= allowed:
            raise TooManyRequestsError(allowed, self._retry_seconds(self._requests[caller]))
        if self._requests.total() >= self._at_once + self._longest:
            raise QueueFullError(self._longest, self._retry_seconds(self._longest))
        self._requests[caller] += 1
        try:
            yield
        finally:
            self._requests -= Counter([caller])  # which also forgets a caller that has none left

    @asynccontextmanager
    async def place(self, caller: str, moved: Moved) -> AsyncIterator[None]:
        """Hold a place inside the block, and wait for it before. Raises what `moved` raises."""
        with stage("queue"):
            await self._enter(caller, moved)
        entered, beside = self._clock(), self.running
        try:
            yield
            self._seconds_each.append((self._clock() - entered) / statistics.fmean([beside, self.running]))
        finally:
            self._leave()

    def seconds_left(self, requests: int) -> float | None:
        """Until the last of so many waiting requests is done, if each takes its share of time as the last ones did.

        Those that were drawn beside others took longer, by as many as there were.
        """
        if not self._seconds_each:
            return None
        return (requests + self._at_once) * statistics.fmean(self._seconds_each)

    async def _enter(self, caller: str, moved: Moved) -> None:
        if self._free > 0:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(caller, deque()).append(turn)
        try:
            while not turn.done():
                own = self._lines[caller].index(turn)
                # Each caller who waits now may ask again, and so go first as often as this one has requests before.
                await moved(self._position(caller, own), self.seconds_left((own + 1) * len(self._lines)))
                await asyncio.wait([turn], timeout=_PATIENCE_SECONDS)
        except BaseException:
            if turn.done():
                self._leave()
            else:
                self._lines[caller].remove(turn)
                self._forget_if_empty(caller)
            raise

    def _position(self, caller: str, own: int) -> int:
        """Of a request with `own` before it in its line: of each other as many go first, or one more, if that is."""
        is_before, others = 1, 0
        for other, line in self._lines.items():
            if other == caller:
                is_before = 0
            else:
                others += min(len(line), own + is_before)
        return 1 + own + others

    def _leave(self) -> None:
        """Give the place to the first caller's first request, after which it is every other caller's turn."""
        if not self._lines:
            self._free += 1
            return
        caller, line = next(iter(self._lines.items()))
        line.popleft().set_result(None)
        self._lines.move_to_end(caller)
        self._forget_if_empty(caller)

    def _forget_if_empty(self, caller: str) -> None:
        if not self._lines[caller]:
            del self._lines[caller]

    def _retry_seconds(self, requests: int) -> int:
        """When so many requests will be done, as far as that is known."""
        return max(1, min(_LONGEST_RETRY_SECONDS, math.ceil(self.seconds_left(requests) or 1)))
