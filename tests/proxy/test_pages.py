"""What the proxy says about itself."""

import httpx
import pytest

from tests.proxy.conftest import Connect
from tests.proxy.fake_model_server import PIXELS, WIDTH, FakeModelServer, models


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


async def test_the_root_leads_to_the_documentation(client: httpx.AsyncClient) -> None:
    response = await client.get("/", follow_redirects=True)
    assert response.url.path == "/docs"
    assert response.status_code == 200
    assert "text/html" in response.headers["content-type"]


async def test_the_documentation_has_every_route_and_the_shape_of_errors(client: httpx.AsyncClient) -> None:
    api = (await client.get("/openapi.json")).json()
    assert api["paths"].keys() == {
        "/generate",
        "/generate/events",
        "/generate/cancel",
        "/models",
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


async def test_every_parameter_of_other_programs_apis_has_an_example(client: httpx.AsyncClient) -> None:
    api = (await client.get("/openapi.json")).json()
    asked = [
        (parameter["name"], parameter["schema"])
        for path, methods in api["paths"].items()
        if path.startswith(("/v1", "/sdapi", "/image"))
        for method in methods.values()
        for parameter in method.get("parameters", [])
    ]
    for schema in ("ImageRequest", "TextToImageRequest", "OverrideSettings", "PngInfoRequest"):
        asked += api["components"]["schemas"][schema]["properties"].items()
    assert len(asked) == 38
    assert [name for name, schema in asked if not schema.get("examples")] == []


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_health_is_one_word(connect: Connect, path: str) -> None:
    async with connect() as client:
        assert (await client.get(path)).json()["status"] in ("ok", "ready")
