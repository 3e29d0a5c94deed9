"""A progress bar on a terminal."""

import math
import shutil
from typing import TextIO

from proxy.client import Event

_BLOCKS = 24
_CLEAR = "\r\x1b[K"


class Bar:
    """One line that says how far a picture is; nothing at all if the stream is no terminal."""

    def __init__(self, stream: TextIO, label: str) -> None:
        self._stream, self._label = stream, " ".join(label.split())

    def show(self, event: Event) -> None:
        """Draw the line anew for an event."""
        self._write(f"{_words(event)} {self._label}")

    def clear(self) -> None:
        """Leave the line empty."""
        self._write("")

    def _write(self, line: str) -> None:
        if self._stream.isatty():
            self._stream.write(_CLEAR + line[: shutil.get_terminal_size().columns - 1])
            self._stream.flush()


def _words(event: Event) -> str:
    if event.name == "queued":
        return f"waiting, {event.data['position'] - 1} before"
    step, steps, seconds_left = (event.data[name] for name in ("step", "steps", "seconds_left"))
    done = _BLOCKS * step // steps
    left = "" if seconds_left is None else f" {math.ceil(seconds_left)} s left"
    return f"[{'#' * done}{'.' * (_BLOCKS - done)}] {step}/{steps}{left}"
