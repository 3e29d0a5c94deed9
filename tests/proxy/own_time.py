"""An event loop whose time is no machine's: a test that waits takes no time, and one that is held up is not late."""

import asyncio
import selectors
from typing import Any


class OwnTime(asyncio.SelectorEventLoop):
    """Its clock stands still while there is something to do, and jumps to the next moment that somebody waits for.

    It stands still while a thread of its executor works, too. Not for real sockets: nobody would wait for the others.
    """

    def __init__(self) -> None:
        self.now, self.threads = 0.0, 0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self.now

    def run_in_executor(self, *args: Any) -> asyncio.Future[Any]:
        self.threads += 1
        future = super().run_in_executor(*args)
        future.add_done_callback(self._came_back)
        return future

    def _came_back(self, _: object) -> None:
        self.threads -= 1


class _Jumping(selectors.SelectSelector):
    def __init__(self, loop: OwnTime) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or self._loop.threads:
            return super().select(timeout)
        found = super().select(0)
        if not found:
            self._loop.now += max(0, timeout)
        return found


def own_time() -> OwnTime:
    """The loop that runs, of a test that is marked so."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, OwnTime)
    return loop
