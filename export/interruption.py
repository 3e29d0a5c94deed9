"""Turns the signals that end a process into exceptions, so that an interrupted export cleans up after itself."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """The process was told to stop; `number` is the signal's."""

    def __init__(self, number: int) -> None:
        """Keep the signal's number; the text is its name."""
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def raising() -> Iterator[None]:
    """Inside the block SIGINT, SIGTERM and SIGHUP raise `Interrupted` in the main thread; ignored ones stay ignored."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number)

    with _handling(interrupt):
        yield


@contextmanager
def deferred() -> Iterator[None]:
    """Let the block finish before a signal that arrives meanwhile takes effect; main thread only."""
    arrived: list[int] = []
    with _handling(lambda number, frame: arrived.append(number)):
        yield
    if arrived:
        signal.raise_signal(arrived[0])


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    caught = [number for number in _SIGNALS if before[number] is not signal.SIG_IGN]
    try:
        for number in caught:
            signal.signal(number, handler)
        yield
    finally:
        for number in caught:
            signal.signal(number, before[number])
