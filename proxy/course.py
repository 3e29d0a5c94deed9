"""The way of one request: who waits for it, how far it is, and whether it goes on."""

from typing import Protocol

from proxy.deadline import Deadline
from proxy.generation import Progress


class Watcher(Protocol):
    """Who waits for a request. What a method raises ends the work.

    caller: whose request it is; callers take turns.
    """

    caller: str

    @property
    def most_steps_per_call(self) -> int | None:
        """How many steps may pass at most without a word; None: whatever is quickest."""

    async def queued(self, position: int, seconds_left: float | None) -> None:
        """So many requests are before this one, itself counted, and so long it should take until its end."""

    async def progressed(self, progress: Progress) -> None:
        """The next call of a network is about to begin."""

    async def stayed(self) -> None:
        """The same is about to be asked for again."""


class Course:
    """How far a request is, and whether it goes on: what its watcher is told, and its deadline."""

    def __init__(self, watcher: Watcher, deadline: Deadline) -> None:
        self._watcher, self._deadline = watcher, deadline
        self._reached = "before it was in line"

    def reached(self) -> str:
        """How far the request is, in words."""
        return self._reached

    async def queued(self, position: int, seconds_left: float | None) -> None:
        """So many requests are before this one, itself counted, and so long it should take until its end."""
        self._reached = f"in line, at position {position}"
        self._deadline.check(self._reached)
        await self._watcher.queued(position, seconds_left)

    async def progressed(self, progress: Progress) -> None:
        """The next call of a network is about to begin."""
        self._reached = f"after {progress.step} of {progress.steps} steps"
        self._deadline.check(self._reached)
        await self._watcher.progressed(progress)

    async def stayed(self) -> None:
        """The same is about to be asked for again: of another server, or after a pause."""
        self._deadline.check(self._reached)
        await self._watcher.stayed()
