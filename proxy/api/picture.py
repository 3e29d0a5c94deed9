"""The older shape of GET /generate: one JSON answer, with sizes, seconds and memory in it."""

import asyncio
import os
from base64 import b64encode
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from proxy.api.answers import Error
from proxy.api.description import ANYWHERE, DRAWING, responses
from proxy.api.dialects import Dialect, easel, order, sides
from proxy.api.parameters import MOST_PICTURES, Real, Strict, Text, Whole, allowed, once
from proxy.api.present import Present
from proxy.api.routes import Served
from proxy.errors import InvalidParametersError
from proxy.service import Order

_SIZE = r"^(auto|[1-9]\d{0,4}(x[1-9]\d{0,4})?)$"
_STATM = Path("/proc/self/statm")
_RESIDENT_PAGES = 1


class ImageQuery(Strict):
    """What to draw."""

    prompt: Text = Field(description=allowed("caption"), examples=["red heart"])
    size: str = Field(
        "auto",
        pattern=_SIZE,
        description="auto, or a size that was exported, as 512x512 or, if it is square, 512",
        examples=["auto"],
    )
    batch_size: Whole = Field(1, ge=1, le=MOST_PICTURES, description=allowed("n"), examples=[1])
    guidance_scale: Real | None = Field(None, description=allowed("guidance_scale"), examples=[7.5])

    def order(self) -> Order:
        """The same as the service reads it, with its own limits and defaults."""
        width, height = sides(f"{self.size}x{self.size}" if self.size.isdecimal() else self.size)
        asked = {"caption": self.prompt, "width": width, "height": height, "n": self.batch_size}
        return order({**asked, "guidance_scale": self.guidance_scale})


class ImageAnswer(BaseModel):
    """The answer to GET /image."""

    data_type: str = Field(description="the media type of each picture", examples=["image/png"])
    image: str | list[str] = Field(description="base64: of the picture, or with batch_size above 1 a list of them")
    image_size: str = Field(description="of each picture, in pixels", examples=["128x128"])
    processing_time: float = Field(description="seconds")
    memory_use: int | None = Field(description="bytes of memory that the proxy holds, where the system tells")


DIALECT = Dialect(easel, Error, {"caption": "prompt", "n": "batch_size"}, {"/image": ImageQuery})
router = APIRouter(tags=["Older shape"], responses=responses(DIALECT, *ANYWHERE))


def _query(request: Request, query: Annotated[ImageQuery, Query()]) -> ImageQuery:
    once(request, query)
    return query


@router.get("/image", response_model=ImageAnswer, responses=responses(DIALECT, *DRAWING))
async def get_image(request: Request, service: Served, query: Annotated[ImageQuery, Depends(_query)]) -> Response:
    """One picture, or `batch_size` of them, in base64 inside of JSON."""
    try:
        result = await service.draw(query.order(), Present(request))
    except InvalidParametersError as error:
        raise _as_it_came(error, query) from error
    files = await result.files()

    def answer() -> bytes:
        images = [b64encode(file).decode() for file in files]
        return (
            ImageAnswer(
                data_type=result.order.format.media_type,
                image=images[0] if len(images) == 1 else images,
                image_size=f"{result.order.width}x{result.order.height}",
                processing_time=result.seconds["total"],
                memory_use=_resident_bytes(),
            )
            .model_dump_json()
            .encode()
        )

    return Response(await asyncio.to_thread(answer), media_type="application/json")


def _as_it_came(error: InvalidParametersError, query: ImageQuery) -> InvalidParametersError:
    """The same of the size as it was sent, which may be one number for both sides."""
    sides = [detail for detail in error.details if detail["parameter"] in ("width", "height")]
    return InvalidParametersError.one("size", query.size, sides[0]["allowed"]) if sides else error


def _resident_bytes() -> int | None:
    """The memory of this process, as Linux counts it; None elsewhere."""
    try:
        return int(_STATM.read_text().split()[_RESIDENT_PAGES]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None
