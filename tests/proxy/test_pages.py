"""What the proxy says about itself."""

from pathlib import Path

import httpx
import orjson
import pytest

from tests.proxy.conftest import Connect
from tests.proxy.fake_model_server import FakeModelServer
from tests.proxy.fake_networks import PIXELS, WIDTH, models


async def test_models_lists_what_was_learned(client: httpx.AsyncClient, fake: FakeModelServer) -> None:
    fake.models = models("emoji", ((PIXELS, PIXELS), (64, 32)))
    body = (await client.get("/models")).json()
    assert body["samplers"] == ["ddim", "euler", "dpmpp_2m"]
    assert body["formats"] == ["png", "jpeg", "webp"]
    (family,) = body["families"]
    assert family["name"] == "emoji"
    assert (family["token_length"], family["context_width"]) == (77, WIDTH)
    assert family["sizes"][0] == {"width": PIXELS, "height": PIXELS, "latent_shape": [4, 4, 4]}
    assert family["sizes"][1] == {"width": 64, "height": 32, "latent_shape": [4, 8, 4]}
    assert family["parameters"] == 3000
    assert family["networks"]["decoder"] == {
        "model": "emoji_decoder",
        "version": "1",
        "description": {"family": "emoji", "parameters": 1000, "precision": "float32", "weights": "bundled"},
    }


async def test_parameters_are_not_guessed(client: httpx.AsyncClient, fake: FakeModelServer) -> None:
    del fake.models["emoji_decoder"]["describe"]
    (family,) = (await client.get("/models")).json()["families"]
    assert family["parameters"] is None
    assert family["networks"]["decoder"]["description"] == {}


async def test_models_says_what_parameters_may_be(client: httpx.AsyncClient) -> None:
    """Limits, defaults and words are those by which requests are checked."""
    parameters = (await client.get("/models")).json()["parameters"]
    assert parameters["seed"] == {
        "type": "integer",
        "minimum": 0,
        "maximum": 2**31 - 2,
        "longest": None,
        "default": None,
        "description": "a whole number from 0 to 2147483646, or none for a random one",
    }
    longest = {name: parameter["longest"] for name, parameter in parameters.items() if parameter["longest"]}
    assert longest == {"caption": 2500, "negative_caption": 2500}
    for name, parameter in parameters.items():
        for beyond in ("minimum", "maximum"):
            if parameter[beyond] is not None:
                value = parameter[beyond] + (1 if beyond == "maximum" else -1)
                response = await client.get("/generate", params={"caption": "red heart", name: value})
                (problem,) = response.json()["error"]["details"]
                assert (problem["parameter"], problem["allowed"]) == (name, parameter["description"])


@pytest.mark.parametrize("said", [["a thing"], None, "a thing", [1]])
async def test_examples_are_the_text_encoders_own(connect: Connect, fake: FakeModelServer, said: object) -> None:
    """A model that says none, or says nonsense, has none."""

    def describe(_method: str, path: str) -> tuple[int, bytes] | None:
        answer = orjson.dumps({"outputs": [orjson.dumps({"examples": said}).decode()]})
        return (200, answer) if path.endswith("text_encoder:predict") else None

    fake.override = describe
    async with connect() as client:
        (family,) = (await client.get("/models")).json()["families"]
    assert family["examples"] == (["a thing"] if said == ["a thing"] else [])


async def test_tokens_are_counted(client: httpx.AsyncClient) -> None:
    """What is dropped is what the networks would not read."""
    answer = await client.get("/tokens", params={"caption": "Red  heart"})
    assert answer.json() == {"tokens": 2, "most": 75, "dropped": ""}
    answer = await client.get("/tokens", params={"caption": "cat " * 75 + "and a dog"})
    assert answer.json() == {"tokens": 75, "most": 75, "dropped": "and a dog"}
    assert (await client.get("/tokens", params={"caption": "x" * 2_500})).json()["tokens"] == 75


@pytest.mark.parametrize("path", ["/", "/docs", "/static/page.js", "/static/icon.svg"])
async def test_pages_may_load_only_what_is_here(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    assert response.status_code == 200
    policy = dict(part.split(maxsplit=1) for part in response.headers["content-security-policy"].split("; "))
    notebooks = policy.pop("frame-ancestors").split()
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "img-src": "'self' data: blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert notebooks[0] == "'self'"
    assert {"http://localhost:*", "https://colab.research.google.com", "https://*.googleusercontent.com"} < {*notebooks}
    assert "*" not in notebooks
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cache-control"] == "no-cache"
    assert (await client.get(path, headers={"If-None-Match": response.headers["etag"]})).status_code in (200, 304)


@pytest.mark.parametrize("docs", [True, False])
async def test_each_page_has_one_address(connect: Connect, docs: bool) -> None:
    """Beside it, there is no other; the documentation has none where it is switched off."""
    async with connect(docs=docs) as client:
        statuses = {
            path: (await client.get(path)).status_code
            for path in ("/", "/docs", "/openapi.json", "/static/index.html", "/static/docs.html")
        }
    shown = 200 if docs else 404
    assert statuses == {
        "/": 200,
        "/docs": shown,
        "/openapi.json": shown,
        "/static/index.html": 404,
        "/static/docs.html": 404,
    }


@pytest.mark.parametrize("path", ["/static/none.js", "/static/../app.py", "/static/%2e%2e/app.py", "/static/"])
async def test_what_is_no_file_of_the_page_is_an_error_like_others(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    assert response.status_code == 404
    assert response.json()["error"]["type"] == "not_found"


def test_the_pages_are_light() -> None:
    files = Path("proxy/static").iterdir()
    assert sum(file.stat().st_size for file in files) < 100_000


def test_the_scripts_are_written_as_narrowly_as_the_rest() -> None:
    lines = [(file.name, line) for file in Path("proxy/static").glob("*.js") for line in file.read_text().splitlines()]
    assert not [(name, line) for name, line in lines if len(line) > 120]


async def test_the_documentation_has_every_route_and_the_shape_of_errors(client: httpx.AsyncClient) -> None:
    api = (await client.get("/openapi.json")).json()
    assert api["paths"].keys() == {
        "/generate",
        "/generate/events",
        "/generate/cancel",
        "/models",
        "/tokens",
        "/healthz",
        "/readyz",
        "/v1/images/generations",
        "/v1/models",
        "/v1/models/{model}",
        "/sdapi/v1/txt2img",
        "/sdapi/v1/progress",
        "/sdapi/v1/interrupt",
        "/sdapi/v1/samplers",
        "/sdapi/v1/sd-models",
        "/sdapi/v1/options",
        "/sdapi/v1/png-info",
        "/image",
    }
    for method in ("get", "post"):
        answers = api["paths"]["/generate"][method]["responses"]
        assert {"200", "422", "502", "503", "504"} <= answers.keys()
        for status in ("422", "502", "503", "504"):
            reference = answers[status]["content"]["application/json"]["schema"]["$ref"]
            assert reference == "#/components/schemas/Error"
    names = {parameter["name"] for parameter in api["paths"]["/generate"]["get"]["parameters"]}
    assert {"caption", "steps", "family"} <= names
    assert "image/webp" in api["paths"]["/generate"]["get"]["responses"]["200"]["content"]


async def test_the_documentation_shows_how_to_watch_and_cancel(client: httpx.AsyncClient) -> None:
    """Events take all that /generate takes and previews; what can go wrong has the shape of all errors."""
    paths = (await client.get("/openapi.json")).json()["paths"]
    watched, plain = (
        {entry["name"] for entry in paths[path]["get"]["parameters"] if entry["in"] == "query"}
        for path in ("/generate/events", "/generate")
    )
    assert watched - plain == {"preview_steps"}
    assert plain < watched
    assert "text/event-stream" in paths["/generate/events"]["get"]["responses"]["200"]["content"]
    for path, status in (("/generate/events", "422"), ("/generate/events", "503"), ("/generate/cancel", "404")):
        content = paths[path]["get"]["responses"][status]["content"]
        assert content["application/json"]["schema"] == {"$ref": "#/components/schemas/Error"}


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_health_is_one_word(connect: Connect, path: str) -> None:
    async with connect() as client:
        assert (await client.get(path)).json()["status"] in ("ok", "ready")
