"""POST /sdapi/v1/png-info with files that mean no good."""

import base64
import io

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.proxy.conftest import Connect


def file(**texts: str) -> str:
    chunks = PngInfo()
    for name, text in texts.items():
        chunks.add_text(name, text, zip=len(text) > 1000)
    written = io.BytesIO()
    Image.new("RGB", (8, 8)).save(written, "PNG", pnginfo=chunks)
    return base64.b64encode(written.getvalue()).decode()


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("", "no PNG file"),
        ("!", "base64"),
        (file(a="b") + "!", "base64"),
        ("é", "base64"),
        (base64.b64encode(b"GIF89a").decode(), "no PNG file"),
        (file(a="b")[:100], "cut short"),
        (file(a="b").replace("C", "D"), "damaged"),
        (file(a="b" * 1_100_000), "more than 1048576 bytes of text"),
    ],
)
async def test_a_file_that_cannot_be_read_is_refused(connect: Connect, image: str, said: str) -> None:
    async with connect() as client:
        answer = await client.post("/sdapi/v1/png-info", json={"image": image})
    assert answer.status_code == 422
    assert said in answer.json()["detail"]


async def test_a_large_picture_is_read_and_a_huge_body_is_refused(connect: Connect) -> None:
    async with connect() as client:
        large = base64.b64encode(base64.b64decode(file(parameters="a\nSteps: 1, Seed: 2, Size: 3x4"))).decode()
        noise = io.BytesIO()
        Image.effect_noise((1024, 1024), 100).convert("RGB").save(noise, "PNG", compress_level=0)
        for image in (large, f"data:image/png;base64,{large}", base64.b64encode(noise.getvalue()).decode()):
            assert (await client.post("/sdapi/v1/png-info", json={"image": image})).status_code == 200
        huge = await client.post("/sdapi/v1/png-info", json={"image": "A" * (6 << 20)})
        assert huge.status_code == 413
        assert "5242880 bytes" in huge.json()["detail"]


async def test_hidden_halves_of_characters_do_no_harm(connect: Connect) -> None:
    hostile = 'a\nSteps: 1, Seed: 2, Size: 3x4, Model: "\\ud800"'
    async with connect() as client:
        answer = await client.post("/sdapi/v1/png-info", json={"image": file(parameters=hostile)})
    assert answer.json()["parameters"]["Model"] == "?"
