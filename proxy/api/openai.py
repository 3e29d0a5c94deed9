"""OpenAI's image API over the same service, for programs that already speak it."""

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event

from proxy.api.callers import caller
from proxy.api.description import ANYWHERE, DRAWING, UNKNOWN_FAMILY, Responses, large, responses
from proxy.api.openai_shapes import DIALECT, Image, ImageRequest, Images, Model, ModelList
from proxy.api.present import Present, cancelled_by_leaving
from proxy.api.routes import Served, Worked
from proxy.api.streams import HEADERS, MEDIA_TYPE, kept_alive
from proxy.errors import InvalidParametersError
from proxy.jobs import Failed, Finished, Job
from proxy.pictures import encode
from proxy.service import Result, parameters

# What every event says of its picture, in OpenAI's words.
_LOOK = {"quality": "auto", "background": "opaque"}
_NO_USAGE = {
    "input_tokens": 0,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
    "output_tokens": 0,
    "total_tokens": 0,
}

router = APIRouter(prefix="/v1", tags=["OpenAI"], responses=responses(DIALECT, *ANYWHERE))
_DRAWN: Responses = {
    200: {"content": {MEDIA_TYPE: {}}, "description": "The pictures; a stream of events if `stream` says so"},
    **responses(DIALECT, large("/v1/images/generations"), UNKNOWN_FAMILY, *DRAWING),
}


@router.post("/images/generations", response_model=Images, responses=_DRAWN)
async def post_images(request: Request, service: Served, jobs: Worked, body: ImageRequest) -> Response:
    """n pictures; with `stream`, Server-Sent Events: partial images of the first, then each picture.

    There are `partial_images` of them, but only one less than `steps` if that is not more.
    """
    wanted = body.order()
    if body.stream:
        job = jobs.start(wanted, caller(request), *_partials(wanted.steps, body.partial_images), has_name=False)
        async with cancelled_by_leaving(request, job):
            await job.begun()
        return StreamingResponse(kept_alive(_stream(job, body)), headers=HEADERS, media_type=MEDIA_TYPE)
    result = await service.draw(wanted, Present(request))
    files = await result.files()

    def answer() -> bytes:
        data = [_image(str(request.base_url), body, result, i, file) for i, file in enumerate(files)]
        images = Images(created=int(time.time()), data=data, output_format=body.output_format, size=_size(result))
        return images.model_dump_json(exclude_none=True).encode()

    return Response(await asyncio.to_thread(answer), media_type="application/json")


@router.get("/models")
async def get_models(service: Served) -> ModelList:
    """The families; the first is the default."""
    return ModelList(data=[Model(id=name) for name in service.catalogue.names])


@router.get("/models/{model}", responses=responses(DIALECT, UNKNOWN_FAMILY))
async def get_model(
    service: Served, model: Annotated[str, Path(description="a model that GET /v1/models lists", examples=["emoji"])]
) -> Model:
    """One family."""
    if model not in service.catalogue.names:
        raise InvalidParametersError.one("model", model, f"one of {', '.join(service.catalogue.names)}")
    return Model(id=model)


def _image(base_url: str, body: ImageRequest, result: Result, i: int, file: bytes) -> Image:
    b64_json = None if body.response_format == "url" else b64encode(file).decode()
    if body.response_format == "b64_json":
        return Image(b64_json=b64_json)
    asked = {**parameters(result.order), "n": 1, "seed": result.seeds[i]}
    query = urlencode({name: value for name, value in asked.items() if value not in (None, "")})
    return Image(b64_json=b64_json, url=f"{base_url}generate?{query}")


def _size(result: Result) -> str:
    return f"{result.order.width}x{result.order.height}"


def _partials(steps: int, wanted: int) -> tuple[int, int]:
    """Steps from one partial image to the next, and how many there are: one less than steps at most."""
    count = min(wanted, steps - 1)
    if not count:
        return 0, 0
    # Evenly, but the last of them before the picture's last step.
    return min(-(-steps // (count + 1)), (steps - 1) // count), count


async def _stream(job: Job, body: ImageRequest) -> AsyncGenerator[bytes]:
    """Partial images as they come, and one completed event for each picture. Who leaves, ends the work."""
    partial = 0
    try:
        async with aclosing(job.states()) as states:
            async for _, state in states:
                for preview in job.previews[partial:]:
                    file = await asyncio.to_thread(encode, preview, body.output_format, {})
                    size = f"{preview.shape[1]}x{preview.shape[0]}"
                    yield _picture("partial_image", body, file, size, partial_image_index=partial)
                    partial += 1
                match state:
                    case Finished(result):
                        for file in await result.files():
                            yield _picture("completed", body, file, _size(result), usage=_NO_USAGE)
                    case Failed(error):
                        yield _event("error", DIALECT.say(error.status, error)[1])
    finally:
        job.cancel()


def _picture(name: str, body: ImageRequest, file: bytes, size: str, **more: object) -> bytes:
    look = {**_LOOK, "output_format": body.output_format, "size": size}
    return _event(f"image_generation.{name}", {**look, "b64_json": b64encode(file).decode(), **more})


def _event(name: str, data: dict[str, Any]) -> bytes:
    dumped = orjson.dumps({"type": name, "created_at": int(time.time()), **data})
    return format_sse_event(event=name, data_str=dumped.decode())
