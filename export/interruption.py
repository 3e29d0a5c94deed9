"""Turns the signals that end a process into exceptions, so that an interrupted export cleans up after itself."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """The process was told to stop; `number` is the signal's."""

    def __init__(self, number: int) -> None:
        """Keep the signal's number; the text is its name."""
        super().__init__(signal.Signals(number).name)
        self.number = number


def raise_when_interrupted() -> None:
    """From here on raise `Interrupted` in the main thread on SIGINT, SIGTERM and SIGHUP."""
    for number in _SIGNALS:
        signal.signal(number, _raise)


@contextmanager
def deferred() -> Iterator[None]:
    """Let the block finish before a signal that arrives meanwhile raises `Interrupted`; main thread only."""
    arrived: list[int] = []
    before = {number: signal.signal(number, lambda number, frame: arrived.append(number)) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if arrived:
        signal.raise_signal(arrived[0])


def _raise(number: int, frame: FrameType | None) -> None:
    raise Interrupted(number)
