"""Requests that somebody watches from outside, may lose sight of, and may come back to."""

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from proxy.errors import MISTAKE, AbandonedError, EaselError
from proxy.generation import Progress
from proxy.service import Order, Result, Service

_log = logging.getLogger(__name__)

_LEFT_SECONDS = 5.0  # longer than a browser takes to connect again
_KEPT_SECONDS = 60.0
_KEPT_BYTES = 32_000_000


@dataclass(frozen=True)
class Queued:
    """The request waits. position: 1 is the next. seconds_left: until its end, if that is known."""

    position: int
    seconds_left: float | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Progressed:
    """The request is being drawn. preview: (n, H, W, 3) uint8 of the pictures under way, if it is time for one."""

    step: int
    steps: int
    seconds_left: float | None
    preview: NDArray[np.uint8] | None


@dataclass(frozen=True)
class Finished:
    """The pictures are there."""

    result: Result


@dataclass(frozen=True)
class Failed:
    """There will be no pictures."""

    error: EaselError


State = Queued | Progressed | Finished | Failed


@dataclass(eq=False)
class Job:
    """One request under way, as a service's watcher.

    preview_steps: steps from one preview to the next; 0: none.
    most_previews: how many to make; None: as many as there is time for.
    left_seconds: how long it goes on when nobody watches.
    number: of the state that it is in; each state has a higher one than those before. Nobody is told of the first, 0,
        in which nothing is known.
    previews: of the first picture, (H, W, 3) uint8 each, if their number is limited: who counts on them must miss none.
    """

    id: str
    caller: str
    preview_steps: int
    most_previews: int | None
    left_seconds: float
    state: State = field(default_factory=lambda: Queued(0))
    number: int = 0
    previews: list[NDArray[np.uint8]] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _watchers: int = 0
    _left_at: float = field(default_factory=time.monotonic)
    _is_cancelled: bool = False
    _started: float | None = None
    _shown_step: int = 0

    @property
    def most_steps_per_call(self) -> int | None:
        """Previews need calls to end when they are due."""
        return self.preview_steps or None

    @property
    def is_over(self) -> bool:
        """Whether no other state will follow."""
        return isinstance(self.state, Finished | Failed)

    @property
    def picture_bytes(self) -> int:
        """The memory of its pictures, once they are there."""
        return self.state.result.pictures.nbytes if isinstance(self.state, Finished) else 0

    def cancel(self) -> None:
        """End the work before its next call; a job that is over stays as it is."""
        self._is_cancelled = True

    async def states(self, after: int = 0) -> AsyncGenerator[tuple[int, State]]:
        """The state, unless its number is `after` or lower, and each one that follows; who is slow misses some."""
        self._watchers += 1
        try:
            while True:
                if self.number > after:
                    after, state = self.number, self.state
                    yield after, state
                elif self.is_over:
                    return
                else:
                    await self._news.wait()
        finally:
            self._watchers -= 1
            self._left_at = time.monotonic()

    async def begun(self) -> None:
        """Wait until it is in line or under way. Raises the EaselError of a request that cannot be drawn."""
        async with aclosing(self.states()) as states:
            async for _, state in states:
                if isinstance(state, Failed):
                    raise state.error
                return

    async def queued(self, position: int, seconds_left: float | None) -> None:
        """Tell the watchers where the request is in line."""
        self._check()
        if self.state != Queued(position):
            self.enter(Queued(position, seconds_left))

    async def progressed(self, progress: Progress) -> None:
        """Tell the watchers how far the picture is."""
        self._check()
        if isinstance(self.state, Progressed) and self.state.step == progress.step:
            return  # between two networks no step is made
        now = time.monotonic()
        self._started = self._started or now
        seconds_left = None
        if progress.step:
            seconds_left = (now - self._started) / progress.step * (progress.steps - progress.step)
        preview = await self._preview(progress)
        self._check()
        self.enter(Progressed(progress.step, progress.steps, seconds_left, preview))

    async def stayed(self) -> None:
        """Go on if somebody waits for it; there is nothing new to tell."""
        self._check()

    async def _preview(self, progress: Progress) -> NDArray[np.uint8] | None:
        """The pictures so far, if it is time; the last call's end is followed by the pictures themselves."""
        is_due = self.preview_steps and progress.step - self._shown_step >= self.preview_steps
        is_over = progress.step == progress.steps or len(self.previews) == self.most_previews
        if not is_due or is_over or progress.preview is None:
            return None
        self._shown_step = progress.step
        preview = await progress.preview()
        if self.most_previews is not None:
            self.previews.append(preview[0].copy())
        return preview

    def _check(self) -> None:
        """Raise AbandonedError if the work was cancelled, or nobody has watched it for a while."""
        if self._is_cancelled:
            raise AbandonedError("the request was cancelled")
        if not self._watchers and time.monotonic() - self._left_at > self.left_seconds:
            raise AbandonedError("the client left before its picture was done")

    def enter(self, state: State) -> None:
        """Go on to a state, and tell the watchers."""
        self.state, self.number = state, self.number + 1
        self._news.set()
        self._news = asyncio.Event()


class Jobs:
    """The jobs of this process, until a while after their end."""

    def __init__(
        self,
        service: Service,
        *,
        left_seconds: float = _LEFT_SECONDS,
        kept_seconds: float = _KEPT_SECONDS,
        kept_bytes: int = _KEPT_BYTES,
    ) -> None:
        """left_seconds: how long a job goes on that nobody watches.

        kept_seconds: how long its end can be asked for; shorter if all pictures would take more than `kept_bytes`.
        """
        self._service = service
        self._left_seconds, self._kept_seconds, self._kept_bytes = left_seconds, kept_seconds, kept_bytes
        self._jobs: dict[str, Job] = {}
        self._ended: deque[Job] = deque()
        self._ended_bytes = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def find(self, job_id: str) -> Job | None:
        """The job of that name; None if there is none, or not any more."""
        return self._jobs.get(job_id)

    def start(
        self,
        order: Order,
        caller: str,
        preview_steps: int = 0,
        most_previews: int | None = None,
        *,
        has_name: bool = True,
    ) -> Job:
        """Begin to draw; nobody has to wait for it.

        has_name: whether anybody is told its id; one that nobody can find is not kept after its end.
        """
        job = Job(secrets.token_urlsafe(16), caller, preview_steps, most_previews, self._left_seconds)
        if has_name:
            self._jobs[job.id] = job
        task = asyncio.create_task(self._run(job, order))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return job

    async def _run(self, job: Job, order: Order) -> None:
        try:
            job.enter(Finished(await self._service.draw(order, job)))
        except EaselError as error:
            job.enter(Failed(error))
        except Exception:
            _log.exception("A job failed.")
            job.enter(Failed(EaselError(MISTAKE)))
        finally:
            if job.number <= 1 and isinstance(job.state, Failed):
                self._jobs.pop(job.id, None)  # refused at once: nobody was told its id
            elif job.id in self._jobs:
                self._keep(job)

    def _keep(self, ended: Job) -> None:
        self._ended.append(ended)
        self._ended_bytes += ended.picture_bytes
        asyncio.get_running_loop().call_later(self._kept_seconds, self._forget, ended)
        while self._ended_bytes > self._kept_bytes:
            self._forget(self._ended[0])

    def _forget(self, ended: Job) -> None:
        if self._jobs.pop(ended.id, None):
            self._ended.remove(ended)
            self._ended_bytes -= ended.picture_bytes

    async def close(self) -> None:
        """End all work at once."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
