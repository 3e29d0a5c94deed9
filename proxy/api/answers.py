"""The JSON that the API answers with, as the documentation shows it."""

import asyncio
from base64 import b64encode

from pydantic import BaseModel, Field

from proxy.service import Result, parameters


class Picture(BaseModel):
    """One picture of a POST /generate."""

    seed: int = Field(description="with n = 1 and this seed, the picture can be made again alone")
    media_type: str
    base64: str


class Generated(BaseModel):
    """The answer to POST /generate."""

    pictures: list[Picture]
    parameters: dict[str, str | int | float | None] = Field(description="all of them, also those that were left open")
    dropped_caption: str = Field(description="the end of the caption that did not fit into 75 tokens")
    dropped_negative_caption: str
    seconds: dict[str, float] = Field(description="per stage, and in total")


class QueuedEvent(BaseModel):
    """The data of a `queued` event."""

    job: str = Field(description="what GET /generate/cancel takes")
    position: int = Field(description="1 is the next")
    seconds_left: float | None = Field(description="until the picture is there, if others take what the last ones took")


class ProgressEvent(BaseModel):
    """The data of a `progress` event."""

    job: str = Field(description="what GET /generate/cancel takes")
    step: int = Field(description="denoising steps that are done")
    steps: int
    seconds_left: float | None = Field(description="until the last step, if the rest goes as what is done")
    preview: str | None = Field(description="what the pictures look like so far, as a data: URL")


class Cancelled(BaseModel):
    """The answer to GET /generate/cancel."""

    job: str


class Network(BaseModel):
    """One model of a family."""

    model: str = Field(description="its name in the model server's URLs")
    version: str
    description: dict[str, object] = Field(description="what it says of itself: parameters, weights, precision")


class SizeEntry(BaseModel):
    """A picture size in pixels and the shape of its latent."""

    width: int
    height: int
    latent_shape: list[int]


class FamilyEntry(BaseModel):
    """Three models that draw together. The first size is the default."""

    name: str
    token_length: int
    context_width: int
    sizes: list[SizeEntry]
    parameters: int | None = Field(description="of all networks together, if all of them say")
    examples: list[str] = Field(description="captions that suit it, if it says any")
    networks: dict[str, Network]


class ParameterEntry(BaseModel):
    """What a parameter of /generate may be: `minimum` and `maximum` of numbers, `longest` of texts, in characters."""

    type: str
    minimum: int | float | None
    maximum: int | float | None
    longest: int | None
    default: str | int | float | None
    description: str


class Counted(BaseModel):
    """The answer to GET /tokens."""

    tokens: int = Field(description="that the networks read")
    most: int
    dropped: str = Field(description="the end of the caption that did not fit")


class Catalogued(BaseModel):
    """The answer to GET /models. The first family is the default."""

    families: list[FamilyEntry]
    samplers: list[str]
    formats: list[str]
    parameters: dict[str, ParameterEntry]


class State(BaseModel):
    """The answer to GET /healthz and /readyz."""

    status: str


class ErrorRecord(BaseModel):
    """What went wrong."""

    type: str
    message: str
    details: list[dict[str, object]]


class Error(BaseModel):
    """The answer to every request of Easel's own API that failed."""

    error: ErrorRecord


async def generated(result: Result) -> Generated:
    """The answer for a result; files are made in a thread."""
    files = await result.files()
    media_type = result.order.format.media_type

    def answer() -> Generated:
        return Generated(
            pictures=[
                Picture(seed=seed, media_type=media_type, base64=b64encode(file).decode())
                for seed, file in zip(result.seeds, files, strict=True)
            ],
            parameters=parameters(result.order),
            dropped_caption=result.dropped_caption,
            dropped_negative_caption=result.dropped_negative_caption,
            seconds=result.seconds,
        )

    return await asyncio.to_thread(answer)
