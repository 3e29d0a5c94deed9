"""AUTOMATIC1111's API over the same service, for programs that already speak it.

`progress` and `interrupt` reach the caller's own work: with the same API key or, where there are no keys, of the same
address and with the same credentials (`Authorization`, which is compared and not checked); and with the same task name,
if `force_task_id` gave it one. So programs behind one address are told apart by either. Each worker process knows only
what it draws itself.
"""

import asyncio
import binascii
from base64 import b64decode
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.exceptions import HTTPException

from proxy import infotext, text_chunks
from proxy.api.automatic1111_answers import progress, text_to_image
from proxy.api.automatic1111_shapes import (
    DIALECT,
    SAMPLERS,
    CheckpointEntry,
    Options,
    PngInfo,
    PngInfoRequest,
    ProgressAnswer,
    Sampler,
    TextToImage,
    TextToImageRequest,
)
from proxy.api.callers import caller, has_key
from proxy.api.description import ANYWHERE, DRAWING, large, responses
from proxy.api.present import cancelled_by_leaving
from proxy.api.routes import Served, Worked
from proxy.errors import AbandonedError, InvalidParametersError
from proxy.jobs import Failed, Finished
from proxy.service import Result
from proxy.works import Caller, Work, Works

_INTERRUPTED = AbandonedError("the request was cancelled")
_NO_BOOLEAN = InvalidParametersError.one("skip_current_image", "perhaps", "true or false")
_PNG = "a PNG file in base64, at most 1 MB of text in it"
_NO_PNG = InvalidParametersError.one("image", "4 characters, no PNG file", _PNG)

router = APIRouter(prefix="/sdapi/v1", tags=["AUTOMATIC1111"], responses=responses(DIALECT, *ANYWHERE))

Task = Annotated[
    str | None,
    Query(description="the name that force_task_id gave to the work; none for work without a name", examples=["mine"]),
]


def _works(request: Request) -> Works:
    works: Works = request.app.state.works
    return works


AllWorks = Annotated[Works, Depends(_works)]


def _caller(request: Request, task: str | None) -> Caller:
    return Caller(caller(request), None if has_key(request) else request.headers.get("authorization"), task)


@router.post(
    "/txt2img",
    response_model=TextToImage,
    responses=responses(DIALECT, large("/sdapi/v1/txt2img"), *DRAWING, _INTERRUPTED),
)
async def post_txt2img(request: Request, works: AllWorks, jobs: Worked, body: TextToImageRequest) -> Response:
    """batch_size x n_iter pictures, whose seeds count up from `seed`."""
    job = jobs.start(body.order(), caller(request), body.preview_steps, has_name=False)
    with works.under_way(_caller(request, body.force_task_id), job) as work:
        result = await _finished(request, work)
    answer = await asyncio.to_thread(text_to_image, body, result)
    return Response(answer, media_type="application/json")


@router.get("/progress", responses=responses(DIALECT, _NO_BOOLEAN))
async def get_progress(
    request: Request,
    works: AllWorks,
    skip_current_image: Annotated[bool, Query(description="true or false", examples=[True])] = False,
    force_task_id: Task = None,
) -> ProgressAnswer:
    """How far the caller's oldest work is. `current_image` is there if `show_progress_every_n_steps` was sent."""
    under_way = works.of(_caller(request, force_task_id))
    return await asyncio.to_thread(progress, under_way, not skip_current_image)


@router.post("/interrupt")
async def post_interrupt(request: Request, works: AllWorks, force_task_id: Task = None) -> dict[str, str]:
    """End all of the caller's work before its next call of a network."""
    for work in works.of(_caller(request, force_task_id)):
        work.interrupt()
    return {}


@router.get("/samplers")
async def get_samplers() -> list[Sampler]:
    """The samplers."""
    return [Sampler(name=names[0], aliases=[sampler, *names[1:]]) for sampler, names in SAMPLERS.items()]


@router.get("/sd-models")
async def get_sd_models(service: Served) -> list[CheckpointEntry]:
    """The families; the first is the default."""
    return [CheckpointEntry(title=name, model_name=name, filename=name) for name in service.catalogue.names]


@router.get("/options")
async def get_options(service: Served) -> Options:
    """What holds when a request says nothing else."""
    return Options(sd_model_checkpoint=service.catalogue.names[0])


@router.post("/options", include_in_schema=False)
async def post_options() -> None:
    """Refused: one caller's options would be everybody's."""
    raise HTTPException(405, "options are not changed here: send override_settings with a request", {"Allow": "GET"})


@router.post("/png-info", responses=responses(DIALECT, large("/sdapi/v1/png-info"), _NO_PNG))
async def post_png_info(body: PngInfoRequest) -> PngInfo:
    """The parameters of a PNG file, and all of its text. Its pixels are not looked at."""
    return await asyncio.to_thread(_png_info, body)


def _png_info(body: PngInfoRequest) -> PngInfo:
    encoded = body.image.split(",", 1)[-1] if body.image.startswith("data:") else body.image
    try:
        texts = text_chunks.read(b64decode(encoded, validate=True))
    except (binascii.Error, ValueError) as exc:
        received = f"{len(encoded)} characters, {exc}"
        raise InvalidParametersError.one("image", received, _PNG) from exc
    written = texts.get("parameters", "")
    return PngInfo(info=written, items=texts, parameters=infotext.fields(written) if written else {})


async def _finished(request: Request, work: Work) -> Result:
    """The result of the work, which ends when the client leaves: in line too."""
    async with cancelled_by_leaving(request, work.job), aclosing(work.job.states()) as states:
        async for _, state in states:
            work.saw(state)
    if isinstance(work.state, Failed):
        raise work.state.error
    assert isinstance(work.state, Finished)  # noqa: S101 - nothing else is the last state
    return work.state.result
