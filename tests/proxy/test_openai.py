"""OpenAI's own client against a proxy process."""

import base64
import io
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest
from PIL import Image

from tests.proxy.conftest import Connect
from tests.proxy.event_stream import Gate, calls, ended
from tests.proxy.fake_model_server import PIXELS, FakeModelServer, running
from tests.proxy.proxy_process import running_proxy

SIZE = f"{PIXELS}x{PIXELS}"
COMPLETED = "image_generation.completed"


@pytest.fixture(scope="module")
def proxy_settings() -> dict[str, object]:
    """Those that users have."""
    return {}


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


def test_the_url_says_what_is_zero(client: openai.OpenAI) -> None:
    own = {"steps": 4, "guidance_scale": 0, "seed": 0}
    answer = client.images.generate(prompt="red heart", extra_body=own)
    assert answer.data
    assert httpx.get(str(answer.data[0].url)).content == base64.b64decode(answer.data[0].b64_json or "")


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
        linked = await client.images.generate(prompt="red heart", response_format="url")
        assert linked.data
        async with httpx.AsyncClient() as browser:
            drawn = await browser.get(str(linked.data[0].url))
        again = await client.images.generate(
            prompt="red heart", response_format="b64_json", extra_body={"seed": int(drawn.headers["easel-seed"])}
        )
        assert again.data
        assert base64.b64decode(again.data[0].b64_json or "") == drawn.content
        assert [model.id async for model in client.models.list()] == ["emoji"]
        with pytest.raises(openai.BadRequestError, match="prompt: received"):
            await client.images.generate(prompt="")
        with pytest.raises(openai.NotFoundError, match="one of emoji"):
            await client.images.generate(prompt="a", model="dall-e-3")
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


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 6, 7, 9, 15, 20])
@pytest.mark.parametrize("wanted", [1, 2, 3])
def test_a_stream_has_exactly_the_partial_images_asked_for(
    client: openai.OpenAI, served: FakeModelServer, wanted: int, steps: int
) -> None:
    """Decoded at even distances, before the last step; with too few steps, one after each step but the last."""
    served.calls.clear()
    own = {"seed": 3, "steps": steps}
    events = list(client.images.generate(prompt="red heart", stream=True, partial_images=wanted, extra_body=own))
    expected = min(wanted, steps - 1)
    assert [event.type for event in events] == [*["image_generation.partial_image"] * expected, COMPLETED]
    assert len({event.b64_json for event in events}) == expected + 1
    made, decoded = 0, []
    for _, path, body in served.calls:
        if path.endswith("diffusion_model:predict"):
            made += sum(any(step) for step in body["inputs"]["coefficients"][0])  # those of zeros do nothing
        elif path.endswith("decoder:predict"):
            decoded.append(made)
    distance = decoded[0]
    assert decoded == [*range(distance, expected * distance + 1, distance), steps]


@pytest.mark.parametrize(("n", "steps"), [(1, 7), (2, 7), (5, 7), (5, 2), (5, 3)])
def test_partial_images_are_of_the_first_picture(n: int, steps: int) -> None:
    """Also if not all pictures fit into one call, and those after the first have previews of their own."""
    own = {"seed": 3, "steps": steps}
    asked: dict[str, Any] = {"prompt": "red heart", "stream": True, "partial_images": 3, "extra_body": own}
    with (
        running(FakeModelServer()) as server,
        running_proxy(server.url, rows_per_call=2) as (address, _, _),
        openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client,
    ):
        alone = list(client.images.generate(n=1, **asked))
        events = list(client.images.generate(n=n, **asked))
    *partials, last = alone
    assert len(partials) == min(3, steps - 1)
    assert [event.b64_json for event in events[: len(alone)]] == [event.b64_json for event in alone]
    assert [event.type for event in events[len(partials) :]] == [last.type] * n


def test_a_stream_that_is_left_stops_the_work(client: openai.OpenAI, url: str, served: FakeModelServer) -> None:
    gate = Gate(served)
    with ended(url, "abandoned"), ThreadPoolExecutor(1) as pool:
        stream = client.images.generate(prompt="a", stream=True, partial_images=3, extra_body={"steps": 150})
        seen = pool.submit(next, iter(stream))
        while not seen.done():
            gate.let(1)
            time.sleep(0.05)
        stream.close()
        time.sleep(0.5)  # until the proxy knows; if that takes longer, it makes some calls more
        gate.let()
    assert calls(served, "decoder") < 4, "the first of three partial images, and not the picture"


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
        ({"model": 5}, "model", "a model that GET /v1/models lists"),
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


def test_a_model_that_fails_is_a_server_error(client: openai.OpenAI, served: FakeModelServer) -> None:
    """A stream says so in an event, which the client raises too."""
    served.override = lambda _, path: (200, b"garbage") if path.endswith(":predict") else None
    try:
        with pytest.raises(openai.InternalServerError, match="model emoji_") as caught:
            client.images.generate(prompt="failing")
        with pytest.raises(openai.APIError, match="model emoji_") as streamed:
            list(client.images.generate(prompt="failing", stream=True))
    finally:
        served.override = lambda _method, _path: None
    assert caught.value.status_code == 502
    assert caught.value.type == streamed.value.type == "server_error"
    assert caught.value.code == streamed.value.code


@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_that_is_away_is_asked_for_again_by_the_client_itself(
    connect: Connect, fake: FakeModelServer, stream: bool
) -> None:
    """After the seconds that Retry-After says."""
    answered: list[int] = []

    async def count(answer: httpx.Response) -> None:
        answered.append(answer.status_code)
        fake.models = models

    models, fake.models = fake.models, {}
    async with connect() as http_client:
        http_client.event_hooks["response"].append(count)
        client = openai.AsyncOpenAI(base_url="http://e/v1", api_key="none", http_client=http_client)
        start = time.monotonic()
        answer: Any = await client.images.generate(prompt="a", stream=stream)
        if stream:
            assert [event.type async for event in answer] == ["image_generation.completed"]
    assert answered == [503, 200]
    assert time.monotonic() - start > 1.9


async def test_a_mistake_of_the_proxy_is_a_server_error(connect: Connect, fake: FakeModelServer) -> None:
    def bug(_method: str, _path: str) -> None:
        raise RuntimeError("nobody thought of this")

    fake.override = bug
    async with connect() as http_client:
        client = openai.AsyncOpenAI(base_url="http://e/v1", api_key="none", max_retries=0, http_client=http_client)
        with pytest.raises(openai.InternalServerError, match="the proxy made a mistake") as caught:
            await client.images.generate(prompt="a")
    assert (caught.value.status_code, caught.value.type) == (500, "server_error")


async def test_null_is_what_is_not_sent(connect: Connect) -> None:
    body = {"prompt": "a", "n": None, "size": None, "model": None, "stream": None, "output_format": None}
    async with connect() as client:
        assert (await client.post("/v1/images/generations", json=body)).status_code == 200


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"null", b'{"prompt": 5}', b"\xff", b"[" * 100_000])
async def test_a_body_that_is_none_is_refused_in_openais_shape(connect: Connect, content: bytes) -> None:
    async with connect() as client:
        answer = await client.post("/v1/images/generations", content=content)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
