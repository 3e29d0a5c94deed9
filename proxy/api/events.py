"""Progress as Server-Sent Events: a picture is watched while it is drawn, by GET alone."""

import asyncio
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated

import numpy as np
import orjson
from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from numpy.typing import NDArray
from pydantic import Field
from starlette.exceptions import HTTPException

from proxy.api.answers import Cancelled, ProgressEvent, QueuedEvent, generated
from proxy.api.parameters import Parameters, Whole, once
from proxy.errors import UnknownJobError
from proxy.jobs import Failed, Finished, Job, Jobs, Progressed, Queued, State
from proxy.pictures import Format, encode, grid

_EVENT_ID = re.compile(r"(?P<job>[\w-]{1,64})\.(?P<number>\d{1,9})")
_NO_CONTENT = 204

router = APIRouter()


class WatchedParameters(Parameters):
    """What to draw, and how often to show what it looks like so far."""

    preview_steps: Whole = Field(
        0, ge=0, le=150, description="steps from one preview to the next, a whole number from 0 (none) to 150"
    )


def _jobs(request: Request) -> Jobs:
    jobs: Jobs = request.app.state.jobs
    return jobs


def _watched(
    request: Request,
    query: Annotated[WatchedParameters, Query()],
    jobs: Annotated[Jobs, Depends(_jobs)],
    last_event_id: Annotated[str | None, Header()] = None,
) -> tuple[Job, int]:
    """The job to watch, and the number of the state that was seen last.

    A browser whose connection broke says which event it had last: it gets the same job back, and 204, which
    tells it to stay away, if that job has nothing more to say or is forgotten.
    """
    once(request, query)
    if last_event_id is None:
        order = query.order()
        return jobs.start(order, query.preview_steps), -1
    event = _EVENT_ID.fullmatch(last_event_id)
    job = jobs.find(event["job"]) if event else None
    if event is None or job is None or (job.is_over and int(event["number"]) >= job.number):
        raise HTTPException(_NO_CONTENT)
    return job, int(event["number"])


@router.get("/generate/events", response_class=EventSourceResponse)
async def get_events(watched: Annotated[tuple[Job, int], Depends(_watched)]) -> AsyncIterator[ServerSentEvent]:
    """`queued`, `progress` and then `result` or `error`, each as JSON. `id` names the job and the event."""
    job, seen = watched
    async with aclosing(job.states(after=seen)) as states:
        async for number, state in states:
            name, data = await _event(job, state)
            yield ServerSentEvent(event=name, raw_data=data, id=f"{job.id}.{number}")


@router.get("/generate/cancel")
async def get_cancel(
    job: Annotated[str, Query(description="as in the events' `job`")], jobs: Annotated[Jobs, Depends(_jobs)]
) -> Cancelled:
    """End a job before its next call of a network. By GET, because some notebooks' port proxies pass nothing else."""
    found = jobs.find(job)
    if found is None:
        raise UnknownJobError(job)
    found.cancel()
    return Cancelled(job=job)


async def _event(job: Job, state: State) -> tuple[str, str]:
    """An event's name, and its data as JSON."""
    match state:
        case Queued(position):
            return "queued", QueuedEvent(job=job.id, position=position).model_dump_json()
        case Progressed(step, steps, seconds_left, preview):
            shown = None if preview is None else await asyncio.to_thread(_data_url, preview)
            event = ProgressEvent(job=job.id, step=step, steps=steps, seconds_left=seconds_left, preview=shown)
            return "progress", event.model_dump_json()
        case Finished(result):
            return "result", (await generated(result)).model_dump_json()
        case Failed(error):
            return "error", orjson.dumps(error.as_json()).decode()


def _data_url(pictures: NDArray[np.uint8]) -> str:
    return f"data:{Format.JPEG.media_type};base64,{b64encode(encode(grid(pictures), Format.JPEG, {})).decode()}"
