"""GET /image, the older shape."""

import base64
import io

import httpx
import pytest
from PIL import Image

from tests.proxy.conftest import Connect
from tests.proxy.fake_model_server import PIXELS, FakeModelServer, models


def size(image: str) -> tuple[int, int]:
    return Image.open(io.BytesIO(base64.b64decode(image))).size


async def test_one_picture_is_one_text(client: httpx.AsyncClient) -> None:
    answer = (await client.get("/image", params={"prompt": "red heart", "guidance_scale": 3})).json()
    assert answer.keys() == {"data_type", "image", "image_size", "processing_time", "memory_use"}
    assert (answer["data_type"], answer["image_size"]) == ("image/png", f"{PIXELS}x{PIXELS}")
    assert size(answer["image"]) == (PIXELS, PIXELS)
    written = Image.open(io.BytesIO(base64.b64decode(answer["image"]))).info
    assert (written["caption"], written["guidance_scale"]) == ("red heart", "3.0")
    assert 0 < answer["processing_time"] < 60
    assert 10_000_000 < answer["memory_use"] < 100_000_000_000


async def test_several_pictures_are_a_list(client: httpx.AsyncClient) -> None:
    images = (await client.get("/image", params={"prompt": "a", "batch_size": 3})).json()["image"]
    assert len(set(images)) == 3


@pytest.mark.parametrize(("asked", "expected"), [("auto", (64, 64)), ("32", (32, 32)), ("64x32", (64, 32))])
async def test_a_size_is_chosen(fake: FakeModelServer, connect: Connect, asked: str, expected: tuple[int, int]) -> None:
    fake.models = models("emoji", ((64, 64), (64, 32), (32, 32)))
    async with connect() as client:
        answer = (await client.get("/image", params={"prompt": "a", "size": asked})).json()
    assert size(answer["image"]) == expected
    assert answer["image_size"] == "{}x{}".format(*expected)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "prompt: received nothing"),
        ("prompt=", "prompt: received ''"),
        ("prompt=a&prompt=b", "prompt: received ['a', 'b'], allowed is given once"),
        (
            "prompt=a&steps=9",
            "steps: received '9', allowed is one of the parameters prompt, size, batch_size, guidance",
        ),
        ("prompt=a&size=big", "size: received 'big', allowed is auto"),
        ("prompt=a&size=512", f"size: received '512', allowed is a size of family emoji: {PIXELS}x{PIXELS}"),
        ("prompt=a&size=999x888", f"size: received '999x888', allowed is a size of family emoji: {PIXELS}x{PIXELS}"),
        ("prompt=a&batch_size=17", "batch_size: received '17', allowed is a whole number from 1 to 16"),
        ("prompt=a&guidance_scale=51", "guidance_scale: received 51"),
    ],
)
async def test_what_is_asked_wrongly_is_said(client: httpx.AsyncClient, query: str, said: str) -> None:
    answer = await client.get(f"/image?{query}")
    assert answer.status_code == 422
    assert said in answer.json()["error"]["message"]
