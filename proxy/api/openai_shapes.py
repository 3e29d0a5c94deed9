"""The JSON of OpenAI's image API, and how Easel's orders and errors are said in it."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from proxy.api.dialects import Dialect, Foreign, order, sides
from proxy.api.parameters import Real, Text, Whole, allowed
from proxy.errors import EaselError, InvalidParametersError
from proxy.pictures import Format
from proxy.service import Order

MOST_PICTURES = 10
MOST_PARTIAL_IMAGES = 3
_SIZE = r"^(auto|[1-9]\d{0,4}x[1-9]\d{0,4})$"
_OWN = ("negative_caption", "steps", "guidance_scale", "seed", "sampler")


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


class OpenAIErrorRecord(BaseModel):
    """What went wrong, in OpenAI's words."""

    message: str
    type: Literal["invalid_request_error", "server_error"]
    param: str | None
    code: str | None


class OpenAIError(BaseModel):
    """The answer to every request under /v1 that failed."""

    error: OpenAIErrorRecord


def _failure(status: int, error: EaselError) -> tuple[int, dict[str, Any]]:
    """OpenAI's shape: what was asked wrongly is 400, but a model that there is not is 404."""
    problem = error.details[0] if error.details else {}
    param, code = problem.get("parameter"), error.kind
    if isinstance(error, InvalidParametersError):
        is_unknown_model = param == "model" and isinstance(problem["received"], str)
        status, code = (404, "model_not_found") if is_unknown_model else (400, code)
    kind = "invalid_request_error" if status < 500 else "server_error"
    return status, {"error": {"message": str(error), "type": kind, "param": param, "code": code}}


DIALECT = Dialect(
    _failure,
    OpenAIError,
    {"caption": "prompt", "family": "model", "width": "size", "height": "size"},
    {"/v1/images/generations": ImageRequest},
)
