"""Jobs outside of HTTP: their end, and the end of the proxy."""

import asyncio
import gc
import logging
from contextlib import aclosing
from dataclasses import replace

import httpx
import pytest

from proxy.app import create_app
from proxy.errors import AbandonedError, EaselError, InvalidParametersError
from proxy.jobs import Failed, Finished, Job, Jobs, Progressed, Queued
from proxy.pictures import Format
from proxy.service import Order, Result, Service
from proxy.settings import Settings
from tests.proxy.fake_model_server import PIXELS, FakeModelServer

ORDER = Order("red heart", "", 3, 7.5, 1, "euler", 1, None, None, Format.PNG, None, 1)


async def test_no_task_outlives_the_proxy(fake: FakeModelServer) -> None:
    """One job is inside of a call, another waits in line."""
    called = asyncio.Event()

    async def hang(path: str) -> None:
        if path.endswith("diffusion_model:predict"):
            called.set()
            await asyncio.Event().wait()

    app = create_app(Settings(concurrent_requests=1), fake.transport(hang))
    async with app.router.lifespan_context(app):
        app.state.jobs.start(ORDER, "a")
        await called.wait()
        waiting = app.state.jobs.start(ORDER, "a")
        await anext(waiting.states())
        assert len(asyncio.all_tasks()) > 1
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_job_is_forgotten_a_while_after_its_end(fake: FakeModelServer) -> None:
    """Not before, and whoever watches it still gets its end."""
    app = create_app(Settings(), fake.transport())
    async with app.router.lifespan_context(app):
        jobs = Jobs(app.state.service, kept_seconds=0.2)
        job = jobs.start(ORDER, "a")
        states = [state async for _, state in job.states()]
        assert isinstance(states[0], Progressed)
        assert isinstance(states[-1], Finished)
        assert jobs.find(job.id) is job
        await asyncio.sleep(0.3)
        assert jobs.find(job.id) is None
        assert [state async for _, state in job.states()] == states[-1:]


async def test_pictures_are_kept_no_longer_than_there_is_memory(fake: FakeModelServer) -> None:
    """The oldest are forgotten first; what was asked for last is there."""
    app = create_app(Settings(), fake.transport())
    async with app.router.lifespan_context(app):
        jobs = Jobs(app.state.service, kept_bytes=2 * PIXELS * PIXELS * 3)
        ended = []
        for _ in range(3):
            ended.append(jobs.start(ORDER, "a"))
            assert isinstance([state async for _, state in ended[-1].states()][-1], Finished)
            await asyncio.sleep(0)
        assert [jobs.find(job.id) for job in ended] == [None, *ended[1:]]


async def test_a_job_that_is_refused_at_once_is_not_kept(fake: FakeModelServer) -> None:
    """Nobody was told its id; one that fails later can be asked for."""
    app = create_app(Settings(), fake.transport())
    async with app.router.lifespan_context(app):
        jobs: Jobs = app.state.jobs
        refused = jobs.start(replace(ORDER, family="unknown"), "a")
        with pytest.raises(InvalidParametersError):
            await refused.begun()
        await asyncio.sleep(0)
        assert jobs.find(refused.id) is None
        cancelled = jobs.start(ORDER, "a")
        await cancelled.begun()
        cancelled.cancel()
        assert isinstance([state async for _, state in cancelled.states()][-1], Failed)
        await asyncio.sleep(0)
        assert jobs.find(cancelled.id) is cancelled


async def test_the_memory_of_one_that_was_forgotten_is_free(fake: FakeModelServer) -> None:
    """What was kept before does not count for what is kept later."""
    app = create_app(Settings(), fake.transport())
    async with app.router.lifespan_context(app):
        jobs = Jobs(app.state.service, kept_seconds=0.2, kept_bytes=PIXELS * PIXELS * 3)
        for _ in range(2):
            job = jobs.start(ORDER, "a")
            assert isinstance([state async for _, state in job.states()][-1], Finished)
            await asyncio.sleep(0)
            assert jobs.find(job.id) is job
            await asyncio.sleep(0.3)


async def test_every_step_is_told_once(fake: FakeModelServer) -> None:
    """Also the steps between two networks, and between two rounds of pictures: 0 to 6, and the end."""
    app = create_app(Settings(rows_per_call=1), fake.transport())
    async with app.router.lifespan_context(app):
        job = Jobs(app.state.service).start(replace(ORDER, n=2), "a")
        async for number, state in job.states():
            if isinstance(state, Progressed):
                assert number == state.step + 1
    assert job.number == 8


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/images/generations", {"prompt": "a", "stream": True}), ("/sdapi/v1/txt2img", {"prompt": "a"})],
)
async def test_pictures_that_nobody_can_ask_for_again_are_not_kept(
    fake: FakeModelServer, path: str, body: dict[str, object]
) -> None:
    """Of jobs whose name nobody was told, none is in memory when their request is answered."""
    app = create_app(Settings(), fake.transport())
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://e") as client,
    ):
        assert (await client.post(path, json=body)).status_code == 200
        await asyncio.sleep(0.1)
        gc.collect()
        assert not [thing for thing in gc.get_objects() if isinstance(thing, Job) and thing.is_over]


async def test_a_job_that_nobody_ever_watches_ends(fake: FakeModelServer) -> None:
    """As when the client has hung up before the first event."""
    app = create_app(Settings(), fake.transport())
    async with app.router.lifespan_context(app):
        job = Jobs(app.state.service, left_seconds=0).start(ORDER, "a")
        while not job.is_over:  # noqa: ASYNC110 - nobody watches
            await asyncio.sleep(0.05)
        assert isinstance(job.state, Failed)
    assert not [path for _, path, _ in fake.calls if path.endswith(":predict")]


async def test_a_job_asks_for_the_same_again_only_while_somebody_waits_for_it() -> None:
    """Not when it was cancelled, nor when nobody watches."""
    job = Job("id", "a", 0, None, left_seconds=0)
    job.enter(Queued(1))
    with pytest.raises(AbandonedError, match="left"):
        await job.stayed()
    async with aclosing(job.states()) as states:
        await anext(states)
        await job.stayed()
        job.cancel()
        with pytest.raises(AbandonedError, match="cancelled"):
            await job.stayed()


async def test_a_mistake_of_the_proxy_ends_the_job_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The watcher is not told what it was."""

    class Mistaken(Service):
        def __init__(self) -> None:
            """Without anything to draw with."""

        async def draw(self, order: Order, watcher: object) -> Result:
            raise ZeroDivisionError("secret")

    with caplog.at_level(logging.ERROR):
        job = Jobs(Mistaken()).start(ORDER, "a")
        ((_, state),) = [numbered async for numbered in job.states()]
    assert isinstance(state, Failed)
    assert type(state.error) is EaselError
    assert "secret" not in str(state.error)
    assert "ZeroDivisionError: secret" in caplog.text


async def test_previews_of_a_limited_number_are_kept_for_who_is_slow(fake: FakeModelServer) -> None:
    """Whoever looks only at the end finds each, and no more are decoded than that."""
    app = create_app(Settings(), fake.transport())
    async with app.router.lifespan_context(app):
        job = Jobs(app.state.service).start(replace(ORDER, steps=9), "a", preview_steps=2, most_previews=3)
        while not job.is_over:  # noqa: ASYNC110 - who watched would not be slow
            await asyncio.sleep(0.05)
    assert len({preview.tobytes() for preview in job.previews}) == 3
    assert {preview.shape for preview in job.previews} == {(PIXELS, PIXELS, 3)}
    assert sum(path.endswith("decoder:predict") for _, path, _ in fake.calls) == 4
