"""Whose work is whose, and what was last seen of it."""

import weakref

import numpy as np
import pytest

from proxy.api.automatic1111_answers import progress
from proxy.errors import AbandonedError
from proxy.jobs import Job, Progressed, Queued
from proxy.works import Caller, Work, Works

PREVIEW = np.zeros((1, 8, 8, 3), np.uint8)


def job() -> Job:
    return Job("name", "a", preview_steps=0, most_previews=None, left_seconds=5)


def test_a_preview_is_kept_until_the_next_one() -> None:
    work = Work(job())
    work.saw(Progressed(1, 9, 4.0, PREVIEW))
    work.saw(Progressed(2, 9, 3.5, None))
    kept = work.preview
    assert kept is not None
    assert kept.pictures is PREVIEW
    assert work.state == Progressed(2, 9, 3.5, None)
    work.saw(Queued(1))
    assert work.preview is kept


def test_a_preview_is_encoded_once() -> None:
    """However often a caller asks how far its work is; the next one is another file."""
    work = Work(job())
    work.saw(Progressed(1, 9, 4.0, PREVIEW))
    first = progress([work], show=True).current_image
    work.saw(Progressed(2, 9, 3.5, None))
    assert progress([work], show=True).current_image is first
    assert first is not None
    work.saw(Progressed(3, 9, 3.0, PREVIEW + 1))
    second = progress([work], show=True).current_image
    assert second is not None
    assert second != first


def test_a_caller_has_its_work_only_and_the_oldest_first() -> None:
    works, mine, yours = Works(), Caller("a", None, None), Caller("a", None, "task")
    with works.under_way(mine, job()) as first, works.under_way(mine, job()) as second:
        assert works.of(mine) == [first, second]
        assert works.of(yours) == []
    assert works.of(mine) == []


async def test_work_ends_with_the_waiting_for_it() -> None:
    begun = job()
    with Works().under_way(Caller("a", None, None), begun):
        await begun.queued(1, None)
    with pytest.raises(AbandonedError):
        await begun.queued(2, None)


def test_nothing_is_kept_of_a_caller_who_has_gone() -> None:
    works, caller = Works(), Caller("a", None, None)
    gone = weakref.ref(caller)
    with works.under_way(caller, job()):
        pass
    del caller
    assert gone() is None
