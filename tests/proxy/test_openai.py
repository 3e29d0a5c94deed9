"""OpenAI's own client against a proxy process."""

import base64
import io
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from PIL import Image

from tests.proxy.conftest import Connect
from tests.proxy.fake_model_server import PIXELS, FakeModelServer, running
from tests.proxy.test_process import running_proxy

SIZE = f"{PIXELS}x{PIXELS}"


@pytest.fixture(scope="module")
def served() -> FakeModelServer:
    return FakeModelServer()


@pytest.fixture(scope="module")
def url(served: FakeModelServer) -> Iterator[str]:
    with running(served) as server, running_proxy(server.url) as (address, _, log):
        yield address
    assert not any("Traceback" in line for line in log)


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=60) as opened:
        yield opened


def picture(b64_json: str | None) -> Image.Image:
    assert b64_json
    return Image.open(io.BytesIO(base64.b64decode(b64_json)))


def test_a_prompt_becomes_pictures(client: openai.OpenAI) -> None:
    answer = client.images.generate(
        model="emoji", prompt="red heart", n=2, size=SIZE, response_format="b64_json", quality="high", style="vivid"
    )  # type: ignore[call-overload]
    assert (answer.size, answer.output_format, len(answer.data)) == (SIZE, "png", 2)
    assert abs(answer.created - time.time()) < 60
    for image in answer.data:
        assert picture(image.b64_json).size == (PIXELS, PIXELS)
        assert image.url is None


def test_the_url_draws_the_same_picture(client: openai.OpenAI) -> None:
    """Asked for with every parameter of Easel's own, hostile characters among them."""
    own = {"steps": 4, "guidance_scale": 3.25, "seed": 9, "sampler": "dpmpp_2m", "negative_caption": "a&b=c #?%"}
    both = client.images.generate(prompt="rødt & 心 +1", output_format="webp", extra_body=own, n=2)
    assert both.data
    for image in both.data:
        assert image.url
        fetched = httpx.get(image.url)
        assert fetched.headers["content-type"] == "image/webp"
        assert fetched.content == base64.b64decode(image.b64_json or "")
    only = client.images.generate(prompt="rødt & 心 +1", output_format="webp", extra_body=own, response_format="url")
    assert only.data
    assert only.data[0].b64_json is None
    assert only.data[0].url == both.data[0].url


def test_easels_parameters_are_the_same_as_elsewhere(client: openai.OpenAI, url: str) -> None:
    own = {"steps": 4, "guidance_scale": 3.25, "seed": 9, "sampler": "ddim", "negative_caption": "green"}
    answer = client.images.generate(prompt="red heart", extra_body=own)
    assert answer.data
    expected = httpx.get(f"{url}/generate", params={"caption": "red heart", **own}).content
    assert base64.b64decode(answer.data[0].b64_json or "") == expected


async def test_the_asynchronous_client_draws_too(url: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        answer = await client.images.generate(prompt="red heart", response_format="b64_json")
        assert answer.data
        assert picture(answer.data[0].b64_json).size == (PIXELS, PIXELS)
        stream = await client.images.generate(prompt="red heart", stream=True, partial_images=1)
        names = [event.type async for event in stream]
        assert names == ["image_generation.partial_image", "image_generation.completed"]


@pytest.mark.parametrize("partial_images", [0, 1, 2, 3])
def test_a_stream_has_partial_images_and_then_the_picture(client: openai.OpenAI, partial_images: int) -> None:
    own = {"seed": 3, "steps": 20}
    stream = client.images.generate(prompt="red heart", stream=True, partial_images=partial_images, extra_body=own)
    *partials, last = list(stream)
    assert [event.partial_image_index for event in partials] == list(range(partial_images))  # type: ignore[union-attr]
    assert {event.type for event in partials} <= {"image_generation.partial_image"}
    assert last.type == "image_generation.completed"
    assert {event.size for event in (*partials, last)} == {SIZE}
    assert last.usage.total_tokens == 0
    plain = client.images.generate(prompt="red heart", extra_body=own)
    assert plain.data
    assert last.b64_json == plain.data[0].b64_json
    assert len({event.b64_json for event in (*partials, last)}) == partial_images + 1
    assert all(picture(event.b64_json).size == (PIXELS, PIXELS) for event in partials)


def test_a_stream_that_is_left_stops_the_work(client: openai.OpenAI, served: FakeModelServer) -> None:
    served.override = lambda _, path: time.sleep(0.5) if path.endswith("diffusion_model:predict") else None
    stream = client.images.generate(prompt="a", stream=True, partial_images=3, extra_body={"steps": 150})
    next(iter(stream))
    stream.close()
    time.sleep(1)
    made = len(served.calls)
    time.sleep(1)
    served.override = lambda _method, _path: None
    assert len(served.calls) == made


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["emoji"]
    assert client.models.retrieve("emoji").object == "model"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("asked", "param", "said"),
    [
        ({"prompt": ""}, "prompt", "received ''"),
        ({"prompt": "a" * 2501}, "prompt", "at most 2500 characters"),
        ({"n": 11}, "n", "1 to 10"),
        ({"size": "999x888"}, "size", f"received '999x888', allowed is a size of family emoji: {SIZE}"),
        ({"size": "big"}, "size", "auto, or a size"),
        ({"output_format": "gif"}, "output_format", "one of png, jpeg, webp"),
        ({"response_format": "file"}, "response_format", "b64_json"),
        ({"partial_images": 4}, "partial_images", "0 to 3"),
        ({"extra_body": {"steps": 0}}, "steps", "1 to 150"),
        ({"extra_body": {"sampler": "plms"}}, "sampler", "one of ddim, euler"),
        ({"extra_body": {"guidance_scale": "much"}}, "guidance_scale", "0 to 50"),
    ],
)
def test_what_is_asked_wrongly_is_a_bad_request(
    client: openai.OpenAI, asked: dict[str, Any], param: str, said: str, stream: bool
) -> None:
    with pytest.raises(openai.BadRequestError, match="received") as caught:
        client.images.generate(**{"prompt": "a", "stream": stream, **asked})
    assert (caught.value.type, caught.value.param) == ("invalid_request_error", param)
    assert said in caught.value.message


@pytest.mark.parametrize("stream", [False, True])
def test_an_unknown_model_is_not_found(client: openai.OpenAI, stream: bool) -> None:
    with pytest.raises(openai.NotFoundError, match="allowed is one of emoji") as caught:
        client.images.generate(prompt="a", model="gpt-image-1", stream=stream)
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.NotFoundError, match="one of emoji") as caught:
        client.models.retrieve("gpt-image-1")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_an_unknown_route_has_openais_shape(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.images.edit(image=b"", prompt="a")
    assert caught.value.type == "invalid_request_error"
    assert caught.value.body == {
        "message": "Not Found",
        "type": "invalid_request_error",
        "param": None,
        "code": "not_found",
    }


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_that_is_away_is_a_server_error(client: openai.OpenAI, served: FakeModelServer, stream: bool) -> None:
    served.override = lambda _, path: (404, b"{}") if path.endswith(":predict") else None
    try:
        with pytest.raises(openai.APIError) as caught:
            list(client.images.generate(prompt="away", stream=stream))
    finally:
        served.override = lambda _method, _path: None
    assert caught.value.type == "server_error"
    assert stream or getattr(caught.value, "status_code", None) == 503


async def test_null_is_what_is_not_sent(connect: Connect) -> None:
    body = {"prompt": "a", "n": None, "size": None, "model": None, "stream": None, "output_format": None}
    async with connect() as client:
        assert (await client.post("/v1/images/generations", json=body)).status_code == 200


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"null", b'{"prompt": 5}'])
async def test_a_body_that_is_none_is_refused_in_openais_shape(connect: Connect, content: bytes) -> None:
    async with connect() as client:
        answer = await client.post("/v1/images/generations", content=content)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
