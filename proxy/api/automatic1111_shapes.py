"""The JSON of AUTOMATIC1111's API, and how Easel's orders and results are said in it."""

from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson
from pydantic import BaseModel, Field

from proxy.api.dialects import Foreign, order
from proxy.api.parameters import Real, Text, Whole, allowed
from proxy.errors import EaselError, InvalidParametersError
from proxy.infotext import Infotext
from proxy.jobs import Progressed, Queued
from proxy.pictures import Format, encode, grid
from proxy.service import Order, Result
from proxy.works import Work

# Their name and aliases of each. Where theirs have Karras's noise levels as an option, ours always have them.
SAMPLERS = {
    "euler": ("Euler", "k_euler"),
    "dpmpp_2m": ("DPM++ 2M", "k_dpmpp_2m"),
    "ddim": ("DDIM",),
}
_BY_NAME = {name.lower(): sampler for sampler, names in SAMPLERS.items() for name in (sampler, *names)}
_SAMPLER_NAMES = ", ".join(names[0] for names in SAMPLERS.values()) + ', also with " Karras" after it'
_MOST_PICTURES = 16
_RANDOM = -1


class OverrideSettings(Foreign):
    """The options that hold for one request."""

    sd_model_checkpoint: str | None = Field(None, description="a family", examples=["emoji"])
    show_progress_every_n_steps: Whole = Field(0, ge=-1, le=150, description="0 or -1: never", examples=[5])


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
        1, ge=1, le=_MOST_PICTURES, description="a whole number; 1 to 16 together with n_iter", examples=[1]
    )
    n_iter: Whole = Field(
        1, ge=1, le=_MOST_PICTURES, description="a whole number; 1 to 16 together with batch_size", examples=[1]
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


class Progress(BaseModel):
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


class Checkpoint(BaseModel):
    """A family."""

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


def failure(status: int, error: EaselError) -> tuple[int, dict[str, Any]]:
    """The status and the JSON of an error, in AUTOMATIC1111's shape with Easel's details."""
    said = {"detail": str(error), "errors": str(error), "details": error.details}
    return status, {"error": error.kind, "body": "", **said}


def text_to_image(body: TextToImageRequest, result: Result) -> bytes:
    """The answer to POST /sdapi/v1/txt2img, as JSON; encodes the pictures."""
    infotexts = [str(_infotext(result.order, seed)) for seed in result.seeds]
    images = [
        b64encode(encode(picture, Format.PNG, {**result.record(i), "parameters": infotexts[i]})).decode()
        for i, picture in enumerate(result.pictures)
        if body.send_images
    ]
    info = orjson.dumps(_info(body, result, infotexts)).decode()
    return orjson.dumps({"images": images, "parameters": body.model_dump(), "info": info})


def _infotext(drawn: Order, seed: int) -> Infotext:
    assert drawn.width and drawn.height and drawn.family  # noqa: S101, PT018 - a result's order has nothing open
    return Infotext(
        caption=drawn.caption,
        negative_caption=drawn.negative_caption,
        steps=drawn.steps,
        sampler=SAMPLERS[drawn.sampler][0],
        guidance_scale=drawn.guidance_scale,
        seed=seed,
        width=drawn.width,
        height=drawn.height,
        model=drawn.family,
    )


def _info(body: TextToImageRequest, result: Result, infotexts: list[str]) -> dict[str, Any]:
    drawn = result.order
    return {
        "prompt": drawn.caption,
        "all_prompts": [drawn.caption] * drawn.n,
        "negative_prompt": drawn.negative_caption,
        "all_negative_prompts": [drawn.negative_caption] * drawn.n,
        "seed": drawn.seed,
        "all_seeds": result.seeds,
        "width": drawn.width,
        "height": drawn.height,
        "sampler_name": SAMPLERS[drawn.sampler][0],
        "cfg_scale": drawn.guidance_scale,
        "steps": drawn.steps,
        "batch_size": body.batch_size,
        "sd_model_name": drawn.family,
        "sd_model_hash": None,
        "extra_generation_params": {},
        "index_of_first_image": 0,
        "infotexts": infotexts,
    }


def progress(works: Sequence[Work], show: bool) -> Progress:
    """How far the first of the works is; with its latest preview, if there is one to show."""
    state = {"skipped": False, "interrupted": any(work.is_interrupted for work in works), "job_count": len(works)}
    if not works:
        nothing = {"job": "", "job_timestamp": "0", "job_no": 0, "sampling_step": 0, "sampling_steps": 0}
        return Progress(progress=0, eta_relative=0, state={**state, **nothing}, current_image=None, textinfo=None)
    work = works[0]
    step, steps, seconds_left, textinfo = 0, 0, 0.0, None
    match work.state:
        case Progressed() as seen:
            step, steps, seconds_left = seen.step, seen.steps, seen.seconds_left or 0.0
        case Queued(position):
            textinfo = f"In line: {position}"
    began = datetime.fromtimestamp(work.began, UTC).strftime("%Y%m%d%H%M%S")
    details = {"job": "txt2img", "job_timestamp": began, "job_no": 0, "sampling_step": step, "sampling_steps": steps}
    shown = work.preview if show else None
    return Progress(
        progress=step / steps if steps else 0.0,
        eta_relative=seconds_left,
        state={**state, **details},
        current_image=None if shown is None else b64encode(encode(grid(shown), Format.PNG, {})).decode(),
        textinfo=textinfo,
    )
