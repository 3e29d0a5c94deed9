"""Families are learned once, and again when there is a reason."""

import asyncio
import json
import time

import httpx
import pytest

from proxy import catalogue as module
from proxy.catalogue import Catalogue
from proxy.errors import (
    BadModelAnswerError,
    FamilyMisfitError,
    ModelUnavailableError,
    NotReadyError,
    ReplacedError,
    UnreachableError,
)
from proxy.model_server import ModelServer
from tests.proxy.fake_model_server import FakeModelServer
from tests.proxy.fake_networks import PIXELS, models, tensor
from tests.proxy.fleet import servers_of


def catalogue(fake: FakeModelServer, fresh_seconds: float = 0, names: tuple[str, ...] = ("emoji",)) -> Catalogue:
    client = httpx.AsyncClient(transport=fake.transport(), base_url="http://tf")
    return Catalogue(ModelServer(servers_of([client])), names, 77, fresh_seconds=fresh_seconds)


def statuses(fake: FakeModelServer) -> int:
    return sum(path in [f"/v1/models/{model}" for model in fake.models] for _, path, _ in fake.calls)


def fetches(fake: FakeModelServer) -> int:
    return sum(path.endswith("/metadata") for _, path, _ in fake.calls)


async def test_metadata_is_fetched_once_for_all_requests(fake: FakeModelServer) -> None:
    known = catalogue(fake)
    families = await asyncio.gather(*(known.family("emoji") for _ in range(20)))
    assert fetches(fake) == 3
    assert all(family is families[0] for family in families)


async def test_a_failure_is_not_remembered(fake: FakeModelServer) -> None:
    known = catalogue(fake)
    fake.down = True
    with pytest.raises(ModelUnavailableError):
        await known.family("emoji")
    fake.down = False
    assert (await known.family("emoji")).name == "emoji"


async def test_a_family_is_learned_again_when_a_version_changed(fake: FakeModelServer) -> None:
    known = catalogue(fake)
    before = await known.family("emoji")
    assert await known.family("emoji") is before
    assert fetches(fake) == 3
    fake.models = models("emoji", ((PIXELS, PIXELS), (64, 64)))
    fake.versions["emoji_decoder"] = "2"
    after = await known.family("emoji")
    assert len(after.sizes) == 2
    assert after.versions["emoji_decoder"] == "2"
    assert fetches(fake) == 6


async def test_versions_are_asked_for_again_only_after_a_while(
    fake: FakeModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, now = catalogue(fake, fresh_seconds=5), 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for later, asked in ((0, 1), (4.9, 1), (5.1, 2), (9.9, 2), (10.2, 3)):
        now = 100 + later
        await asyncio.gather(*(known.family("emoji") for _ in range(3)))
        assert statuses(fake) == 3 * asked, later
    assert fetches(fake) == 3


async def test_versions_of_all_models_are_asked_for_at_once(fake: FakeModelServer) -> None:
    """Each waits here until all three are there."""
    waiting = asyncio.Barrier(3)

    async def wait(_: str) -> None:
        await asyncio.wait_for(waiting.wait(), 10)

    client = httpx.AsyncClient(transport=fake.transport(wait), base_url="http://tf")
    assert (await Catalogue(ModelServer(servers_of([client])), ["emoji"], 77).family("emoji")).name == "emoji"


async def test_a_known_family_whose_model_is_gone_is_unavailable_and_learned_again(fake: FakeModelServer) -> None:
    known = catalogue(fake)
    before = await known.family("emoji")
    fake.states["emoji_decoder"] = "UNLOADING"
    with pytest.raises(ModelUnavailableError, match="emoji_decoder: has no loaded version"):
        await known.family("emoji")
    fake.states["emoji_decoder"] = "AVAILABLE"
    assert await known.family("emoji") is not before


async def test_readiness_learns_a_new_version(fake: FakeModelServer) -> None:
    known = catalogue(fake)
    await known.check("emoji")
    await known.check("emoji")
    assert fetches(fake) == 3
    fake.versions["emoji_decoder"] = "2"
    assert (await known.check("emoji")).versions["emoji_decoder"] == "2"
    assert fetches(fake) == 6


async def test_readiness_names_every_model_that_is_missing(fake: FakeModelServer) -> None:
    del fake.models["emoji_text_encoder"]
    fake.states["emoji_decoder"] = "LOADING"
    with pytest.raises(NotReadyError) as caught:
        await catalogue(fake).check("emoji")
    assert [detail["model"] for detail in caught.value.details] == ["emoji_text_encoder", "emoji_decoder"]
    assert "emoji_decoder: has no loaded version (versions: 1 LOADING)" in str(caught.value)


async def test_readiness_names_a_misfit(fake: FakeModelServer) -> None:
    outputs = fake.models["emoji_text_encoder"]["serving_default"]["outputs"]
    outputs["context"] = tensor("DT_FLOAT", -1, 77, 5)
    with pytest.raises(NotReadyError, match=r"family emoji does not fit together: .*\[-1, 77, 5\]"):
        await catalogue(fake).check("emoji")
    with pytest.raises(FamilyMisfitError):
        await catalogue(fake).family("emoji")


async def test_readiness_of_all_families_names_each_that_is_missing(fake: FakeModelServer) -> None:
    known = catalogue(fake, names=("sd-v1", "emoji", "sd-v2"))
    with pytest.raises(NotReadyError) as caught:
        await known.check_all()
    assert {detail["model"].split("_")[0] for detail in caught.value.details} == {"sd-v1", "sd-v2"}
    assert len(caught.value.details) == 6


async def test_a_family_that_was_forgotten_is_learned_again(fake: FakeModelServer) -> None:
    """Once, whoever else forgets the one before."""
    known = catalogue(fake, fresh_seconds=60)
    before = await known.family("emoji")
    for _ in range(3):
        known.forget(before)
        assert await known.family("emoji") is not before
    assert fetches(fake) == 6


async def test_what_the_servers_say_of_a_family_that_failed_is_told(fake: FakeModelServer) -> None:
    """Nothing, if they have what they had, or do not say."""
    known = catalogue(fake)
    family = await known.family("emoji")
    await known.reconsider(family)
    fake.override = lambda _method, _path: (200, b"garbage")
    await known.reconsider(family)
    fake.override = lambda _method, _path: None
    fake.down = True
    with pytest.raises(UnreachableError):
        await known.reconsider(family)
    fake.down = False
    fake.states["emoji_decoder"] = "UNLOADING"
    with pytest.raises(ModelUnavailableError, match="emoji_decoder: has no loaded version"):
        await known.reconsider(family)
    fake.states["emoji_decoder"] = "AVAILABLE"
    fake.versions["emoji_decoder"] = "2"
    with pytest.raises(ReplacedError, match="emoji_decoder: version 2 has taken the place of 1"):
        await known.reconsider(family)


async def test_a_misfit_is_none_yet_while_a_version_is_being_loaded(fake: FakeModelServer) -> None:
    outputs = fake.models["emoji_text_encoder"]["serving_default"]["outputs"]
    outputs["context"] = tensor("DT_FLOAT", -1, 77, 5)
    entries = [{"version": "1", "state": "AVAILABLE"}, {"version": "2", "state": "LOADING"}]
    status = json.dumps({"model_version_status": entries}).encode()
    fake.override = lambda _, path: (200, status) if path == "/v1/models/emoji_decoder" else None
    with pytest.raises(UnreachableError, match=r"emoji_decoder: another version is being loaded.*does not fit"):
        await catalogue(fake).family("emoji")


@pytest.mark.parametrize(("seconds", "looks"), [(60, 1), (0.01, 3)])
async def test_a_crowd_that_finds_nothing_asks_together(
    fake: FakeModelServer, monkeypatch: pytest.MonkeyPatch, seconds: float, looks: int
) -> None:
    """For a moment, also those who come after the answer."""
    monkeypatch.setattr(module, "_SHARED_SECONDS", seconds)
    known = catalogue(fake, fresh_seconds=60)
    fake.states["emoji_decoder"] = "UNLOADING"
    for _ in range(3):
        answers = await asyncio.gather(*(known.family("emoji") for _ in range(20)), return_exceptions=True)
        assert {type(answer) for answer in answers} == {ModelUnavailableError}
        await asyncio.sleep(0.1)
    assert statuses(fake) == 6 * looks, "of each model, together and alone"


async def test_models_describe_themselves_if_they_can(fake: FakeModelServer) -> None:
    del fake.models["emoji_decoder"]["describe"]
    known = catalogue(fake)
    descriptions = await known.descriptions(await known.family("emoji"))
    assert descriptions["emoji_text_encoder"]["parameters"] == 1000
    assert descriptions["emoji_decoder"] == {}


async def test_models_are_not_asked_to_describe_themselves_by_everybody(fake: FakeModelServer) -> None:
    """A family that was learned anew is."""
    known = catalogue(fake)
    family = await known.family("emoji")
    for _ in range(2):
        assert len(await known.descriptions(family)) == 3
        await asyncio.gather(*(known.descriptions(family) for _ in range(5)))
    assert sum(path.endswith(":predict") for _, path, _ in fake.calls) == 3
    known.forget(family)
    await known.descriptions(await known.family("emoji"))
    assert sum(path.endswith(":predict") for _, path, _ in fake.calls) == 6


async def test_a_family_stays_the_same_while_servers_differ_in_their_versions(fake: FakeModelServer) -> None:
    """One says which versions there are, another what they are like; contexts are kept by family."""
    other = FakeModelServer()
    other.versions["emoji_decoder"] = "2"
    fake.override = lambda method, path: None if path.endswith("/metadata") else other.answer(method, path, b"")
    known = catalogue(fake)
    family = await known.family("emoji")
    assert family.versions["emoji_decoder"] == "1"
    assert await known.family("emoji") is family


@pytest.mark.parametrize("body", [b'{"outputs": []}', b'{"outputs": ["not json"]}', b'{"outputs": ["[1]"]}', b"?"])
async def test_a_strange_description_is_none(fake: FakeModelServer, body: bytes) -> None:
    known = catalogue(fake)
    family = await known.family("emoji")
    fake.override = lambda _method, path: (200, body) if path.endswith(":predict") else None
    assert set(map(str, (await known.descriptions(family)).values())) == {"{}"}


async def test_strange_metadata_is_a_bad_answer(fake: FakeModelServer) -> None:
    fake.override = lambda _method, path: (200, b"[]") if path.endswith("/metadata") else None
    with pytest.raises(BadModelAnswerError):
        await catalogue(fake).family("emoji")


@pytest.mark.parametrize("loading", ["emoji_text_encoder", "emoji_decoder"])
async def test_what_may_come_counts_more_than_what_is_missing(fake: FakeModelServer, loading: str) -> None:
    """Whichever of them is loaded first."""
    fake.states = {**dict.fromkeys(fake.models, "END"), loading: "LOADING"}
    with pytest.raises(UnreachableError):
        await catalogue(fake).family("emoji")


async def test_it_is_remembered_since_when_a_family_is_absent(fake: FakeModelServer) -> None:
    """Until it is there, or is about to be."""
    known, found = catalogue(fake), []
    for state in ("END", "END", "LOADING", "END", "AVAILABLE", "END"):
        fake.states["emoji_decoder"] = state
        try:
            await known.family("emoji")
        except ModelUnavailableError as error:
            found.append(error.since)
    first, same, none, second, third = found
    assert first == same
    assert none is None
    assert first < second < third


async def test_a_family_stays_while_one_of_the_servers_has_it() -> None:
    """Whatever the one has that is asked first."""
    old, new = FakeModelServer(), FakeModelServer()
    new.versions = dict.fromkeys(new.models, "2")
    clients = [httpx.AsyncClient(transport=fake.transport(), base_url="http://tf") for fake in (old, new)]
    both = Catalogue(ModelServer(servers_of(clients)), ("emoji",), 77, fresh_seconds=0)
    families = [await catalogue(fake).family("emoji") for fake in (old, new)]
    for _ in range(3):
        for family in families:
            await both.reconsider(family)
    old.versions["emoji_decoder"] = "2"
    with pytest.raises(ReplacedError):
        await both.reconsider(families[0])
    await both.reconsider(families[1])
