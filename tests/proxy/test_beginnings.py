"""Who comes while the models are not there: what is only starting again is waited for, and what is missing is told."""

import asyncio
import time
from collections.abc import Callable

import httpx
import pytest

from proxy import service
from proxy.app import create_app
from proxy.errors import AbandonedError
from proxy.pictures import Format
from proxy.retries import PATIENCE_SECONDS, Patience
from proxy.service import Order
from proxy.settings import Settings
from tests.proxy.conftest import Connect
from tests.proxy.event_stream import ended, metric, wait_until
from tests.proxy.fake_model_server import FakeModelServer
from tests.proxy.fleet import until
from tests.proxy.raw import asking
from tests.proxy.test_service import Nobody

ASKED = {"caption": "red heart", "steps": 2}
ORDER = Order("red heart", "", 2, 7.5, 1, "ddim", 1, None, None, Format.PNG, None, None)
WAYS_IN = [
    ("GET", "/generate?caption=a", None),
    ("GET", "/generate/events?caption=a", None),
    ("POST", "/v1/images/generations", {"prompt": "a"}),
    ("POST", "/v1/images/generations", {"prompt": "a", "stream": True}),
    ("POST", "/sdapi/v1/txt2img", {"prompt": "a"}),
]


def away(fake: FakeModelServer) -> None:
    fake.override = lambda _method, _path: (503, b"{}")


def loading(fake: FakeModelServer) -> None:
    fake.states = dict.fromkeys(fake.models, "LOADING")


def back(fake: FakeModelServer) -> None:
    fake.override, fake.states = lambda _method, _path: None, dict.fromkeys(fake.models, "AVAILABLE")


def looks(fake: FakeModelServer) -> int:
    return sum(path == "/v1/models/emoji_decoder" for _, path, _ in fake.calls)


@pytest.mark.parametrize("is_away", [away, loading])
async def test_a_server_that_is_starting_again_is_waited_for(
    connect: Connect, fake: FakeModelServer, is_away: Callable[[FakeModelServer], None]
) -> None:
    is_away(fake)
    async with connect() as client:
        drawing = asyncio.create_task(client.get("/generate", params=ASKED))
        await until(lambda: looks(fake) >= 2)
        back(fake)
        assert (await drawing).status_code == 200


@pytest.mark.parametrize(("method", "path", "body"), WAYS_IN)
async def test_a_server_that_does_not_come_is_a_503_after_a_while(
    connect: Connect,
    fake: FakeModelServer,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    path: str,
    body: dict[str, object] | None,
) -> None:
    """On every way in, and with the time after which to come again; nobody was told that anything has begun."""
    monkeypatch.setattr(service, "AT_ARRIVAL", Patience(0.5, 0))
    away(fake)
    async with connect() as client:
        start = time.monotonic()
        answer = await client.request(method, path, json=body)
    assert time.monotonic() - start >= 0.5
    assert answer.status_code == 503
    assert "model emoji_" in answer.text
    assert int(answer.headers["Retry-After"]) > 0


async def test_what_is_missing_is_told_at_once(client: httpx.AsyncClient, fake: FakeModelServer) -> None:
    """No server has the model, and none loads it; of readiness and of the families also while a server is away."""
    start = time.monotonic()
    fake.states["emoji_decoder"] = "UNLOADING"
    answer = await client.get("/generate", params=ASKED)
    assert (answer.status_code, answer.json()["error"]["type"]) == (503, "model_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    away(fake)
    assert [(await client.get(path)).status_code for path in ("/models", "/readyz")] == [503, 503]
    assert time.monotonic() - start < PATIENCE_SECONDS / 2


async def test_who_waits_for_a_server_counts_as_waiting(connect: Connect, fake: FakeModelServer) -> None:
    """No more do than may stand in line; the others are refused at once."""
    away(fake)
    async with connect(concurrent_requests=1, queue_length=2) as client:
        waiting = [asyncio.create_task(client.get("/generate", params=ASKED)) for _ in range(3)]
        await until(lambda: looks(fake) > 0)
        refused = await client.get("/generate", params=ASKED)
        assert (refused.status_code, refused.json()["error"]["type"]) == (503, "queue_full")
        back(fake)
        assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [200] * 3


async def test_a_crowd_that_waits_for_a_server_asks_it_together(
    connect: Connect, fake: FakeModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "AT_ARRIVAL", Patience(1, 0))
    away(fake)
    async with connect() as client:
        start = time.monotonic()
        answers = await asyncio.gather(*(client.get("/generate", params=ASKED) for _ in range(60)))
        took = time.monotonic() - start
    assert {answer.status_code for answer in answers} == {503}
    # Together, alone, and in the background until the server answers.
    assert looks(fake) <= 2 * (took / 0.25 + 1) + took / 0.25 + 1


async def test_who_leaves_while_a_server_is_waited_for_waits_no_more(fake: FakeModelServer) -> None:
    class Leaving(Nobody):
        async def stayed(self) -> None:
            raise AbandonedError("left")

    away(fake)
    app = create_app(Settings(), fake.transport())
    async with app.router.lifespan_context(app):
        with pytest.raises(AbandonedError):
            await app.state.service.draw(ORDER, Leaving())
    assert looks(fake) <= 2


@pytest.mark.parametrize(("method", "path", "body"), WAYS_IN)
def test_who_hangs_up_while_a_server_is_waited_for_ends_that(
    url: str, served: FakeModelServer, method: str, path: str, body: dict[str, object] | None
) -> None:
    """On every way in; not for so long as who stays would wait."""
    away(served)
    abandoned = 'easel_drawings_total{outcome="abandoned"'
    before = metric(url, abandoned)
    with ended(url), asking(url, method, path, json=body):
        wait_until(lambda: looks(served) >= 2)
    assert metric(url, abandoned) == before + 1


async def test_a_deadline_may_come_first(connect: Connect, fake: FakeModelServer) -> None:
    away(fake)
    async with connect() as client:
        answer = await client.get("/generate", params={**ASKED, "deadline_seconds": 0.5})
    assert answer.status_code == 504
    assert "it ended before it was in line" in answer.json()["error"]["message"]
