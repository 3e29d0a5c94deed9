"""When a request has to be over."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from proxy.errors import DeadlineExceededError


@dataclass(frozen=True)
class Deadline:
    """The moment at which a request ends, done or not.

    seconds: that it has in all. at: the moment on the event loop's clock.
    """

    seconds: float
    at: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """So many seconds from now."""
        return cls(seconds, asyncio.get_running_loop().time() + seconds)

    def check(self, reached: str) -> None:
        """Raise DeadlineExceededError if it has passed; reached: how far the request is."""
        if asyncio.get_running_loop().time() >= self.at:
            raise DeadlineExceededError(self.seconds, reached)

    @asynccontextmanager
    async def kept(self, reached: Callable[[], str]) -> AsyncIterator[None]:
        """End the block when it passes, whatever is waited for there. Raises DeadlineExceededError."""
        try:
            async with asyncio.timeout_at(self.at) as timer:
                yield
        except TimeoutError as exc:
            if not timer.expired():
                raise
            raise DeadlineExceededError(self.seconds, reached()) from exc
