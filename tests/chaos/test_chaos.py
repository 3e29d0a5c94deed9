"""Nobody loses a picture, whatever dies: the short version of `make chaos`."""

import asyncio
from pathlib import Path

import numpy as np

from proxy.pictures import Format, encode
from tests.chaos.__main__ import run
from tests.chaos.report import Report
from tests.chaos.users import Outcome, User, essence

SECONDS = 20


def test_every_accepted_request_ends_with_the_right_bytes_or_at_its_deadline(models: Path) -> None:
    report = asyncio.run(run(models, SECONDS, users=8, seed=1))
    print(report)
    assert report.is_good, report
    assert min(report.faults.values()) > 0, report
    assert report.outcomes[Outcome.RIGHT] > 20, report
    assert "asked again" in report.log


def test_one_that_lost_something_is_no_good_run() -> None:
    user = User("http://e", 0, 0, {})
    user.outcomes[Outcome.RIGHT] = 5
    assert Report(0, 1, {}, [user], [0], "").is_good
    assert not Report(0, 1, {}, [user], [0, -15], "").is_good
    assert not Report(0, 1, {}, [user], [0], "Traceback (most recent call last)").is_good
    for outcome in (Outcome.WRONG, Outcome.OTHER):
        user.outcomes[outcome] = 1
        report = Report(0, 1, {"kill -9": 3}, [user], [0], "")
        assert not report.is_good
        assert f"| {outcome} | 1 |" in str(report)
        user.outcomes[outcome] = 0


def test_one_pixel_or_one_parameter_is_another_picture() -> None:
    """The versions of the models are not."""
    pixels = np.zeros((2, 2, 3), np.uint8)
    right = essence(encode(pixels, Format.PNG, {"caption": "a", "models": "m 1"}))
    assert essence(encode(pixels, Format.PNG, {"caption": "a", "models": "m 2"})) == right
    assert essence(encode(pixels, Format.PNG, {"caption": "b", "models": "m 1"})) != right
    pixels[0, 0, 0] = 1
    changed = encode(pixels, Format.PNG, {"caption": "a", "models": "m 1"})
    assert essence(changed) != right
