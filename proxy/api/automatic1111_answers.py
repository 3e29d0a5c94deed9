"""Easel's results and work under way as AUTOMATIC1111's API tells of them."""

from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from proxy.api.automatic1111_shapes import SAMPLERS, ProgressAnswer, TextToImageRequest
from proxy.infotext import Infotext
from proxy.jobs import Progressed, Queued
from proxy.pictures import Format, encode
from proxy.service import Order, Result
from proxy.works import Work


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


def progress(works: Sequence[Work], show: bool) -> ProgressAnswer:
    """How far the first of the works is; with its latest preview, if there is one to show."""
    state = {"skipped": False, "interrupted": any(work.is_interrupted for work in works), "job_count": len(works)}
    if not works:
        nothing = {"job": "", "job_timestamp": "0", "job_no": 0, "sampling_step": 0, "sampling_steps": 0}
        return ProgressAnswer(progress=0, eta_relative=0, state={**state, **nothing}, current_image=None, textinfo=None)
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
    return ProgressAnswer(
        progress=step / steps if steps else 0.0,
        eta_relative=seconds_left,
        state={**state, **details},
        current_image=shown.png if shown else None,
        textinfo=textinfo,
    )
