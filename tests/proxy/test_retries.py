"""Calls that no server answered are made again, and those that nobody ever will answer are not."""

import asyncio
from collections import Counter
from collections.abc import Callable

import httpx
import pytest

from proxy.errors import (
    AbandonedError,
    BadModelAnswerError,
    EaselError,
    FamilyMisfitError,
    ModelUnavailableError,
    RefusedCallError,
    ReplacedError,
    UnreachableError,
)
from proxy.retries import LONGEST_PAUSE_SECONDS, Patience, Retries
from proxy.tracing import is_repeated
from tests.proxy.conftest import Connect
from tests.proxy.fake_model_server import FakeModelServer
from tests.proxy.fleet import DEADLINE_SECONDS
from tests.proxy.own_time import now

QUICK = {"caption": "red heart", "steps": 4, "seed": 42, "steps_per_call": 1}
NETWORKS = ("text_encoder", "diffusion_model", "decoder")


async def no_check() -> None:
    """Go on."""


class Call:
    """Raises the errors, one after the other, and then returns. times: when it was made."""

    def __init__(self, *errors: EaselError) -> None:
        self._errors, self.times = list(errors), list[float]()

    async def __call__(self) -> str:
        self.times.append(now())
        if self._errors:
            raise self._errors.pop(0)
        return "done"


def bad(answers: int = 1) -> BadModelAnswerError:
    error = BadModelAnswerError("m", "NaN")
    error.answers = answers
    return error


@pytest.mark.own_time
async def test_an_unreachable_server_is_asked_until_it_answers() -> None:
    """After pauses that grow and differ, so that not all who were cut off come back together."""
    call = Call(*(UnreachableError("m", "away") for _ in range(6)))
    assert await Retries(no_check)(call) == "done"
    pauses = [later - sooner for sooner, later in zip(call.times, call.times[1:], strict=False)]
    for number, pause in enumerate(pauses):
        assert 0.05 <= round(pause, 6) <= min(0.1 * 2**number, LONGEST_PAUSE_SECONDS)
    assert len(pauses) == 6


@pytest.mark.own_time
async def test_no_pause_is_longer_than_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    await Retries(no_check)(Call(*(UnreachableError("m", "away") for _ in range(200))))
    assert 1 < max(slept) <= LONGEST_PAUSE_SECONDS
    assert len(set(slept)) == len(slept) == 200


@pytest.mark.parametrize(
    "error",
    [
        RefusedCallError("m", "answered with status 400"),
        ReplacedError("m", "version 2 has taken the place of 1"),
        AbandonedError("left"),
    ],
)
@pytest.mark.own_time
async def test_what_would_be_the_same_again_is_not_asked_again(error: EaselError) -> None:
    call = Call(error)
    with pytest.raises(type(error)):
        await Retries(no_check)(call)
    assert len(call.times) == 1


NOWHERE = (ModelUnavailableError("m", "is not loaded"), FamilyMisfitError("f", "?"))


@pytest.mark.own_time
async def test_what_is_nowhere_is_asked_for_until_patience_ends() -> None:
    """Whether there is no model, or none that fits; the error is the last one."""
    start, call = now(), Call(*NOWHERE * 50)
    with pytest.raises(type(NOWHERE[0])):
        await Retries(no_check, Patience(0, 10))(Call(*NOWHERE[:1] * 50))
    assert 10 <= now() - start < 10 + LONGEST_PAUSE_SECONDS
    start = now()
    with pytest.raises((ModelUnavailableError, FamilyMisfitError)):
        await Retries(no_check, Patience(0, 10))(call)
    assert 10 <= now() - start < 10 + LONGEST_PAUSE_SECONDS
    assert len(call.times) > 5


@pytest.mark.own_time
async def test_patience_is_that_of_the_error_and_begins_anew_with_another_kind() -> None:
    start, away = now(), UnreachableError("m", "away")
    long = Call(*NOWHERE[:1] * 4, *[away] * 60, *NOWHERE[1:] * 4)
    assert await Retries(no_check, Patience(1000, 10))(long) == "done"
    assert now() - start > 20
    for patience, error in (
        (Patience(0, 1000), away),
        (Patience(1000, 0), NOWHERE[0]),
        (Patience(1000, 0), NOWHERE[1]),
    ):
        call = Call(error)
        with pytest.raises(type(error)):
            await Retries(no_check, patience)(call)
        assert len(call.times) == 1


@pytest.mark.own_time
async def test_the_time_that_a_silent_server_took_is_a_part_of_the_patience_with_it() -> None:
    class Silent(Call):
        async def __call__(self) -> str:
            await asyncio.sleep(6)
            return await super().__call__()

    call = Silent(*[UnreachableError("m", "silent")] * 50)
    with pytest.raises(UnreachableError):
        await Retries(no_check, Patience(10, 0))(call)
    assert len(call.times) == 2


@pytest.mark.own_time
async def test_patience_with_what_is_absent_began_when_that_was_found() -> None:
    """Who comes later waits for what is left of it."""
    error = ModelUnavailableError("m", "is not loaded")
    error.since = now()
    await asyncio.sleep(8)
    call = Call(*[error] * 50)
    with pytest.raises(ModelUnavailableError):
        await Retries(no_check, Patience(0, 10))(call)
    assert 10 <= now() - error.since < 10 + LONGEST_PAUSE_SECONDS


@pytest.mark.own_time
async def test_a_bad_answer_that_is_shared_counts_once() -> None:
    shared = bad()
    assert await Retries(no_check)(Call(*[shared] * 10, bad())) == "done"


@pytest.mark.own_time
async def test_what_an_error_is_explained_by_decides() -> None:
    """It is asked for outside of the call, whose repetitions are counted."""
    repeated: list[bool] = []

    async def explain() -> None:
        repeated.append(is_repeated())
        if len(repeated) == 2:
            raise ReplacedError("m", "version 2 has taken the place of 1")

    with pytest.raises(ReplacedError):
        await Retries(no_check, explain=explain)(Call(*[UnreachableError("m", "away")] * 3))
    assert repeated == [False, False]


@pytest.mark.parametrize(("answers", "calls"), [(1, 5), (2, 3), (3, 2), (5, 1), (8, 1)])
@pytest.mark.own_time
async def test_after_five_bad_answers_nobody_is_asked_again(answers: int, calls: int) -> None:
    """Of all servers together."""
    call = Call(*(bad(answers) for _ in range(10)))
    with pytest.raises(BadModelAnswerError):
        await Retries(no_check, first_pause_seconds=0.001)(call)
    assert len(call.times) == calls


@pytest.mark.own_time
async def test_the_check_ends_it_before_the_next_call() -> None:
    call = Call(*(UnreachableError("m", "away") for _ in range(10)))
    checks = 0

    async def check() -> None:
        nonlocal checks
        checks += 1
        if checks == 3:
            raise AbandonedError("left")

    with pytest.raises(AbandonedError):
        await Retries(check, first_pause_seconds=0.001)(call)
    assert len(call.times) == 3


def failing_once_each(fake: FakeModelServer, fail: Callable[[], tuple[int, bytes]]) -> Counter[str]:
    """The first call of each network fails."""
    seen: Counter[str] = Counter()

    def override(_: str, path: str) -> tuple[int, bytes] | None:
        if not path.endswith(":predict"):
            return None
        seen[path] += 1
        return fail() if seen[path] == 1 else None

    fake.override = override
    return seen


def broken() -> tuple[int, bytes]:
    raise httpx.ReadError("broken")


FAULTS: dict[str, Callable[[], tuple[int, bytes]]] = {
    "reset": broken,
    **{str(number): lambda number=number: (number, b"{}") for number in (502, 503, 504)},  # type: ignore[misc]
    "not JSON": lambda: (200, b"<html>"),
    "truncated": lambda: (200, b'{"outputs": [{"b64": "AAAA'),
    "wrong length": lambda: (200, b'{"outputs": [{"b64": "AAAA"}]}'),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_the_picture_is_the_one_that_no_fault_would_have_given(
    connect: Connect, fake: FakeModelServer, fault: str
) -> None:
    """Byte for byte, with every network failing on its first call."""
    async with connect() as client:
        calm = (await client.get("/generate", params={**QUICK, "n": 2})).content
    async with connect() as client:
        seen = failing_once_each(fake, FAULTS[fault])
        answer = await client.get("/generate", params={**QUICK, "n": 2})
    assert answer.status_code == 200
    assert answer.content == calm
    assert len(seen) == len(NETWORKS)
    assert min(seen.values()) > 1


@pytest.mark.parametrize("number", [404, 429])
async def test_what_a_server_has_after_all_is_asked_for_again(
    connect: Connect, fake: FakeModelServer, number: int
) -> None:
    """It says "not here", while its status says that the version is there; no step is lost."""
    async with connect() as client:
        calm = (await client.get("/generate", params=QUICK)).content
    async with connect() as client:
        fake.calls.clear()
        seen = failing_once_each(fake, lambda: (number, b"{}"))
        assert (await client.get("/generate", params=QUICK)).content == calm
    assert seen["/v1/models/emoji_diffusion_model:predict"] == QUICK["steps"] + 1
    assert sum(path.endswith("/metadata") for _, path, _ in fake.calls) == 3


@pytest.mark.parametrize("number", [400, 412, 500])
async def test_other_refusals_are_told_at_once(connect: Connect, fake: FakeModelServer, number: int) -> None:
    async with connect() as client:
        seen = failing_once_each(fake, lambda: (number, b"{}"))
        answer = await client.get("/generate", params={**QUICK, "negative_caption": QUICK["caption"]})
    assert answer.status_code == 502
    assert max(seen.values()) == 1


async def test_a_model_with_bad_weights_does_not_take_until_the_deadline(
    connect: Connect, fake: FakeModelServer
) -> None:
    async with connect() as client:
        fake.tamper = lambda name, raw: raw[:-4] + b"\0\0\xc0\x7f" if name == "emoji_diffusion_model" else raw
        answer = await client.get("/generate", params=QUICK)
    assert answer.status_code == 502
    assert answer.json()["error"]["message"] == (
        "model emoji_diffusion_model: denoise answered with values that are not finite"
    )
    assert sum(path.endswith("diffusion_model:predict") for _, path, _ in fake.calls) == 5


async def test_a_call_that_took_too_long_is_made_again_with_fewer_steps(
    connect: Connect, fake: FakeModelServer
) -> None:
    """A server that came back slower would otherwise never finish one."""
    async with connect() as client:
        asked = {"caption": "red heart", "steps": 12, "seed": 1}
        latest = now() + DEADLINE_SECONDS
        while steps_of_calls(fake) != [12]:  # on a busy machine, not every call is as fast as it could be
            assert now() < latest
            fake.calls.clear()
            calm = (await client.get("/generate", params=asked)).content
        fake.calls.clear()
        failing_once_each(fake, lambda: (504, b"{}"))
        assert (await client.get("/generate", params=asked)).content == calm
    steps = steps_of_calls(fake)
    assert steps[:2] == [12, 1]
    assert sum(steps[1:]) == 12


def steps_of_calls(fake: FakeModelServer) -> list[int]:
    denoised = [body["inputs"] for _, path, body in fake.calls if path.endswith("diffusion_model:predict")]
    return [sum(any(row) for row in inputs["coefficients"][0]) for inputs in denoised]
