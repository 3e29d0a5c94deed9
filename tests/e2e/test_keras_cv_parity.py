"""KerasCV's own loop, run on the emoji networks, draws what the served chain draws."""

import io
from pathlib import Path

import httpx
import numpy as np
import pytest
from keras_cv.src.models.stable_diffusion.clip_tokenizer import SimpleTokenizer
from keras_cv.src.models.stable_diffusion.stable_diffusion import StableDiffusion
from PIL import Image

from export import emoji
from export.weights import BUNDLED_FOLDER, load_arrays
from proxy.tokenizer import VOCABULARY

LARGEST_DIFFERENCE = 2  # of 255


@pytest.fixture(scope="module")
def keras_cv() -> StableDiffusion:
    """KerasCV's pipeline with the emoji networks in the place of its own."""
    pipeline = StableDiffusion(img_height=128, img_width=128)
    networks = {"text_encoder": emoji.text_encoder(), "diffusion_model": emoji.diffusion_model()}
    for name, network in {**networks, "decoder": emoji.decoder()}.items():
        load_arrays(network, Path(BUNDLED_FOLDER) / "emoji" / f"{name}.npz")
        setattr(pipeline, f"_{name}", network)
    pipeline._tokenizer = SimpleTokenizer(bpe_path=str(VOCABULARY))
    return pipeline


@pytest.mark.parametrize(
    ("caption", "negative_caption", "steps", "guidance_scale", "seed"),
    [
        ("red heart", None, 50, 7.5, 42),
        ("a picture of an octopus, please!", None, 20, 7.5, 0),
        ("purple umbrella", "red", 10, 3.0, 1337),
        ("Rocket &amp; moon", None, 25, 1.0, 7),
    ],
)
def test_pictures_equal_keras_cvs(
    keras_cv: StableDiffusion,
    client: httpx.Client,
    caption: str,
    negative_caption: str | None,
    steps: int,
    guidance_scale: float,
    seed: int,
) -> None:
    """The same caption, seed, steps and guidance give the same picture, to 2 of 255."""
    expected = keras_cv.text_to_image(
        caption, negative_caption, num_steps=steps, unconditional_guidance_scale=guidance_scale, seed=seed
    )[0]
    parameters = {
        "caption": caption,
        "sampler": "ddim",
        "steps": steps,
        "guidance_scale": guidance_scale,
        "seed": seed,
    }
    if negative_caption is not None:
        parameters["negative_caption"] = negative_caption
    response = client.get("/generate", params=parameters)
    drawn = np.asarray(Image.open(io.BytesIO(response.raise_for_status().content)))
    difference = np.abs(drawn.astype(int) - expected.astype(int))
    assert difference.max() <= LARGEST_DIFFERENCE, f"largest difference {difference.max()}"
    assert expected.std() > 20, "an empty picture would prove nothing"
