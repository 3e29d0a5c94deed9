"""OpenAI's image API over the same service, for programs that already speak it."""

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event
from pydantic import BaseModel, ConfigDict, Field

from proxy.api.parameters import Parameters, Text, Whole
from proxy.api.present import Present
from proxy.api.routes import Served
from proxy.errors import EaselError, InvalidParametersError
from proxy.jobs import Failed, Finished, Job, Jobs, Progressed
from proxy.pictures import Format, encode
from proxy.service import Order, Result, parameters

MOST_PICTURES = 10
MOST_PARTIAL_IMAGES = 3
_SIZE = r"^(auto|[1-9]\d{0,4}x[1-9]\d{0,4})$"

router = APIRouter(prefix="/v1", tags=["OpenAI"])


class ImageRequest(BaseModel):
    """What OpenAI's clients send; what is meant for other models (`quality`, `style`, ...) is taken and not used.

    steps, guidance_scale, seed, sampler and negative_caption are Easel's own, for `extra_body`.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    prompt: Text = Field(examples=["red heart"])
    model: str | None = Field(None, description="a family that GET /v1/models lists")
    n: Whole = Field(1, ge=1, le=MOST_PICTURES)
    size: str = Field("auto", pattern=_SIZE, description="`auto`, or a size that was exported, such as `512x512`")
    response_format: Literal["url", "b64_json"] | None = Field(None, description="both, if it is left open")
    output_format: Format = Format.PNG
    stream: bool = False
    partial_images: Whole = Field(0, ge=0, le=MOST_PARTIAL_IMAGES)
    negative_caption: str | None = None
    steps: Whole | None = None
    guidance_scale: float | None = None
    seed: Whole | None = None
    sampler: str | None = None

    def order(self) -> Order:
        """The same as the service reads it, with its own limits and defaults."""
        width, height = (None, None) if self.size == "auto" else map(int, self.size.split("x"))
        own = self.model_dump(
            include={"negative_caption", "steps", "guidance_scale", "seed", "sampler"}, exclude_none=True
        )
        asked = {"caption": self.prompt, "n": self.n, "width": width, "height": height, "format": self.output_format}
        return Parameters.model_validate({**asked, **own, "family": self.model}).order()


class Image(BaseModel):
    """One picture: as base64, as a link that draws it again, or both."""

    b64_json: str | None = None
    url: str | None = None


class Images(BaseModel):
    """The answer to POST /v1/images/generations."""

    created: int
    data: list[Image]
    output_format: Format
    size: str


class Model(BaseModel):
    """A family, as OpenAI lists models."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "easel"


class ModelList(BaseModel):
    """The answer to GET /v1/models."""

    object: Literal["list"] = "list"
    data: list[Model]


def _jobs(request: Request) -> Jobs:
    jobs: Jobs = request.app.state.jobs
    return jobs


@router.post("/images/generations", response_model=Images, response_model_exclude_none=True)
async def post_images(
    request: Request, service: Served, jobs: Annotated[Jobs, Depends(_jobs)], body: ImageRequest
) -> Response | Images:
    """n pictures; with `stream`, Server-Sent Events with up to three partial images before each."""
    order = body.order()
    if body.stream:
        steps_per_partial = -(-order.steps // (body.partial_images + 1)) if body.partial_images else 0
        job = jobs.start(order, steps_per_partial)
        return StreamingResponse(_stream(job, body, order), media_type="text/event-stream")
    result = await service.draw(order, Present(request))
    files = await result.files()
    data = [_image(request, body, result, i, file) for i, file in enumerate(files)]
    return Images(created=int(time.time()), data=data, output_format=body.output_format, size=_size(result.order))


@router.get("/models")
async def get_models(service: Served) -> ModelList:
    """The families; the first is the default."""
    return ModelList(data=[Model(id=name) for name in service.catalogue.names])


@router.get("/models/{model}")
async def get_model(service: Served, model: str) -> Model:
    """One family."""
    if model not in service.catalogue.names:
        raise InvalidParametersError.one("model", model, f"one of {', '.join(service.catalogue.names)}")
    return Model(id=model)


def _image(request: Request, body: ImageRequest, result: Result, i: int, file: bytes) -> Image:
    image = Image()
    if body.response_format != "url":
        image.b64_json = b64encode(file).decode()
    if body.response_format != "b64_json":
        decisive = {name: value for name, value in parameters(result.order).items() if value is not None}
        query = urlencode({**decisive, "n": 1, "seed": result.seeds[i]})
        image.url = f"{request.base_url}generate?{query}"
    return image


def _size(order: Order) -> str:
    return f"{order.width}x{order.height}"


async def _stream(job: Job, body: ImageRequest, order: Order) -> AsyncIterator[bytes]:
    """Partial images as they come, and one completed event for each picture."""
    common: dict[str, Any] = {"output_format": body.output_format, "quality": "auto", "background": "opaque"}
    partial = 0
    async with aclosing(job.states()) as states:
        async for _, state in states:
            match state:
                case Progressed(preview=preview) if preview is not None and partial < body.partial_images:
                    file = await asyncio.to_thread(encode, preview[0], body.output_format, {})
                    event = {**common, "partial_image_index": partial, "b64_json": b64encode(file).decode()}
                    yield _event("image_generation.partial_image", {**event, "size": body.size})
                    partial += 1
                case Finished(result):
                    for file in await result.files():
                        event = {**common, "size": _size(result.order), "b64_json": b64encode(file).decode()}
                        yield _event("image_generation.completed", event)
                case Failed(error):
                    yield _event("error", openai_error(error))


def _event(name: str, data: dict[str, Any]) -> bytes:
    dumped = orjson.dumps({"type": name, "created_at": int(time.time()), **data})
    return format_sse_event(event=name, data_str=dumped.decode())


def openai_error(error: EaselError) -> dict[str, Any]:
    """An error in OpenAI's shape."""
    kind = "invalid_request_error" if 400 <= error.status < 500 else "server_error"
    param = next((detail["parameter"] for detail in error.details if "parameter" in detail), None)
    return {"error": {"message": str(error), "type": kind, "param": param, "code": error.kind}}
