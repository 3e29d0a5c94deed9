"""Which jobs are whose: callers that hold no name of a job may still ask how theirs is, and end it."""

import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from proxy.jobs import Job, Progressed, Queued, State
from proxy.pictures import Format, encode, grid


@dataclass(frozen=True)
class Caller:
    """Who asked, as far as a request tells.

    name: of its key, or its address; credentials: as it sent them, unread; task: the name that it gave to the work.
    """

    name: str
    credentials: str | None
    task: str | None


@dataclass(frozen=True, eq=False)
class Preview:
    """What the pictures of a work look like so far, (n, H, W, 3) uint8."""

    pictures: NDArray[np.uint8]

    @cached_property
    def png(self) -> str:
        """All of them as one file, in base64. It is made once: callers ask more often than there is a new one."""
        return b64encode(encode(grid(self.pictures), Format.PNG, {})).decode()


@dataclass(eq=False)
class Work:
    """One job, what was last seen of it, its latest preview, and when it began, in Unix seconds."""

    job: Job
    state: State = field(default_factory=lambda: Queued(0))
    preview: Preview | None = None
    is_interrupted: bool = False
    began: float = field(default_factory=time.time)

    def saw(self, state: State) -> None:
        """Keep the state, and its preview if it has one."""
        self.state = state
        if isinstance(state, Progressed) and state.preview is not None:
            self.preview = Preview(state.preview)

    def interrupt(self) -> None:
        """End the work before its next call of a network."""
        self.is_interrupted = True
        self.job.cancel()


class Works:
    """The work of every caller who waits for it, the oldest first."""

    def __init__(self) -> None:
        self._works: dict[Caller, list[Work]] = {}

    def of(self, caller: Caller) -> list[Work]:
        """What is under way for the caller."""
        return list(self._works.get(caller, ()))

    @contextmanager
    def under_way(self, caller: Caller, job: Job) -> Iterator[Work]:
        """Count the job as the caller's inside the block; it is cancelled at the end, unless it is over."""
        work = Work(job)
        works = self._works.setdefault(caller, [])
        works.append(work)
        try:
            yield work
        finally:
            job.cancel()
            works.remove(work)
            if not works:
                self._works.pop(caller, None)
