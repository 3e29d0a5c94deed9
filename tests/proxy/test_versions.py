"""Whatever is loaded while a picture is drawn, it is wholly of one set of versions."""

import asyncio
from collections.abc import Callable

import httpx
import pytest

from proxy.app import create_app
from proxy.settings import Settings
from tests.proxy.conftest import Connect
from tests.proxy.fake_model_server import FakeModelServer
from tests.proxy.fake_networks import models

ASKED = {"caption": "red heart", "negative_caption": "blue", "steps": 6, "seed": 42, "steps_per_call": 2, "n": 2}
URL = "/generate"


@pytest.fixture
def fake() -> FakeModelServer:
    """One whose versions draw differently."""
    return drifting()


def drifting(version: str = "1") -> FakeModelServer:
    fake = FakeModelServer()
    fake.drift = 0.1
    load(fake, version)
    return fake


def load(fake: FakeModelServer, version: str, *, keep_old: bool = False) -> None:
    fake.old_versions = set(fake.versions.values()) if keep_old else set()
    fake.versions = dict.fromkeys(fake.models, version)


async def reference(connect: Connect, fake: FakeModelServer, version: str) -> bytes:
    """What is drawn in calm; the file names the versions, so that their pictures differ even with the same pixels."""
    load(fake, version)
    async with connect() as client:
        answer = await client.get(URL, params=ASKED)
    assert answer.status_code == 200
    fake.calls.clear()
    fake.versions_asked.clear()
    return answer.content


def at_call(fake: FakeModelServer, number: int, do: Callable[[], None]) -> None:
    """Do something when that call of a network, 0 is the first, has come and is not answered."""
    seen = 0

    def look(_: str, path: str) -> None:
        nonlocal seen
        if path.endswith(":predict"):
            if seen == number:
                do()
            seen += 1

    fake.override = look  # type: ignore[assignment]


CALLS = range(6)  # two captions, three times two steps, the decoder


@pytest.mark.parametrize("number", CALLS)
async def test_a_picture_ends_on_the_version_that_it_began_on(
    connect: Connect, fake: FakeModelServer, number: int
) -> None:
    first = await reference(connect, fake, "1")
    async with connect() as client:
        at_call(fake, number, lambda: load(fake, "2", keep_old=True))
        assert (await client.get(URL, params=ASKED)).content == first
    assert {version for _, version in fake.versions_asked} == {"1"}
    assert len(fake.versions_asked) == len(CALLS)


@pytest.mark.parametrize("number", CALLS)
async def test_a_picture_whose_version_is_gone_is_drawn_by_the_new_one_from_its_first_step(
    connect: Connect, fake: FakeModelServer, number: int
) -> None:
    """No context and no latent of the old one is left in it; and nobody is asked for versions again before that."""
    first, second = await reference(connect, fake, "1"), await reference(connect, fake, "2")
    assert first != second
    load(fake, "1")
    async with connect() as client:
        await client.get("/models")
        at_call(fake, number, lambda: load(fake, "2"))
        answer = await client.get(URL, params=ASKED)
    assert answer.status_code == 200
    assert answer.content == second
    by_second = [model for model, version in fake.versions_asked if version == "2"]
    assert by_second == ["emoji_text_encoder"] * 2 + ["emoji_diffusion_model"] * 3 + ["emoji_decoder"]


async def test_the_seed_that_was_drawn_stays(connect: Connect, fake: FakeModelServer) -> None:
    asked = {key: value for key, value in ASKED.items() if key != "seed"}
    async with connect() as client:
        at_call(fake, 3, lambda: load(fake, "2"))
        drawn = (await client.post(URL, json=asked)).json()
        again = (await client.post(URL, json={**asked, "seed": drawn["pictures"][0]["seed"]})).json()
    assert [picture["base64"] for picture in drawn["pictures"]] == [picture["base64"] for picture in again["pictures"]]


async def test_only_one_network_may_change(connect: Connect, fake: FakeModelServer) -> None:
    """All of them begin again: what the decoder gets was denoised by the version that the file names."""
    load(fake, "1")
    fake.versions["emoji_diffusion_model"] = "2"
    async with connect() as client:
        second = (await client.get(URL, params=ASKED)).content
    load(fake, "1")
    async with connect() as client:
        at_call(fake, 4, lambda: fake.versions.update(emoji_diffusion_model="2"))
        assert (await client.get(URL, params=ASKED)).content == second


async def test_every_new_version_is_followed(connect: Connect, fake: FakeModelServer) -> None:
    last = await reference(connect, fake, "4")
    load(fake, "1")
    async with connect() as client:
        at_call(fake, 3, lambda: load(fake, "2"))
        following = fake.override

        def hasten(method: str, path: str) -> None:
            following(method, path)
            decodes = sum(path.endswith("decoder:predict") for _, path, _ in fake.calls)
            if path.endswith("decoder:predict"):
                load(fake, str(min(2 + decodes, 4)))

        fake.override = hasten  # type: ignore[assignment]
        assert (await client.get(URL, params=ASKED)).content == last


async def test_a_crowd_learns_a_new_version_once(connect: Connect, fake: FakeModelServer) -> None:
    second = await reference(connect, fake, "2")
    load(fake, "1")
    async with connect() as client:
        at_call(fake, 30, lambda: load(fake, "2"))
        answers = await asyncio.gather(*(client.get(URL, params=ASKED) for _ in range(10)))
    assert [answer.content == second for answer in answers] == [True] * 10
    assert sum(path.endswith("/metadata") for _, path, _ in fake.calls) == 6


async def test_another_default_size_that_came_with_a_new_version_is_drawn(
    connect: Connect, fake: FakeModelServer
) -> None:
    def replace() -> None:
        fake.models = models("emoji", ((64, 32),))
        load(fake, "2")

    async with connect() as client:
        at_call(fake, 3, replace)
        answer = await client.get(URL, params={**ASKED, "n": 1})
    assert answer.status_code == 200
    assert answer.content[16:24] == (64).to_bytes(4) + (32).to_bytes(4)


async def test_a_server_that_comes_back_with_a_new_version_is_waited_for(
    connect: Connect, fake: FakeModelServer
) -> None:
    """It dies between the call that it has not the version for and the question which it has."""
    second = await reference(connect, fake, "2")
    load(fake, "1")
    questions = 0

    def die(_: str, path: str) -> tuple[int, bytes] | None:
        nonlocal questions
        if path.endswith("decoder:predict") and not questions:
            questions = 1
            load(fake, "2")
        elif questions and not path.endswith(":predict") and questions < 10:
            questions += 1
            return 503, b"{}"
        return None

    fake.override = die
    async with connect() as client:
        assert (await client.get(URL, params=ASKED)).content == second
    assert questions == 10


class Two:
    """Two servers, which may differ in their versions, and a client of a proxy of both."""

    def __init__(self, *versions: str) -> None:
        self.fakes = dict(zip("ab", map(drifting, versions), strict=True))
        self.app = create_app(Settings(model_server_urls="http://a,http://b"), httpx.MockTransport(self._handle))
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://e")

    def _handle(self, request: httpx.Request) -> httpx.Response:
        return self.fakes[request.url.host].transport().handle_request(request)


@pytest.mark.parametrize("versions", [("1", "2"), ("2", "1")])
async def test_servers_of_different_versions_do_not_mix(
    connect: Connect, fake: FakeModelServer, versions: tuple[str, str]
) -> None:
    """As while a new version is loaded by one after the other: each picture is of one of them."""
    right = {await reference(connect, fake, version) for version in versions}
    two = Two(*versions)
    async with two.app.router.lifespan_context(two.app), two.client as client:
        for _ in range(5):
            answer = await client.get(URL, params=ASKED)
            assert answer.status_code == 200
            assert answer.content in right


async def test_when_the_only_server_of_a_version_dies_the_picture_is_drawn_by_another(
    connect: Connect, fake: FakeModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for it to come back."""
    two, second = Two("1", "1"), await reference(connect, fake, "2")
    a, b = two.fakes.values()

    def die() -> None:
        load(a, "2")
        a.override = lambda _method, _path: None
        b.down = True

    async with two.app.router.lifespan_context(two.app), two.client as client:
        service = two.app.state.service
        monkeypatch.setattr(service.catalogue, "_fresh_seconds", 0.1)
        at_call(a, 2, die)
        answer = await client.get(URL, params={**ASKED, "deadline_seconds": 30})
    assert answer.status_code == 200
    assert answer.content == second
