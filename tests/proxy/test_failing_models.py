"""What a client sees when models fail, and that the proxy recovers by itself."""

import asyncio
import math
import time
from typing import Any

import httpx
import numpy as np
import pytest

from proxy import service
from proxy.app import create_app
from proxy.retries import Patience
from proxy.service import Service
from proxy.settings import Settings
from tests.proxy.conftest import Connect
from tests.proxy.fake_model_server import FakeModelServer
from tests.proxy.fake_networks import models, tensor

QUICK = {"caption": "red heart", "steps": 4, "seed": 42}
READY_SECONDS = 1.1  # for which readiness stays what it was


def predicts(fake: FakeModelServer, signature: str) -> int:
    return sum(body is not None and body["signature_name"] == signature for _, _, body in fake.calls)


async def test_a_server_that_is_down_is_a_503_until_it_is_back(
    client: httpx.AsyncClient, fake: FakeModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "AT_ARRIVAL", Patience(0.5, 0))
    fake.down = True
    response = await client.get("/generate", params=QUICK)
    assert response.status_code == 503
    assert response.json()["error"]["type"] == "model_unavailable"
    assert "model emoji_text_encoder" in response.json()["error"]["message"]
    assert (await client.get("/readyz")).status_code == 503
    assert (await client.get("/models")).status_code == 503
    assert (await client.get("/healthz")).status_code == 200
    fake.down = False
    assert (await client.get("/generate", params=QUICK)).status_code == 200
    await asyncio.sleep(READY_SECONDS)
    assert (await client.get("/readyz")).status_code == 200


async def test_a_line_does_not_wait_one_after_the_other_for_what_is_taken_away_for_good(
    connect: Connect, fake: FakeModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those who come to their turn when patience has ended are told at once."""
    monkeypatch.setattr(service, "ACCEPTED", Patience(math.inf, 2))
    async with connect(concurrent_requests=1) as client:
        assert (await client.get("/generate", params=QUICK)).status_code == 200
        fake.states["emoji_diffusion_model"] = "UNLOADING"
        start = time.monotonic()
        answers = await asyncio.gather(*(client.get("/generate", params=QUICK) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {503}
    assert time.monotonic() - start < 10 * 2


async def test_a_model_that_is_taken_away_for_good_is_a_503_after_a_while_naming_it(
    client: httpx.AsyncClient, fake: FakeModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "ACCEPTED", Patience(math.inf, 0.5))
    assert (await client.get("/generate", params=QUICK)).status_code == 200
    fake.states["emoji_diffusion_model"] = "UNLOADING"
    start = time.monotonic()
    response = await client.get("/generate", params=QUICK)
    assert time.monotonic() - start >= 0.5
    assert response.status_code == 503
    reason = "has no loaded version (versions: 1 UNLOADING)"
    assert response.json()["error"]["details"] == [{"model": "emoji_diffusion_model", "reason": reason}]
    assert int(response.headers["Retry-After"]) > 0


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("model", ["emoji_text_encoder", "emoji_diffusion_model", "emoji_decoder"])
async def test_garbage_is_a_502_and_never_a_picture(
    client: httpx.AsyncClient, fake: FakeModelServer, model: str, method: str
) -> None:
    poison = np.full(1, np.nan, np.float32).tobytes()
    fake.tamper = lambda name, raw: raw if name != model else poison * (len(raw) // 4) if "dec" not in name else b"x"
    asked = {"params": QUICK} if method == "get" else {"json": QUICK}
    response = await client.request(method.upper(), "/generate", **asked)  # type: ignore[arg-type]
    assert response.status_code == 502
    assert response.json()["error"]["type"] == "bad_model_answer"
    assert model in response.json()["error"]["message"]


async def test_a_server_that_came_back_with_other_models_is_learned_again(
    client: httpx.AsyncClient, fake: FakeModelServer
) -> None:
    """The first request after it fails on the old shapes; the next one draws with the new ones."""
    assert (await client.get("/generate", params=QUICK)).status_code == 200
    fake.models = models("emoji", ((64, 32),))
    failed = await client.get("/generate", params=QUICK)
    assert failed.status_code == 502
    response = await client.get("/generate", params=QUICK)
    assert response.status_code == 200
    assert response.content[16:24] == (64).to_bytes(4) + (32).to_bytes(4)


async def test_a_misfit_is_refused_at_readiness_and_at_generation(
    client: httpx.AsyncClient, fake: FakeModelServer
) -> None:
    fake.models["emoji_text_encoder"]["serving_default"]["outputs"]["context"] = tensor("DT_FLOAT", -1, 77, 768)
    for path in ("/readyz", "/generate?caption=a"):
        response = await client.get(path)
        assert response.status_code == 503
        message = response.json()["error"]["message"]
        assert "emoji_text_encoder serving_default has context [-1, 77, 768]" in message
        assert f"emoji_diffusion_model serving_default has context [-1, 77, {8}]" in message


async def test_metadata_is_not_fetched_for_every_request(client: httpx.AsyncClient, fake: FakeModelServer) -> None:
    for _ in range(5):
        await client.get("/generate", params=QUICK)
    assert sum(path.endswith("/metadata") for _, path, _ in fake.calls) == 3


async def test_readyz_names_the_missing_model(client: httpx.AsyncClient, fake: FakeModelServer) -> None:
    assert (await client.get("/readyz")).json() == {"status": "ready"}
    del fake.models["emoji_decoder"]
    await asyncio.sleep(READY_SECONDS)
    response = await client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["error"]["type"] == "not_ready"
    assert response.json()["error"]["details"] == [{"model": "emoji_decoder", "reason": "is not loaded"}]


BROKEN = "breaks off"


@pytest.mark.parametrize("third", ["is answered", BROKEN])
@pytest.mark.parametrize(
    ("method", "body"), [("GET", b""), ("POST", b'{"caption": "red heart", "steps": 50, "seed": 1}')]
)
async def test_a_request_that_the_client_abandons_stops_between_calls(
    fake: FakeModelServer, method: str, body: bytes, third: str
) -> None:
    """The client leaves during the third of fifty denoising calls; if it breaks off, no other server is asked."""
    gone = asyncio.Event()

    def watch(_method: str, _path: str) -> None:
        if predicts(fake, "denoise") == 3:
            gone.set()
            if third is BROKEN:
                raise httpx.ReadError("broken")

    fake.override = watch  # type: ignore[assignment]
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    app = create_app(Settings(steps_per_call=1, model_server_urls=("http://a", "http://b")), fake.transport())
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": "/generate",
        "raw_path": b"/generate",
        "query_string": b"caption=red%20heart&steps=50&seed=1" if method == "GET" else b"",
        "root_path": "",
        "headers": [(b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    async with app.router.lifespan_context(app):
        await app(scope, receive, send)
    assert predicts(fake, "denoise") == 3
    assert predicts(fake, "decode") == 0
    assert sent[0]["status"] == 499


async def test_a_mistake_of_the_proxy_itself_is_a_500_of_the_same_shape(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(Service, "draw", broken)
    response = await client.get("/generate", params=QUICK)
    assert response.status_code == 500
    assert response.json()["error"]["type"] == "internal"
    assert "secret" not in response.text


async def test_requests_do_not_wait_for_each_other(connect: Connect) -> None:
    """While one request waits for a slow model, another is served."""
    slow, release = asyncio.Event(), asyncio.Event()

    async def wait(path: str) -> None:
        if path.endswith("diffusion_model:predict") and not slow.is_set():
            slow.set()
            await release.wait()

    async with connect(before=wait) as client:
        first = asyncio.create_task(client.get("/generate", params=QUICK))
        await slow.wait()
        second = await client.get("/generate", params=QUICK)
        assert second.status_code == 200
        assert not first.done()
        release.set()
        assert (await first).content == second.content
