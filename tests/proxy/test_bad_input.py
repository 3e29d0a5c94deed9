"""Bad input is a 422 that names the parameter, what came and what is allowed; nothing is drawn for it."""

import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from proxy.api.parameters import Parameters
from proxy.errors import InvalidParametersError
from tests.proxy.conftest import Connect
from tests.proxy.fake_model_server import FakeModelServer, models

CAPTION_LIMITS = "allowed is text of at most 2500 characters and 7500 bytes of UTF-8"
WRONG_IN_BOTH = [
    ("caption", "", "text that is not empty"),
    ("caption", " \t\n", "text that is not empty"),
    ("caption", "&nbsp;&amp;nbsp;", "text that is not empty"),
    ("caption", "x" * 2_501, "at most 2500 characters"),
    ("negative_caption", "x" * 2_501, "at most 2500 characters"),
    ("caption", "\N{DUCK}" * 1_876, "7500 bytes of UTF-8"),
    ("negative_caption", "\N{DUCK}" + "心" * 2_499, "7500 bytes of UTF-8"),
    ("steps", 0, "a whole number from 1 to 150"),
    ("steps", 151, "a whole number from 1 to 150"),
    ("steps", -1, "a whole number from 1 to 150"),
    ("steps", 1.5, "a whole number from 1 to 150"),
    ("steps", "many", "a whole number from 1 to 150"),
    ("guidance_scale", -0.1, "a number from 0 to 50"),
    ("guidance_scale", 50.1, "a number from 0 to 50"),
    ("guidance_scale", float("nan"), "a number from 0 to 50"),
    ("guidance_scale", float("inf"), "a number from 0 to 50"),
    ("guidance_scale", float("-inf"), "a number from 0 to 50"),
    ("n", 0, "a whole number from 1 to 16"),
    ("n", 17, "a whole number from 1 to 16"),
    ("seed", -1, "a whole number from 0 to 2147483646"),
    ("seed", 2**31 - 1, "a whole number from 0 to 2147483646"),
    ("seed", 10**30, "a whole number from 0 to 2147483646"),
    ("sampler", "ancestral", "one of ddim, euler, dpmpp_2m"),
    ("sampler", "DDIM", "one of ddim, euler, dpmpp_2m"),
    ("format", "gif", "one of png, jpeg, webp"),
    ("steps_per_call", 0, "a whole number from 1 to 25"),
    ("steps_per_call", 26, "a whole number from 1 to 25"),
    ("deadline_seconds", 0, "seconds, above 0"),
    ("deadline_seconds", -1, "seconds, above 0"),
    ("width", 0, "a size that GET /models lists"),
    ("width", 33, "a size of family emoji: 64x64, 32x64"),
    ("height", 8, "a size of family emoji: 64x64, 32x64"),
    ("family", "sd-v9", "one of emoji"),
    ("family", "../emoji", "one of emoji"),
    ("guidence_scale", 7.5, "one of the parameters caption, negative_caption, steps, guidance_scale"),
    ("Steps", 3, "one of the parameters"),
]
WRONG_IN_JSON = [
    ("caption", None, "text that is not empty"),
    ("caption", 5, "text that is not empty"),
    ("caption", ["red"], "text that is not empty"),
    ("steps", True, "a whole number from 1 to 150"),
    ("steps", None, "a whole number from 1 to 150"),
    ("guidance_scale", False, "a number from 0 to 50"),
    ("guidance_scale", {"a": 1}, "a number from 0 to 50"),
    ("seed", True, "a whole number from 0"),
    ("width", True, "a size that GET /models lists"),
]


@pytest.fixture
def fake() -> FakeModelServer:
    served = FakeModelServer()
    served.models = models("emoji", ((64, 64), (32, 64)))
    return served


def check(response: httpx.Response, fake: FakeModelServer, parameter: str, allowed: str) -> dict[str, Any]:
    assert response.status_code == 422
    error: dict[str, Any] = response.json()["error"]
    assert error["type"] == "invalid_parameters"
    (detail,) = error["details"]
    assert detail["parameter"] == parameter
    assert allowed in detail["allowed"]
    assert f"{parameter}: received " in error["message"]
    assert detail["allowed"] in error["message"]
    assert not [path for _, path, _ in fake.calls if path.endswith(":predict")]
    return detail


@pytest.mark.parametrize(("parameter", "value", "allowed"), WRONG_IN_BOTH)
async def test_a_wrong_query_is_explained(
    client: httpx.AsyncClient, fake: FakeModelServer, parameter: str, value: Any, allowed: str
) -> None:
    response = await client.get("/generate", params={"caption": "red heart", parameter: value})
    detail = check(response, fake, parameter, allowed)
    assert str(detail["received"])[:200] == str(value)[:200]
    assert len(str(detail["received"])) <= 201


@pytest.mark.parametrize(("parameter", "value", "allowed"), WRONG_IN_BOTH + WRONG_IN_JSON)
async def test_a_wrong_json_parameter_is_explained(
    client: httpx.AsyncClient, fake: FakeModelServer, parameter: str, value: Any, allowed: str
) -> None:
    body = json.dumps({"caption": "red heart", parameter: value})
    response = await client.post("/generate", content=body, headers={"Content-Type": "application/json"})
    detail = check(response, fake, parameter, allowed)
    assert str(detail["received"])[:200] == str(value)[:200]
    assert len(str(detail["received"])) <= 201


MANY = [f"{number:05x}" for number in range(10_000)]


@pytest.mark.parametrize("path", ["/generate", "/generate/events", "/image"])
async def test_a_query_of_thousands_of_names_is_answered_briefly(client: httpx.AsyncClient, path: str) -> None:
    """With one problem: their number."""
    response = await client.get(f"{path}?caption=a&{'&'.join(MANY)}")
    assert response.status_code == 422
    (detail,) = response.json()["error"]["details"]
    assert detail == {"parameter": "number of parameters", "received": 10_001, "allowed": "at most 100"}


async def test_a_body_of_a_hundred_thousand_names_is_answered_briefly(client: httpx.AsyncClient) -> None:
    names = dict.fromkeys((f"{number:05x}" for number in range(100_000)), 0)
    response = await client.post("/generate", json={"caption": "red heart", **names})
    assert response.status_code == 422
    assert [detail["received"] for detail in response.json()["error"]["details"]] == [100_001]


async def test_ten_problems_are_told_and_the_others_counted(client: httpx.AsyncClient) -> None:
    """In details and message, in the query and in JSON."""
    wrong = {"caption": "red heart", **dict.fromkeys(MANY[:99], "0")}
    for response in (await client.get("/generate", params=wrong), await client.post("/generate", json=wrong)):
        error = response.json()["error"]
        assert [detail["parameter"] for detail in error["details"]] == MANY[:10]
        assert error["message"].count("received") == 10
        assert error["message"].endswith("; and 89 more")
        assert len(response.content) < 10_000


def test_not_even_pydantic_makes_an_error_of_each_of_many_names() -> None:
    with pytest.raises(InvalidParametersError):
        Parameters.model_validate({"caption": "red heart", **dict.fromkeys(MANY)})


async def test_what_came_is_shown_as_it_came(client: httpx.AsyncClient) -> None:
    response = await client.post("/generate", json={"caption": "red", "steps": 0, "n": 99})
    received = {detail["parameter"]: detail["received"] for detail in response.json()["error"]["details"]}
    assert received == {"steps": 0, "n": 99}


async def test_a_missing_caption_is_named(client: httpx.AsyncClient, fake: FakeModelServer) -> None:
    assert check(await client.get("/generate"), fake, "caption", "not empty")["received"] is None
    assert check(await client.post("/generate", json={}), fake, "caption", "not empty")["received"] is None
    assert "caption: received nothing" in (await client.get("/generate")).json()["error"]["message"]


async def test_a_parameter_given_twice_is_refused(client: httpx.AsyncClient, fake: FakeModelServer) -> None:
    response = await client.get("/generate?caption=a&steps=5&steps=6")
    assert check(response, fake, "steps", "given once")["received"] == ["5", "6"]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", f"caption: received nothing, {CAPTION_LIMITS}"),
        ("caption=a&caption=b", "given once"),
        ("caption=" + "x" * 2_501, CAPTION_LIMITS),
        ("caption=" + quote("\N{DUCK}") * 1_876, CAPTION_LIMITS),
    ],
)
async def test_tokens_of_no_one_caption_are_refused(client: httpx.AsyncClient, query: str, said: str) -> None:
    response = await client.get(f"/tokens?{query}")
    assert response.status_code == 422
    assert response.json()["error"]["message"].endswith(said)


async def test_both_sides_of_an_unknown_size_are_named(client: httpx.AsyncClient) -> None:
    response = await client.get("/generate", params={"caption": "a", "width": 64, "height": 32})
    assert response.status_code == 422
    assert [detail["parameter"] for detail in response.json()["error"]["details"]] == ["width", "height"]
    assert "64x64, 32x64" in response.json()["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"hello", b"[]", b'"text"', b"5", b"\xff\xfe", b"[" * 100_000])
async def test_a_body_that_is_no_json_object_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    response = await client.post("/generate", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 422
    assert response.json()["error"]["message"]
    assert response.json()["error"]["details"][0]["parameter"] == "body"


@pytest.mark.parametrize("body", [rb'{"caption": "\ud800"}', rb'{"caption": "a", "\udfff": 1}'])
async def test_half_a_character_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    """JSON can escape a lone surrogate, which no other text can hold."""
    response = await client.post("/generate", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 422
    assert "\\ud" in response.text


async def test_a_huge_body_is_refused_before_it_is_read(client: httpx.AsyncClient) -> None:
    read = 0

    async def body() -> Any:
        nonlocal read
        yield b'{"caption": "'
        for _ in range(1000):
            read += 1
            yield b"x" * 100_000

    response = await client.post("/generate", content=body(), headers={"Content-Type": "application/json"})
    assert response.status_code == 413
    assert response.json()["error"]["type"] == "request_entity_too_large"
    assert read < 20


async def test_unknown_paths_and_methods_have_the_same_shape(client: httpx.AsyncClient) -> None:
    for response, status, kind in (
        (await client.get("/generates"), 404, "not_found"),
        (await client.delete("/generate"), 405, "method_not_allowed"),
    ):
        assert response.status_code == status
        assert response.json()["error"] == {"type": kind, "message": response.json()["error"]["message"], "details": []}
    assert response.headers["allow"]


async def test_a_size_of_another_family_is_not_a_size_of_this_one(connect: Connect, fake: FakeModelServer) -> None:
    async with connect(families="emoji,sd-v1") as client:
        response = await client.get("/generate", params={"caption": "a", "width": 512, "family": "emoji"})
    assert "a size of family emoji: 64x64, 32x64" in response.text
