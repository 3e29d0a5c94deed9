"""The order in which requests are drawn: so many at once, the others wait, and callers take turns."""

import asyncio
import math
import statistics
import time
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from proxy.errors import QueueFullError, TooManyRequestsError

_PATIENCE_SECONDS = 0.5
_REMEMBERED = 32
_LONGEST_RETRY_SECONDS = 60

Moved = Callable[[int, float | None], Awaitable[None]]
"""Awaited while a request waits, with its position, 1 for the next, and the seconds until its end, if that is known.

What it raises takes the request out.
"""


class Queue:
    """At most `at_once` requests hold a place, and `longest` wait for one; a free place goes to each caller in turn.

    per_caller: requests of one caller, waiting or not; own_limit: what a caller has instead, if it has one.
    """

    def __init__(
        self,
        at_once: int,
        *,
        longest: int,
        per_caller: int,
        own_limit: Callable[[str], int | None] = lambda _caller: None,
    ) -> None:
        self._at_once, self._longest, self._per_caller = at_once, longest, per_caller
        self._own_limit = own_limit
        self._free = at_once
        self._lines: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._requests: Counter[str] = Counter()
        self._held_seconds: deque[float] = deque(maxlen=_REMEMBERED)

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return sum(map(len, self._lines.values()))

    @property
    def running(self) -> int:
        """Requests that hold a place."""
        return self._at_once - self._free

    def check(self, caller: str) -> None:
        """Raise TooManyRequestsError or QueueFullError if another request of the caller would be refused now."""
        allowed = self._own_limit(caller) or self._per_caller
        if self._requests[caller] >= allowed:
            raise TooManyRequestsError(allowed, self._retry_seconds(self._requests[caller]))
        if self._free <= 0 and self.waiting >= self._longest:
            raise QueueFullError(self._longest, self._retry_seconds(self._longest))

    @asynccontextmanager
    async def place(self, caller: str, moved: Moved) -> AsyncIterator[None]:
        """Hold a place inside the block, and wait for it before. Raises what `check` raises, and what `moved` does."""
        self.check(caller)
        self._requests[caller] += 1
        try:
            await self._enter(caller, moved)
            entered = time.monotonic()
            try:
                yield
                self._held_seconds.append(time.monotonic() - entered)
            finally:
                self._leave()
        finally:
            self._requests -= Counter([caller])  # and forget a caller that has none left

    def seconds_left(self, position: int) -> float | None:
        """Until a request at this position is done, if the others take as long as the last ones did."""
        if not self._held_seconds:
            return None
        return (position / self._at_once + 1) * statistics.fmean(self._held_seconds)

    async def _enter(self, caller: str, moved: Moved) -> None:
        if self._free > 0:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(caller, deque()).append(turn)
        try:
            while not turn.done():
                position = self._position(caller, turn)
                await moved(position, self.seconds_left(position))
                await asyncio.wait([turn], timeout=_PATIENCE_SECONDS)
        except BaseException:
            if turn.done():
                self._leave()
            else:
                self._lines[caller].remove(turn)
                self._forget_if_empty(caller)
            raise

    def _position(self, caller: str, turn: asyncio.Future[None]) -> int:
        """Before it come those before it in its own line, and as many of each other line, one more if that is first."""
        own = self._lines[caller].index(turn)
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
