"""The order in which requests are drawn: so many at once, the others wait, first come, first served."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

_PATIENCE_SECONDS = 0.5

Moved = Callable[[int], Awaitable[None]]
"""Awaited with a request's position while it waits, 1 for the next; what it raises takes the request out."""


class Queue:
    """At most `at_once` requests hold a place; whoever comes later gets one when it is free."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def place(self, moved: Moved) -> AsyncIterator[None]:
        """Hold a place inside the block, and wait for it before."""
        await self._enter(moved)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, moved: Moved) -> None:
        if self._free > 0:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            while not turn.done():
                await moved(self._waiting.index(turn) + 1)
                await asyncio.wait([turn], timeout=_PATIENCE_SECONDS)
        except BaseException:
            if turn.done():
                self._leave()
            else:
                self._waiting.remove(turn)
            raise

    def _leave(self) -> None:
        """Give the place to the next in line."""
        if self._waiting:
            self._waiting.popleft().set_result(None)
        else:
            self._free += 1
