"""How many denoising steps go into one call of a model server."""

import math
from typing import Protocol

MOST_STEPS_PER_CALL = 25
SECONDS_PER_CALL = 0.25


class Pace(Protocol):
    """Decides the steps of the next call."""

    def steps(self, rows: int, left: int) -> int:
        """Steps of the next call on so many rows, of those that are left."""

    def took(self, rows: int, steps: int, seconds: float) -> None:
        """Learn how long a call took."""

    def failed(self, rows: int) -> None:
        """Learn that a call had no good end."""


class FixedPace:
    """The same number of steps in every call."""

    def __init__(self, steps_per_call: int) -> None:
        self._steps_per_call = steps_per_call

    def steps(self, rows: int, left: int) -> int:
        """Steps of the next call."""
        return min(self._steps_per_call, left)

    def took(self, rows: int, steps: int, seconds: float) -> None:
        """Nothing to learn."""

    def failed(self, rows: int) -> None:
        """Nothing to learn."""


class CappedPace:
    """Another pace whose calls also end after every `most` of a picture's `steps`, to be looked at there."""

    def __init__(self, pace: Pace, most: int, steps: int) -> None:
        self._pace, self._most, self._steps = pace, most, steps

    def steps(self, rows: int, left: int) -> int:
        """Steps of the next call."""
        until_seen = self._most - (self._steps - left) % self._most
        return self._pace.steps(rows, min(left, until_seen))

    def took(self, rows: int, steps: int, seconds: float) -> None:
        """Let the other pace learn."""
        self._pace.took(rows, steps, seconds)

    def failed(self, rows: int) -> None:
        """Let the other pace learn."""
        self._pace.failed(rows)


class LearnedPace:
    """Calls of a quarter of a second on a server that has nothing else to do.

    A call costs milliseconds beside its steps, and between calls progress is seen, and a client who left is noticed.
    A step takes from 10 ms (a small network) to 10 s (a large one on a CPU), so only the server itself can tell. What
    counts is the fastest call, since that others had to be waited for says nothing about the network; but after a call
    that failed, perhaps because it took too long, all is learned anew.
    """

    def __init__(self) -> None:
        self._seconds_per_step: dict[int, float] = {}

    def steps(self, rows: int, left: int) -> int:
        """1 as long as nothing is known; then calls of equal lengths."""
        seconds = self._seconds_per_step.get(rows, math.inf)
        most = int(SECONDS_PER_CALL / max(seconds, SECONDS_PER_CALL / MOST_STEPS_PER_CALL))
        calls = math.ceil(left / max(most, 1))
        return math.ceil(left / calls)

    def took(self, rows: int, steps: int, seconds: float) -> None:
        """Keep the least seconds that a step on so many rows has taken."""
        self._seconds_per_step[rows] = min(self._seconds_per_step.get(rows, math.inf), seconds / steps)

    def failed(self, rows: int) -> None:
        """Forget what was learned: perhaps the server came back slower than it was."""
        self._seconds_per_step.pop(rows, None)
