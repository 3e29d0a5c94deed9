"""Whether a server is asked, or set aside because it failed."""

import asyncio
from collections.abc import Awaitable, Callable
from enum import IntEnum

from tenacity import AsyncRetrying, retry_if_result, wait_exponential

_BAD_ANSWERS = 3
# Before the first probe: of a server that failed once, that failed again after a good probe, ...
_PAUSES_SECONDS = (0, 1, 2, 5, 10)
_BETWEEN_PROBES = wait_exponential(multiplier=0.25, max=2)


class Health(IntEnum):
    """How a server is, the best first: one that fails at once costs nothing, one that hangs a call's whole time."""

    WELL = 0
    FAILING = 1
    HANGING = 2


class Breaker:
    """Sets a server aside that failed, and asks it in the background until it answers again."""

    def __init__(self, probe: Callable[[], Awaitable[Health]]) -> None:
        """probe: asks the server for something cheap, and says how it is."""
        self.health = Health.WELL
        self._probe = probe
        self._bad_answers = self._relapses = 0
        self._probing: asyncio.Task[None] | None = None
        self._is_closed = False

    def failed(self, health: Health = Health.FAILING) -> None:
        """Set the server aside after a call that it did not answer."""
        pause = _PAUSES_SECONDS[min(self._relapses, len(_PAUSES_SECONDS) - 1)]
        if self.health is Health.WELL:
            self._relapses += 1
        self.health = max(self.health, health)
        self._watch(pause)

    def answered_badly(self) -> None:
        """Set the server aside if it does so several times in a row."""
        self._bad_answers += 1
        if self._bad_answers >= _BAD_ANSWERS:
            self.failed()

    def answered_well(self) -> None:
        """Forget what was wrong."""
        self.health, self._bad_answers, self._relapses = Health.WELL, 0, 0

    def suspected(self) -> None:
        """Find out how the server is, after a call that was given up."""
        self._watch(0)

    def _watch(self, pause: float) -> None:
        if not self._is_closed and (self._probing is None or self._probing.done()):
            self._probing = asyncio.create_task(self._until_well(pause))

    async def _until_well(self, pause: float) -> None:
        await asyncio.sleep(pause)
        await AsyncRetrying(retry=retry_if_result(bool), wait=_BETWEEN_PROBES)(self._look)

    async def _look(self) -> Health:
        self.health = await self._probe()
        return self.health

    async def close(self) -> None:
        """End the probing for good."""
        self._is_closed = True
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)
