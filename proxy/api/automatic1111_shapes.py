"""The JSON of AUTOMATIC1111's API, and how Easel's orders and errors are said in it."""

from base64 import b64encode
from typing import Any

import numpy as np
from pydantic import BaseModel, Field

from proxy.api.dialects import Dialect, Foreign, order
from proxy.api.parameters import MOST_PICTURES, MOST_STEPS, Real, Text, Whole, allowed
from proxy.errors import EaselError, InvalidParametersError
from proxy.infotext import Infotext
from proxy.pictures import Format, encode
from proxy.service import Order

# Their name and aliases of each. Where theirs have Karras's noise levels as an option, ours always have them.
SAMPLERS = {
    "euler": ("Euler", "k_euler"),
    "dpmpp_2m": ("DPM++ 2M", "k_dpmpp_2m"),
    "ddim": ("DDIM",),
}
_BY_NAME = {name.lower(): sampler for sampler, names in SAMPLERS.items() for name in (sampler, *names)}
_SAMPLER_NAMES = (
    ", ".join(names[0] for names in SAMPLERS.values()) + ', also with " Karras" after it; none is ancestral'
)
_TOGETHER = f"1 to {MOST_PICTURES} together"
_RANDOM = -1


class OverrideSettings(Foreign):
    """The options that hold for one request."""

    sd_model_checkpoint: str | None = Field(None, description="a family", examples=["emoji"])
    show_progress_every_n_steps: Whole = Field(0, ge=-1, le=MOST_STEPS, description="0 or -1: never", examples=[5])


class TextToImageRequest(Foreign):
    """What AUTOMATIC1111's clients send; what Easel does not have (`styles`, `eta`, ...) is taken and not used."""

    prompt: Text = Field(description=allowed("caption"), examples=["red heart"])
    negative_prompt: Text = Field("", description=allowed("negative_caption"), examples=["blurry"])
    seed: Whole = Field(_RANDOM, ge=-1, description=f"{allowed('seed')} (also -1)", examples=[42])
    steps: Whole | None = Field(None, description=allowed("steps"), examples=[15])
    cfg_scale: Real | None = Field(None, description=allowed("guidance_scale"), examples=[7.5])
    width: Whole | None = Field(None, description="the width of a size that was exported", examples=[128])
    height: Whole | None = Field(None, description="the height of a size that was exported", examples=[128])
    batch_size: Whole = Field(
        1, ge=1, le=MOST_PICTURES, description=f"a whole number; {_TOGETHER} with n_iter", examples=[1]
    )
    n_iter: Whole = Field(
        1, ge=1, le=MOST_PICTURES, description=f"a whole number; {_TOGETHER} with batch_size", examples=[1]
    )
    sampler_name: str | None = Field(None, description=f"one of {_SAMPLER_NAMES}", examples=["Euler"])
    sampler_index: str | None = Field(
        None, description="the same as sampler_name, which goes first", examples=["Euler"]
    )
    send_images: bool = Field(True, description="true or false", examples=[True])
    force_task_id: str | None = Field(
        None, description="a name for the work, for progress and interrupt", examples=["mine"]
    )
    override_settings: OverrideSettings = Field(
        OverrideSettings.model_validate({}),
        description="options of this request",
        examples=[{"sd_model_checkpoint": "emoji"}],
    )

    @property
    def preview_steps(self) -> int:
        """Steps from one preview to the next; 0: none."""
        return max(self.override_settings.show_progress_every_n_steps, 0)

    def order(self) -> Order:
        """The same as the service reads it, with its own limits and defaults."""
        if self.batch_size * self.n_iter > MOST_PICTURES:
            raise InvalidParametersError.several([self._problem("batch_size"), self._problem("n_iter")])
        return order(
            {
                "caption": self.prompt,
                "negative_caption": self.negative_prompt,
                "seed": None if self.seed == _RANDOM else self.seed,
                "steps": self.steps,
                "guidance_scale": self.cfg_scale,
                "sampler": self._sampler(),
                "width": self.width,
                "height": self.height,
                "n": self.batch_size * self.n_iter,
                "family": self.override_settings.sd_model_checkpoint or None,
            }
        )

    def _problem(self, name: str) -> dict[str, object]:
        return {
            "parameter": name,
            "received": getattr(self, name),
            "allowed": type(self).model_fields[name].description,
        }

    def _sampler(self) -> str | None:
        name = self.sampler_name or self.sampler_index
        if not name:
            return None
        sampler = _BY_NAME.get(name.lower().removesuffix(" karras"))
        if sampler is None:
            raise InvalidParametersError.one("sampler_name", name, f"one of {_SAMPLER_NAMES}")
        return sampler


class TextToImage(BaseModel):
    """The answer to POST /sdapi/v1/txt2img."""

    images: list[str] = Field(description="PNG files in base64")
    parameters: dict[str, Any] = Field(description="the request")
    info: str = Field(description="JSON with seed, all_seeds, all_prompts, infotexts and more")


class ProgressAnswer(BaseModel):
    """The answer to GET /sdapi/v1/progress."""

    progress: float = Field(description="0 to 1; 0 if nothing is under way")
    eta_relative: float = Field(description="seconds until the last step; 0 before it is known")
    state: dict[str, Any]
    current_image: str | None = Field(description="what the pictures look like so far, as PNG in base64")
    textinfo: str | None


class Sampler(BaseModel):
    """A sampler."""

    name: str
    aliases: list[str]
    options: dict[str, str] = {}


class CheckpointEntry(BaseModel):
    """A family, as AUTOMATIC1111 lists what its models were loaded from."""

    title: str
    model_name: str
    hash: str | None = None
    sha256: str | None = None
    filename: str
    config: str | None = None


class Options(BaseModel):
    """The answer to GET /sdapi/v1/options."""

    sd_model_checkpoint: str
    samples_format: str = "png"
    show_progress_every_n_steps: int = 0


def _example_picture() -> str:
    """One pixel that has parameters."""
    written = Infotext("red heart", "blurry", 15, "Euler", 7.5, 42, 128, 128, "emoji")
    return b64encode(encode(np.zeros((1, 1, 3), np.uint8), Format.PNG, {"parameters": str(written)})).decode()


class PngInfoRequest(Foreign):
    """A picture."""

    image: str = Field(description="a PNG file in base64, also as a data: URL", examples=[_example_picture()])


class PngInfo(BaseModel):
    """The answer to POST /sdapi/v1/png-info."""

    info: str = Field(description="the text `parameters`; empty if there is none")
    items: dict[str, str] = Field(description="all texts of the file")
    parameters: dict[str, str] = Field(description="the fields of `parameters`")


class Automatic1111Error(BaseModel):
    """The answer to every request under /sdapi that failed."""

    error: str = Field(description="the kind of error")
    detail: str = Field(description="what came, and what is allowed")
    body: str
    errors: str = Field(description="the same as `detail`")
    details: list[dict[str, Any]] = Field(description="one record for each thing that is wrong")


def _failure(status: int, error: EaselError) -> tuple[int, dict[str, Any]]:
    """The status and the JSON of an error, in AUTOMATIC1111's shape with Easel's details."""
    said = {"detail": str(error), "errors": str(error), "details": error.details}
    return status, {"error": error.kind, "body": "", **said}


DIALECT = Dialect(
    _failure,
    Automatic1111Error,
    {
        "caption": "prompt",
        "negative_caption": "negative_prompt",
        "guidance_scale": "cfg_scale",
        "sampler": "sampler_name",
        "n": "batch_size",
        "family": "override_settings.sd_model_checkpoint",
    },
    {"/sdapi/v1/txt2img": TextToImageRequest, "/sdapi/v1/png-info": PngInfoRequest},
)
