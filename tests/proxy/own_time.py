"""Event loops whose time is not the machine's: what waits is neither late nor early, however busy the machine is."""

import asyncio
import selectors
from collections.abc import Callable


class OwnTime(asyncio.SelectorEventLoop):
    """Its clock stands still while there is something to do, and jumps to the next moment that somebody waits for.

    For what has neither sockets nor threads: nobody would wait for those.
    """

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self.now


class _Jumping(selectors.SelectSelector):
    def __init__(self, loop: OwnTime) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            return super().select()
        found = super().select(0)
        if not found:
            self._loop.now += max(0, timeout)
        return found


class SkippedTime(asyncio.SelectorEventLoop):
    """Its clock is the machine's, but a test may skip what it would have to wait for."""

    skipped = 0.0

    def time(self) -> float:
        return super().time() + self.skipped

    def skip(self, seconds: float) -> None:
        """It is so much later."""
        self.skipped += seconds


LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"own_time": OwnTime, "skipped_time": SkippedTime}
"""By the mark of the tests that run on them."""


def now() -> float:
    """What the running loop's clock says."""
    return asyncio.get_running_loop().time()


def skip(seconds: float) -> None:
    """Skip time, in a test that is marked so."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SkippedTime)
    loop.skip(seconds)
