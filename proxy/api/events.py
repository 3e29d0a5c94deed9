"""Progress as Server-Sent Events: a picture is watched while it is drawn, by GET alone."""

import asyncio
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from typing import Annotated, Any

import numpy as np
import orjson
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.sse import EventSourceResponse, ServerSentEvent, format_sse_event
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from proxy.api.answers import Cancelled, Error, ProgressEvent, QueuedEvent, generated
from proxy.api.callers import caller, owns
from proxy.api.description import ANYWHERE, DRAWING, Responses, responses
from proxy.api.dialects import Dialect, easel
from proxy.api.parameters import MOST_STEPS, Parameters, Whole, once
from proxy.api.present import cancelled_by_leaving
from proxy.api.routes import Worked
from proxy.api.streams import HEADERS, MEDIA_TYPE
from proxy.errors import EaselError, InvalidParametersError, UnknownJobError
from proxy.jobs import Failed, Finished, Job, Progressed, Queued, State
from proxy.pictures import Format, encode, grid

_EVENT_ID = re.compile(r"(?P<job>[\w-]{1,64})\.(?P<number>\d{1,9})")
_REFUSED_ID = "refused.0"
_NO_CONTENT = 204
_COMING_BACK = "the `id` of the last event that was seen, from a client that comes back"
_JOB = "q3Zk0bZkQ2mX1nV7cT9yLw"


class WatchedParameters(Parameters):
    """What to draw, and how often to show what it looks like so far."""

    preview_steps: Whole = Field(
        0,
        ge=0,
        le=MOST_STEPS,
        description=f"steps from one preview to the next, a whole number from 0 (none) to {MOST_STEPS}",
        examples=[5],
    )


class JobQuery(BaseModel):
    """Which job is meant."""

    job: str = Field(description="a job that an event named in its `job`", examples=[_JOB])


DIALECT = Dialect(easel, Error, requests={"/generate/events": WatchedParameters, "/generate/cancel": JobQuery})
_NO_JOB = InvalidParametersError.one("job", None, DIALECT.allowed("/generate/cancel", "job"))


class _Watched(APIRoute):
    """Tells an EventSource, which cannot read an answer with an error's status, what is wrong in an event."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_or_explain(request: Request) -> Response:
            error: EaselError
            try:
                return await handle(request)
            except RequestValidationError as problems:
                error = DIALECT.invalid(request.url.path, problems.errors())
            except EaselError as known:
                error = known
            if MEDIA_TYPE not in request.headers.get("accept", ""):
                raise error
            if "last-event-id" in request.headers:
                raise HTTPException(_NO_CONTENT)
            event = format_sse_event(event="error", data_str=_error(error), id=_REFUSED_ID)
            return Response(event, headers=HEADERS, media_type=MEDIA_TYPE)

        return handle_or_explain


def _outside_of_streams(described: Responses) -> Responses:
    """Beside a stream's route, FastAPI would say that a `model` is a stream too."""
    return {
        status: {name: said for name, said in kept.items() if name != "model"} for status, kept in described.items()
    }


router = APIRouter(route_class=_Watched, responses=_outside_of_streams(responses(DIALECT, *ANYWHERE)))


async def _watched(
    request: Request,
    query: Annotated[WatchedParameters, Query()],
    jobs: Worked,
    last_event_id: Annotated[str | None, Header(description=_COMING_BACK, examples=[f"{_JOB}.3"])] = None,
) -> tuple[Job, int]:
    """The job to watch, and the number of the state that was seen last.

    A browser whose connection broke says which event it had last: it gets the same job back, and 204, which
    tells it to stay away, if that job has nothing more to say or is forgotten.
    """
    once(request, query)
    if last_event_id is None:
        started = jobs.start(query.order(), caller(request), query.preview_steps)
        async with cancelled_by_leaving(request, started):  # who does not know its id cannot come back to it
            await started.begun()
        return started, 0
    event = _EVENT_ID.fullmatch(last_event_id)
    job = jobs.find(event["job"]) if event else None
    if event is None or job is None or not owns(request, job) or (job.is_over and int(event["number"]) >= job.number):
        raise HTTPException(_NO_CONTENT)
    return job, int(event["number"])


@router.get(
    "/generate/events",
    response_class=EventSourceResponse,
    responses={
        204: {"description": "To a client that comes back: there is nothing more to say"},
        **_outside_of_streams(responses(DIALECT, *DRAWING)),
    },
)
async def get_events(watched: Annotated[tuple[Job, int], Depends(_watched)]) -> AsyncIterator[ServerSentEvent]:
    """`queued`, `progress` and then `result` or `error`, each as JSON. `id` names the job and the event."""
    job, seen = watched
    async with aclosing(job.states(after=seen)) as states:
        async for number, state in states:
            name, data = await _event(job, state)
            yield ServerSentEvent(event=name, raw_data=data, id=f"{job.id}.{number}")


@router.get("/generate/cancel", responses=responses(DIALECT, _NO_JOB, UnknownJobError(_JOB)))
async def get_cancel(request: Request, jobs: Worked, query: Annotated[JobQuery, Query()]) -> Cancelled:
    """End a job before its next call of a network. By GET, because some notebooks' port proxies pass nothing else."""
    once(request, query)
    found = jobs.find(query.job)
    if found is None or not owns(request, found):
        raise UnknownJobError(query.job)
    found.cancel()
    return Cancelled(job=query.job)


async def _event(job: Job, state: State) -> tuple[str, str]:
    """An event's name, and its data as JSON."""
    match state:
        case Queued(position, seconds_left):
            event = QueuedEvent(job=job.id, position=position, seconds_left=seconds_left)
            return "queued", event.model_dump_json()
        case Progressed(step, steps, seconds_left, preview):
            shown = None if preview is None else await asyncio.to_thread(_data_url, preview)
            progress = ProgressEvent(job=job.id, step=step, steps=steps, seconds_left=seconds_left, preview=shown)
            return "progress", progress.model_dump_json()
        case Finished(result):
            answer = await generated(result)
            return "result", await asyncio.to_thread(answer.model_dump_json)
        case Failed(error):
            return "error", _error(error)


def _error(error: EaselError) -> str:
    return orjson.dumps(error.as_json()).decode()


def _data_url(pictures: NDArray[np.uint8]) -> str:
    return f"data:{Format.JPEG.media_type};base64,{b64encode(encode(grid(pictures), Format.JPEG, {})).decode()}"
