"""Between two versions, when no server has a family that is whole, an accepted picture waits."""

import itertools
import math
import time
from collections.abc import Callable

import pytest

from proxy import service
from proxy.retries import Patience
from tests.proxy.conftest import Connect
from tests.proxy.fake_model_server import FakeModelServer
from tests.proxy.fake_networks import PIXELS, models, tensor
from tests.proxy.test_versions import ASKED, URL, at_call, drifting, load, reference


@pytest.fixture
def fake() -> FakeModelServer:
    """One whose versions draw differently."""
    return drifting()


LAST_STEP = 4  # the call at which the versions below change


def between(fake: FakeModelServer, state: str, is_over: Callable[[], bool]) -> None:
    """Version 1 is gone in the midst of a picture, and version 2 is in that state until it is over."""

    def begin() -> None:
        load(fake, "2")
        fake.override = look  # type: ignore[assignment]
        fake.states = dict.fromkeys(fake.models, state)

    def look(_method: str, path: str) -> None:
        if path == "/v1/models/emoji_text_encoder" and is_over():
            fake.states = dict.fromkeys(fake.models, "AVAILABLE")

    at_call(fake, LAST_STEP, begin)


async def test_a_picture_between_two_versions_waits_for_the_new_one(connect: Connect, fake: FakeModelServer) -> None:
    """Meanwhile no server has any, or promises one."""
    second = await reference(connect, fake, "2")
    load(fake, "1")
    looks = itertools.count()
    async with connect() as client:
        between(fake, "UNLOADING", lambda: next(looks) == 4)
        assert (await client.get(URL, params=ASKED)).content == second


@pytest.mark.parametrize("state", ["START", "LOADING"])
async def test_a_version_that_is_being_loaded_is_waited_for_until_the_deadline(
    connect: Connect, fake: FakeModelServer, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """Longer than for what nobody promises."""
    monkeypatch.setattr(service, "ACCEPTED", Patience(math.inf, 0.5))
    second = await reference(connect, fake, "2")
    load(fake, "1")
    async with connect() as client:
        end = time.monotonic() + 2
        between(fake, state, lambda: time.monotonic() > end)
        assert (await client.get(URL, params=ASKED)).content == second


async def test_a_status_from_before_the_change_ends_no_picture(connect: Connect, fake: FakeModelServer) -> None:
    """It says that the version is there, which has just gone."""
    second = await reference(connect, fake, "2")
    load(fake, "1")
    old, left = FakeModelServer(), 9  # three looks

    def answer(method: str, path: str) -> tuple[int, bytes] | None:
        nonlocal left
        if not path.endswith(":predict") and left:
            left -= 1
            return old.answer(method, path, b"")
        return None

    def begin() -> None:
        load(fake, "2")
        fake.override = answer

    async with connect() as client:
        at_call(fake, LAST_STEP, begin)
        assert (await client.get(URL, params=ASKED)).content == second
    assert not left


async def test_networks_that_change_one_after_the_other_end_no_picture(connect: Connect, fake: FakeModelServer) -> None:
    """Some of the new ones fit none of the old."""
    second = await reference(connect, fake, "2")
    load(fake, "1")
    misfit = models("emoji", ((PIXELS, PIXELS),))
    misfit["emoji_text_encoder"]["serving_default"]["outputs"]["context"] = tensor("DT_FLOAT", -1, 77, 5)
    asked = 0

    def answer(_: str, path: str) -> None:
        nonlocal asked
        asked += path == "/v1/models/emoji_text_encoder"
        if asked == 3:
            fake.models = models("emoji", ((PIXELS, PIXELS),))
            load(fake, "2")

    def begin() -> None:
        fake.models = misfit
        fake.versions["emoji_text_encoder"] = fake.versions["emoji_diffusion_model"] = "2"
        fake.override = answer  # type: ignore[assignment]

    async with connect() as client:
        at_call(fake, LAST_STEP, begin)
        assert (await client.get(URL, params=ASKED)).content == second
    assert asked >= 3


async def test_networks_that_never_fit_again_are_told_after_a_while(
    connect: Connect, fake: FakeModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "ACCEPTED", Patience(math.inf, 0.5))

    def begin() -> None:
        fake.models["emoji_text_encoder"]["serving_default"]["outputs"]["context"] = tensor("DT_FLOAT", -1, 77, 5)
        load(fake, "2")

    load(fake, "1")
    async with connect() as client:
        at_call(fake, LAST_STEP, begin)
        answer = await client.get(URL, params=ASKED)
    assert (answer.status_code, answer.json()["error"]["type"]) == (503, "family_misfit")
