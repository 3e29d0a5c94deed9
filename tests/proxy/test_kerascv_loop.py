"""The whole chain draws what KerasCV's own text_to_image draws with the same networks."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.proxy.conftest import Connect
from tests.proxy.fake_networks import SIDE
from tests.proxy.kerascv import KerasCV

CAPTION = "A  red &amp; <b>heart</b>, 2024"


@pytest.mark.parametrize("steps_per_call", [1, 4, 25])
@pytest.mark.parametrize(
    ("steps", "scale", "seed", "negative_caption"),
    [(50, 7.5, 42, None), (20, 1.0, 0, "blurry, text"), (2, 0.0, 2**31 - 2, None), (1, 7.5, 1337, "it's")],
)
async def test_the_chain_draws_keras_cvs_picture(
    connect: Connect, steps: int, scale: float, seed: int, negative_caption: str | None, steps_per_call: int
) -> None:
    theirs = KerasCV(SIDE).text_to_image(
        CAPTION,
        negative_prompt=negative_caption,
        num_steps=steps,
        unconditional_guidance_scale=scale,
        seed=seed,
    )
    parameters = {"caption": CAPTION, "sampler": "ddim", "steps": steps, "guidance_scale": scale, "seed": seed}
    if negative_caption is not None:
        parameters["negative_caption"] = negative_caption
    async with connect(steps_per_call=steps_per_call) as client:
        response = await client.get("/generate", params=parameters)
    assert response.status_code == 200
    ours = np.asarray(Image.open(io.BytesIO(response.content)))
    assert ours.shape == theirs[0].shape
    assert np.abs(ours.astype(int) - theirs[0].astype(int)).max() <= 1
    assert ours.std() > 20
