"""A request that waits for its picture on its own connection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from proxy.api.callers import caller
from proxy.errors import AbandonedError
from proxy.generation import Progress
from proxy.jobs import Job


class Present:
    """Ends the work, as a service's watcher, when the client has left."""

    most_steps_per_call = None

    def __init__(self, request: Request) -> None:
        self._request = request
        self.caller = caller(request)

    async def queued(self, position: int, seconds_left: float | None) -> None:
        """Leave the queue if nobody waits any more."""
        await self._check()

    async def progressed(self, progress: Progress) -> None:
        """Stop if nobody waits any more."""
        await self._check()

    async def stayed(self) -> None:
        """Ask for nothing again if nobody waits any more."""
        await self._check()

    async def _check(self) -> None:
        if await self._request.is_disconnected():
            raise AbandonedError("the client left before its picture was done")


@asynccontextmanager
async def cancelled_by_leaving(request: Request, job: Job) -> AsyncIterator[None]:
    """Cancel the job if the client hangs up inside the block, where no state may follow for long."""
    leaving = asyncio.create_task(_cancel_when_left(request, job))
    try:
        yield
    finally:
        leaving.cancel()


async def _cancel_when_left(request: Request, job: Job) -> None:
    """What comes before is an empty body: any other was read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    job.cancel()
