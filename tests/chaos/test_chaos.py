"""Nobody loses a picture, whatever dies: the short version of `make chaos`."""

import asyncio
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from proxy.pictures import Format, encode
from tests.chaos.__main__ import enough, run
from tests.chaos.faults import KILL
from tests.chaos.report import LEAST_RIGHT, Report
from tests.chaos.stack import Proxy
from tests.chaos.users import Outcome, User, essence

SECONDS = 20


@pytest.mark.timeout(3600)
def test_every_accepted_request_ends_with_the_right_bytes_or_at_its_deadline(models: Path) -> None:
    report = asyncio.run(run(models, SECONDS, users=8, seed=1))
    print(report)
    assert report.is_good, report
    assert min(report.faults.values()) > 0, report
    assert "asked again" in report.log


def report(user: User, **changed: Any) -> Report:
    """Of a run of one user in which nothing happened, but for what is changed."""
    calm: dict[str, Any] = {"seed": 0, "asked_seconds": 1, "seconds": 1, "faults": {}, "statuses": [0], "log": ""}
    return Report(users=[user], **{**calm, **changed})


@pytest.fixture
def user(tmp_path: Path) -> User:
    """One who got as many pictures as there must be."""
    drawn = User(Proxy([], tmp_path / "log", {}), 0, 0, {})
    drawn.outcomes[Outcome.RIGHT] = LEAST_RIGHT
    return drawn


def test_one_that_lost_something_is_no_good_run(user: User) -> None:
    assert report(user).is_good
    assert not report(user, statuses=[0, -15]).is_good
    assert not report(user, log="Traceback (most recent call last)").is_good
    for outcome in (Outcome.WRONG, Outcome.OTHER):
        user.outcomes[outcome] = 1
        assert not report(user).is_good
        assert f"| {outcome} | 1 |" in str(report(user))
        user.outcomes[outcome] = 0


async def test_a_run_in_which_too_little_is_right_ends_and_is_no_good_one(user: User) -> None:
    async with asyncio.timeout(60):
        await enough([user], time.monotonic() + 3600)
        user.outcomes[Outcome.RIGHT] -= 1
        await enough([user], time.monotonic() + 0.1)
    assert not report(user).is_good
    assert f"fewer than {LEAST_RIGHT} right pictures" in str(report(user))


def test_a_long_run_needs_twenty_kills(user: User) -> None:
    assert not report(user, asked_seconds=300, faults={KILL: 19}).is_good
    assert report(user, asked_seconds=300, faults={KILL: 20}).is_good
    assert report(user, asked_seconds=299, faults={KILL: 1}).is_good


def test_few_may_be_refused_and_none_that_the_proxy_knows(user: User) -> None:
    user.outcomes[Outcome.RIGHT], user.outcomes[Outcome.AWAY] = 90, 10
    assert report(user, asked_seconds=300, faults={KILL: 20}).is_good
    user.outcomes[Outcome.REFUSED] = 1
    assert not report(user, asked_seconds=300, faults={KILL: 20}).is_good
    assert report(user).is_good, "a short one, in which a restart counts for more"
    user.outcomes[Outcome.AWAY] = 90
    assert not report(user).is_good
    user.outcomes[Outcome.AWAY] = 0
    user.refused.append("user-0-7.")
    assert report(user, log="[user-0-77.]").is_good
    assert not report(user, log="[user-0-7.]").is_good


@pytest.mark.parametrize("said", ["; asked again in 0.10 s, for the 1. time", "; the picture begins again, by a 2"])
def test_a_503_in_the_middle_of_a_picture_is_no_refusal(user: User, said: str) -> None:
    """Though it is of the same kind as one at arrival: the log knows that it was begun."""
    user.away.append("user-0-7.")
    log = f"WARNING proxy: model a: it is not there{said} [user-0-%s.]\nINFO proxy: GET /generate 503 [user-0-7.]"
    assert report(user, log=log % 77).is_good
    assert not report(user, log=log % 7).is_good


def test_only_a_proxy_that_is_away_refuses(tmp_path: Path) -> None:
    proxy = Proxy([], tmp_path / "log", {})
    assert not proxy.was_away(50)
    proxy.ended_at.append(100)
    assert [proxy.was_away(moment) for moment in (90, 100, 1000)] == [False, True, True]
    proxy.gone_at.append(102)
    proxy.back_at.append(110)
    assert [proxy.was_away(moment) for moment in (90, 105, 120)] == [False, True, False]
    assert [proxy.was_closing(moment) for moment in (90, 100, 105)] == [False, True, False]


def file(pixels: Any, version: int = 1, caption: str = "a") -> bytes:
    return encode(pixels, Format.PNG, {"caption": caption, "models": f"emoji_diffusion_model {version}"})


def test_one_pixel_one_parameter_or_a_version_of_the_other_kind_is_another_picture() -> None:
    pixels = np.zeros((2, 2, 3), np.uint8)
    right = essence(file(pixels))
    assert essence(file(pixels, version=3)) == right
    assert essence(file(pixels, version=2)) != right
    assert essence(file(pixels, caption="b")) != right
    pixels[0, 0, 0] = 1
    assert essence(file(pixels)) != right
