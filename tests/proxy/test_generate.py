"""GET and POST /generate, through the application's own lifespan."""

import base64
import io
import json
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import httpx
import numpy as np
import pytest
from PIL import ExifTags, Image

from proxy import service
from proxy.api import answers
from proxy.api.parameters import LONGEST_CAPTION, MOST_CAPTION_BYTES, Parameters
from tests.proxy.conftest import Connect
from tests.proxy.fake_model_server import PIXELS, FakeModelServer, models

QUICK = {"caption": "red heart", "steps": 4, "seed": 42}


def picture(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def denoise_calls(fake: FakeModelServer) -> int:
    return sum(body is not None and body["signature_name"] == "denoise" for _, _, body in fake.calls)


def text(content: bytes) -> dict[str, str]:
    chunks: dict[str, str] = picture(content).text  # type: ignore[attr-defined]
    return chunks


async def test_a_caption_becomes_a_png(client: httpx.AsyncClient) -> None:
    response = await client.get("/generate", params={"caption": "red heart"})
    assert response.status_code == 200
    assert response.headers["content-type"] == "image/png"
    assert picture(response.content).size == (PIXELS, PIXELS)
    assert response.headers["easel-seed"] == text(response.content)["seed"]
    assert "diffusion_model;dur=" in response.headers["server-timing"]
    assert response.headers["content-disposition"] == f'inline; filename="easel-{response.headers["easel-seed"]}.png"'


async def test_a_drawn_seed_differs_and_makes_the_picture_again(client: httpx.AsyncClient) -> None:
    asked = {"caption": "red heart", "steps": 4}
    first, second = [await client.get("/generate", params=asked) for _ in range(2)]
    assert first.headers["easel-seed"] != second.headers["easel-seed"]
    again = await client.get("/generate", params={**asked, "seed": first.headers["easel-seed"]})
    assert again.content == first.content != second.content


@pytest.mark.parametrize(
    "asked",
    [
        {"caption": "rødt   &hearts; 心 \"'<>\\"},
        {
            "caption": "a",
            "negative_caption": "blurry, 文字",
            "steps": 3,
            "guidance_scale": 0.1,
            "seed": 2**31 - 2,
            "sampler": "dpmpp_2m",
            "n": 3,
        },
    ],
)
async def test_the_text_chunks_are_a_request_for_the_same_picture(
    client: httpx.AsyncClient, asked: dict[str, Any]
) -> None:
    first = await client.get("/generate", params=asked)
    chunks = text(first.content)
    assert chunks.pop("Software") == "Easel"
    assert chunks.pop("models") == "emoji_text_encoder 1, emoji_diffusion_model 1, emoji_decoder 1"
    assert chunks.keys() == Parameters.model_fields.keys() - {"steps_per_call", "deadline_seconds"}
    again = await client.get("/generate", params=chunks)
    assert again.content == first.content


async def test_every_picture_of_a_batch_can_be_made_again_alone(client: httpx.AsyncClient) -> None:
    batch = (await client.post("/generate", json={**QUICK, "n": 3})).json()
    assert [each["seed"] for each in batch["pictures"]] == [42, 43, 44]
    for each in batch["pictures"]:
        alone = await client.get("/generate", params={**QUICK, "seed": each["seed"]})
        assert base64.b64decode(each["base64"]) == alone.content


@pytest.mark.parametrize("n", [2, 4, 5])
async def test_several_pictures_come_as_one_grid(client: httpx.AsyncClient, n: int) -> None:
    columns, rows = {2: (2, 1), 4: (2, 2), 5: (3, 2)}[n]
    sheet = picture((await client.get("/generate", params={**QUICK, "n": n})).content)
    assert sheet.size == (PIXELS * columns, PIXELS * rows)
    last = picture((await client.get("/generate", params={**QUICK, "seed": 42 + n - 1})).content)
    x, y = (n - 1) % columns * PIXELS, (n - 1) // columns * PIXELS
    assert (np.asarray(sheet.crop((x, y, x + PIXELS, y + PIXELS))) == np.asarray(last)).all()


async def test_json_has_the_parameters_and_the_seconds_of_every_stage(client: httpx.AsyncClient) -> None:
    response = await client.post("/generate", json={**QUICK, "format": "webp"})
    body = response.json()
    assert response.headers["easel-seed"] == "42"
    assert body["pictures"][0]["media_type"] == "image/webp"
    assert picture(base64.b64decode(body["pictures"][0]["base64"])).format == "WEBP"
    assert body["parameters"] == {
        "caption": "red heart",
        "negative_caption": "",
        "steps": 4,
        "guidance_scale": 7.5,
        "seed": 42,
        "sampler": "euler",
        "n": 1,
        "width": PIXELS,
        "height": PIXELS,
        "format": "webp",
        "family": "emoji",
        "steps_per_call": None,
        "deadline_seconds": None,
    }
    assert body["seconds"].keys() == {"text_encoder", "diffusion_model", "decoder", "total"}
    assert 0 < body["seconds"]["decoder"] < body["seconds"]["total"]
    assert body["dropped_caption"] == body["dropped_negative_caption"] == ""


async def test_files_are_made_off_the_event_loop(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture of full size takes a tenth of a second, in which everybody else would wait."""
    threads: dict[str, set[threading.Thread]] = {}

    def watched(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            threads.setdefault(name, set()).add(threading.current_thread())
            return function(*args)

        return call

    for module, name in ((service, "encode"), (service, "grid"), (answers, "b64encode")):
        monkeypatch.setattr(module, name, watched(name, getattr(module, name)))
    assert (await client.get("/generate", params={**QUICK, "n": 2})).status_code == 200
    assert (await client.post("/generate", json={**QUICK, "n": 2})).status_code == 200
    assert threads.keys() == {"encode", "grid", "b64encode"}
    assert not [name for name, seen in threads.items() if threading.main_thread() in seen]


@pytest.mark.parametrize("file_format", ["png", "jpeg", "webp"])
async def test_a_format_is_what_it_says(client: httpx.AsyncClient, file_format: str) -> None:
    response = await client.get("/generate", params={**QUICK, "format": file_format})
    assert response.headers["content-type"] == f"image/{file_format}"
    assert picture(response.content).format == file_format.upper()


@pytest.mark.parametrize("file_format", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("character", ["x", "\N{DUCK}", '"', "\0"])
async def test_the_longest_captions_fit_into_every_format(
    client: httpx.AsyncClient, file_format: str, character: str
) -> None:
    """The duck takes 12 characters of JSON in ASCII, a quotation mark 2, a control character 6."""
    longest = min(LONGEST_CAPTION, MOST_CAPTION_BYTES // len(character.encode()))
    captions = dict.fromkeys(("caption", "negative_caption"), character * longest)
    response = await client.post("/generate", json={**QUICK, **captions, "format": file_format})
    assert response.status_code == 200
    image = picture(base64.b64decode(response.json()["pictures"][0]["base64"]))
    stored = image.text if file_format == "png" else json.loads(image.getexif()[ExifTags.Base.ImageDescription])  # type: ignore[attr-defined]
    assert {name: stored[name] for name in captions} == captions


async def test_a_negative_caption_may_hold_a_senseless_character_reference(client: httpx.AsyncClient) -> None:
    reference = "&#" + "9" * (LONGEST_CAPTION - 2)
    response = await client.post("/generate", json={**QUICK, "negative_caption": reference})
    assert response.status_code == 200


async def test_every_parameter_changes_the_picture(client: httpx.AsyncClient) -> None:
    base = (await client.get("/generate", params=QUICK)).content
    for change in (
        {"caption": "blue heart"},
        {"negative_caption": "blue"},
        {"steps": 5},
        {"guidance_scale": 7.4},
        {"seed": 43},
        {"sampler": "ddim"},
        {"sampler": "dpmpp_2m"},
    ):
        other = (await client.get("/generate", params={**QUICK, **change})).content
        assert (np.asarray(picture(other)) != np.asarray(picture(base))).any(), change


async def test_steps_per_call_changes_nothing_but_the_calls(connect: Connect, fake: FakeModelServer) -> None:
    pictures = set()
    for steps_per_call in (1, 3, 25):
        async with connect(steps_per_call=steps_per_call) as client:
            pictures.add((await client.get("/generate", params={**QUICK, "steps": 10, "n": 2})).content)
    assert len(pictures) == 1
    assert denoise_calls(fake) == 10 + 4 + 1


async def test_a_request_may_say_how_many_steps_a_call_has(connect: Connect, fake: FakeModelServer) -> None:
    """The file is the same to the last byte: it keeps what decides the picture. The JSON answer says what was done."""
    asked = {**QUICK, "steps": 10}
    async with connect(steps_per_call=4) as client:
        usual = await client.get("/generate", params=asked)
        assert denoise_calls(fake) == 3
        assert "steps_per_call" not in text(usual.content)
        assert (await client.get("/generate", params={**asked, "steps_per_call": 1})).content == usual.content
        assert denoise_calls(fake) == 3 + 10
        said = [
            (await client.post("/generate", json={**asked, **steps_per_call})).json()["parameters"]["steps_per_call"]
            for steps_per_call in ({}, {"steps_per_call": None}, {"steps_per_call": 2})
        ]
    assert said == [4, 4, 2]
    assert denoise_calls(fake) == 3 + 10 + 3 + 3 + 5


async def test_rows_per_call_changes_nothing_but_the_calls(connect: Connect) -> None:
    pictures = set()
    for rows_per_call in (1, 3, 16):
        async with connect(rows_per_call=rows_per_call) as client:
            pictures.add((await client.get("/generate", params={**QUICK, "n": 5})).content)
    assert len(pictures) == 1


async def test_a_caption_is_encoded_once_also_the_empty_one_of_every_request(
    client: httpx.AsyncClient, fake: FakeModelServer
) -> None:
    """Alone, whatever is asked for with it, so that the picture does not depend on what was asked before."""
    first = await client.get("/generate", params=QUICK)
    for caption in ("blue heart", "red heart"):
        await client.get("/generate", params={**QUICK, "caption": caption, "negative_caption": "green"})
    encoded = [body["inputs"]["tokens"] for _, _, body in fake.calls if body and body["signature_name"] == "encode"]
    assert len(encoded) == 4
    assert all(len(tokens) == 1 for tokens in encoded)
    again = await client.get("/generate", params=QUICK)
    assert again.content == first.content


LONG = "cat " * 75 + "Ünd   ein Hund"


async def test_what_a_long_caption_lost_is_said_in_a_header(client: httpx.AsyncClient) -> None:
    response = await client.get("/generate", params={**QUICK, "caption": LONG})
    assert response.status_code == 200
    assert unquote(response.headers["easel-dropped-caption"]) == "ünd ein hund"
    assert "easel-dropped-negative-caption" not in response.headers
    short = await client.get("/generate", params={**QUICK, "caption": "cat " * 75})
    assert "easel-dropped-caption" not in short.headers
    assert (np.asarray(picture(response.content)) == np.asarray(picture(short.content))).all()


async def test_what_a_long_caption_lost_is_said_in_json(client: httpx.AsyncClient) -> None:
    body = {**QUICK, "negative_caption": LONG + " und" * 500}
    response = await client.post("/generate", json=body)
    assert response.json()["dropped_negative_caption"] == "ünd ein hund" + " und" * 500
    assert response.json()["dropped_caption"] == ""
    header = unquote(response.headers["easel-dropped-negative-caption"])
    assert header == response.json()["dropped_negative_caption"][:200].rstrip()


async def test_a_size_is_chosen_by_what_is_given_of_it(fake: FakeModelServer, connect: Connect) -> None:
    fake.models = models("emoji", ((64, 64), (32, 64), (64, 32)))
    async with connect() as client:
        for asked, expected in (
            ({}, (64, 64)),
            ({"width": 32}, (32, 64)),
            ({"height": 32}, (64, 32)),
            ({"height": 64}, (64, 64)),
            ({"width": 32, "height": 64}, (32, 64)),
        ):
            response = await client.get("/generate", params={**QUICK, **asked})
            assert picture(response.content).size == expected, asked


async def test_a_family_is_chosen_by_name(connect: Connect, fake: FakeModelServer) -> None:
    fake.models |= models("sd-v1", ((64, 64),))
    fake.versions |= dict.fromkeys(models("sd-v1", ()), "1")
    fake.states |= dict.fromkeys(models("sd-v1", ()), "AVAILABLE")
    async with connect(families="emoji,sd-v1") as client:
        assert text((await client.get("/generate", params=QUICK)).content)["family"] == "emoji"
        other = await client.get("/generate", params={**QUICK, "family": "sd-v1"})
        assert text(other.content)["family"] == "sd-v1"
        assert picture(other.content).size == (64, 64)
