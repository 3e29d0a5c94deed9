"""OpenAI's image API over the same service, for programs that already speak it."""

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event
from pydantic import BaseModel, Field

from proxy.api.callers import caller
from proxy.api.dialects import Dialect, Foreign, order, sides
from proxy.api.parameters import Real, Text, Whole, allowed
from proxy.api.present import Present
from proxy.api.routes import Served, Worked
from proxy.errors import EaselError, InvalidParametersError
from proxy.jobs import Failed, Finished, Job, Progressed
from proxy.pictures import Format, encode
from proxy.service import Order, Result, parameters

MOST_PICTURES = 10
MOST_PARTIAL_IMAGES = 3
_SIZE = r"^(auto|[1-9]\d{0,4}x[1-9]\d{0,4})$"
_OWN = ("negative_caption", "steps", "guidance_scale", "seed", "sampler")
# What every event says of its picture, in OpenAI's words.
_LOOK = {"quality": "auto", "background": "opaque"}
_NO_USAGE = {
    "input_tokens": 0,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
    "output_tokens": 0,
    "total_tokens": 0,
}


class OpenAIErrorRecord(BaseModel):
    """What went wrong, in OpenAI's words."""

    message: str
    type: Literal["invalid_request_error", "server_error"]
    param: str | None
    code: str | None


class OpenAIError(BaseModel):
    """The answer to every request under /v1 that failed."""

    error: OpenAIErrorRecord


_FAILURES: dict[int | str, dict[str, Any]] = {
    400: {"model": OpenAIError, "description": "A parameter is missing or out of bounds"},
    404: {"model": OpenAIError, "description": "There is no such model"},
    502: {"model": OpenAIError, "description": "A model answered with garbage"},
    503: {"model": OpenAIError, "description": "A model is not available"},
    504: {"model": OpenAIError, "description": "The request took longer than it may"},
}

router = APIRouter(prefix="/v1", tags=["OpenAI"])


class ImageRequest(Foreign):
    """What OpenAI's clients send; what is meant for other models (`quality`, `style`, ...) is taken and not used.

    steps, guidance_scale, seed, sampler and negative_caption are Easel's own, for `extra_body`.
    """

    prompt: Text = Field(description=allowed("caption"), examples=["red heart"])
    model: str | None = Field(None, description="a model that GET /v1/models lists", examples=["emoji"])
    n: Whole = Field(1, ge=1, le=MOST_PICTURES, description=f"a whole number from 1 to {MOST_PICTURES}", examples=[1])
    size: str = Field(
        "auto", pattern=_SIZE, description="auto, or a size that was exported, such as 512x512", examples=["auto"]
    )
    response_format: Literal["url", "b64_json"] | None = Field(
        None, description="url, b64_json, or none for both", examples=["b64_json"]
    )
    output_format: Format = Field(Format.PNG, description=allowed("format"), examples=["png"])
    stream: bool = Field(False, description="true or false", examples=[False])
    partial_images: Whole = Field(
        0,
        ge=0,
        le=MOST_PARTIAL_IMAGES,
        description=f"a whole number from 0 to {MOST_PARTIAL_IMAGES}; sent with stream only",
        examples=[0],
    )
    negative_caption: Text | None = Field(None, description=allowed("negative_caption"), examples=["blurry"])
    steps: Whole | None = Field(None, description=allowed("steps"), examples=[15])
    guidance_scale: Real | None = Field(None, description=allowed("guidance_scale"), examples=[7.5])
    seed: Whole | None = Field(None, description=allowed("seed"), examples=[42])
    sampler: str | None = Field(None, description=allowed("sampler"), examples=["euler"])

    def order(self) -> Order:
        """The same as the service reads it, with its own limits and defaults."""
        width, height = sides(self.size)
        asked = {"caption": self.prompt, "family": self.model, "n": self.n, "width": width, "height": height}
        own = {name: getattr(self, name) for name in _OWN}
        return order({**asked, **own, "format": self.output_format})


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


@router.post("/images/generations", response_model=Images, responses=_FAILURES)
async def post_images(request: Request, service: Served, jobs: Worked, body: ImageRequest) -> Response:
    """n pictures; with `stream`, Server-Sent Events: up to three partial images of the first, then each picture."""
    wanted = body.order()
    if body.stream:
        steps_per_partial = -(-wanted.steps // (body.partial_images + 1)) if body.partial_images else 0
        job = jobs.start(wanted, caller(request), steps_per_partial)
        await job.begun()
        return StreamingResponse(_stream(job, body), media_type="text/event-stream")
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


@router.get("/models/{model}", responses={404: _FAILURES[404]})
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


async def _stream(job: Job, body: ImageRequest) -> AsyncIterator[bytes]:
    """Partial images as they come, and one completed event for each picture. Who leaves, ends the work."""
    partial = 0
    try:
        async with aclosing(job.states()) as states:
            async for _, state in states:
                match state:
                    case Progressed(preview=preview) if preview is not None and partial < body.partial_images:
                        file = await asyncio.to_thread(encode, preview[0], body.output_format, {})
                        size = f"{preview.shape[2]}x{preview.shape[1]}"
                        yield _picture("partial_image", body, file, size, partial_image_index=partial)
                        partial += 1
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


def _shape(status: int, error: EaselError) -> tuple[int, dict[str, Any]]:
    """OpenAI's shape: what was asked wrongly is 400, but a model that there is not is 404."""
    problem = error.details[0] if error.details else {}
    param, code = problem.get("parameter"), error.kind
    if isinstance(error, InvalidParametersError):
        is_unknown_model = param == "model" and isinstance(problem["received"], str)
        status, code = (404, "model_not_found") if is_unknown_model else (400, code)
    kind = "invalid_request_error" if status < 500 else "server_error"
    return status, {"error": {"message": str(error), "type": kind, "param": param, "code": code}}


DIALECT = Dialect(
    _shape,
    {"caption": "prompt", "family": "model", "format": "output_format", "width": "size", "height": "size"},
    {"/v1/images/generations": ImageRequest},
)
