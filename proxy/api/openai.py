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
from pydantic import BaseModel, ConfigDict, Field, create_model

from proxy.api.parameters import Parameters, Text, Whole
from proxy.api.present import Present
from proxy.api.routes import Served
from proxy.errors import InvalidParametersError
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
