"""A request ends at its deadline, wherever it is, and says how far it got."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from proxy.app import create_app
from proxy.course import Course
from proxy.deadline import Deadline
from proxy.errors import DeadlineExceededError
from proxy.generation import Progress
from proxy.queue import Queue
from proxy.retries import LONGEST_PAUSE_SECONDS
from proxy.settings import Settings
from tests.proxy.conftest import Connect
from tests.proxy.event_stream import calls, slow, watch
from tests.proxy.fake_model_server import FakeModelServer
from tests.proxy.fleet import until
from tests.proxy.own_time import skip

LONG_SECONDS = 100  # longer than anything here takes, and shorter than the time of a call
ASKED = {"caption": "red heart", "steps": 20, "seed": 1, "steps_per_call": 2}


class Hanging:
    """A model server whose calls of a network, after the first `good` ones, do not end until they may go on."""

    def __init__(self, good: int = 10_000, network: str = "diffusion_model") -> None:
        self.fake, self.good, self.begun = FakeModelServer(), good, 0
        self.is_hanging, self.go_on = asyncio.Event(), asyncio.Event()
        self._network = network

    async def _hang(self, path: str) -> None:
        if path.endswith(f"{self._network}:predict"):
            self.begun += 1
            if self.begun > self.good:
                self.is_hanging.set()
                await self.go_on.wait()

    @contextlib.asynccontextmanager
    async def client(self, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
        app = create_app(Settings(**settings), self.fake.transport(self._hang))
        transport = httpx.ASGITransport(app)
        async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://e") as c:
            self.queue: Queue = app.state.service.queue
            yield c


@pytest.mark.skipped_time
async def test_a_call_ends_at_the_deadline() -> None:
    hanging = Hanging(good=6)
    async with hanging.client(request_seconds=LONG_SECONDS) as client:
        asked = asyncio.create_task(client.get("/generate", params=ASKED))
        await hanging.is_hanging.wait()
        skip(LONG_SECONDS)
        answer = await asked
    assert answer.status_code == 504
    assert answer.json()["error"] == {
        "type": "deadline_exceeded",
        "message": "the request was not done within its 100 s; it ended after 12 of 20 steps",
        "details": [{"seconds": 100, "reached": "after 12 of 20 steps"}],
    }
    assert hanging.begun == 7


@pytest.mark.skipped_time
async def test_the_time_in_line_counts() -> None:
    hanging = Hanging(good=0)
    async with hanging.client(concurrent_requests=1, request_seconds=2 * LONG_SECONDS) as client:
        first = asyncio.create_task(client.get("/generate", params=ASKED))
        await hanging.is_hanging.wait()
        second = asyncio.create_task(client.get("/generate", params={**ASKED, "deadline_seconds": LONG_SECONDS}))
        await until(lambda: hanging.queue.waiting)
        skip(LONG_SECONDS)
        assert (await second).status_code == 504
        assert "within its 100 s; it ended in line, at position 1" in (await second).json()["error"]["message"]
        assert not first.done()
        skip(LONG_SECONDS)
        assert (await first).status_code == 504
        hanging.good = 1000
        assert (await client.get("/generate", params=ASKED)).status_code == 200, "its place in line is free"


@pytest.mark.skipped_time
async def test_calls_that_fail_are_made_again_until_the_deadline_and_never_after_it(
    connect: Connect, fake: FakeModelServer
) -> None:
    fake.override = lambda _, path: (503, b"{}") if path.endswith("decoder:predict") else None
    async with connect() as client:
        asked = asyncio.create_task(client.get("/generate", params={**ASKED, "deadline_seconds": LONG_SECONDS / 2}))
        await until(lambda: calls(fake, "decoder") >= 3)
        assert not asked.done()
        skip(LONG_SECONDS / 2)
        answer = await asked
        made = calls(fake, "decoder")
        for _ in range(20):
            skip(LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(0.01)
    assert answer.status_code == 504
    assert "after 20 of 20 steps" in answer.json()["error"]["message"]
    assert calls(fake, "decoder") == made


@pytest.mark.skipped_time
async def test_a_deadline_that_has_passed_is_noticed_before_a_call_is_sent() -> None:
    """Also where nothing had to be waited for."""
    deadline = Deadline.after(LONG_SECONDS)
    deadline.check("so far")
    skip(LONG_SECONDS)
    with pytest.raises(DeadlineExceededError, match=r"within its 100 s; it ended so far"):
        deadline.check("so far")


@pytest.mark.skipped_time
async def test_no_call_begins_after_the_deadline() -> None:
    """Neither the next one nor the same one again; the watcher is not even asked."""
    told: list[object] = []

    class Watcher:
        caller = "c"
        most_steps_per_call = None

        async def queued(self, position: int, _: float | None) -> None:
            told.append(position)

        async def progressed(self, progress: Progress) -> None:
            told.append(progress)

        async def stayed(self) -> None:
            told.append("stayed")

    deadline = Deadline.after(LONG_SECONDS)
    course = Course(Watcher(), deadline)
    await course.queued(1, None)
    await course.progressed(Progress(3, 20))
    await course.stayed()
    skip(LONG_SECONDS)
    for go_on in (course.queued(1, None), course.progressed(Progress(6, 20)), course.stayed()):
        with pytest.raises(DeadlineExceededError):
            await go_on
    assert told == [1, Progress(3, 20), "stayed"]


async def test_a_time_out_of_something_else_is_no_deadline() -> None:
    with pytest.raises(TimeoutError, match="other"):
        async with Deadline.after(10).kept(lambda: "so far"):
            raise TimeoutError("other")


async def test_more_than_the_settings_allow_is_cut_to_that() -> None:
    async with Hanging(good=0).client(request_seconds=0.3) as client:
        answer = await client.get("/generate", params={**ASKED, "deadline_seconds": 1000})
    assert "within its 0.3 s" in answer.json()["error"]["message"]


async def test_a_short_deadline_changes_nothing_in_the_picture_and_nothing_for_others() -> None:
    """Nor does it set a server aside that is well."""
    hanging = Hanging()
    async with hanging.client() as client:
        usual = await client.get("/generate", params=ASKED)
        assert (await client.get("/generate", params={**ASKED, "deadline_seconds": 60})).content == usual.content
        assert b"deadline" not in usual.content
        hanging.begun, hanging.good = 0, 0
        tasks = [client.get("/generate", params={**ASKED, "deadline_seconds": 0.1 * n}) for n in range(1, 6)]
        assert {answer.status_code for answer in await asyncio.gather(*tasks)} == {504}
        hanging.good = 1000
        assert (await client.get("/generate", params=ASKED)).content == usual.content


@pytest.mark.skipped_time
async def test_who_shares_a_call_does_not_share_its_deadline() -> None:
    """Both ask for the context of one caption; the first one's time is over, the other gets its picture."""
    hanging = Hanging(good=0, network="text_encoder")
    async with hanging.client(request_seconds=LONG_SECONDS) as client:
        first = asyncio.create_task(client.get("/generate", params={**ASKED, "deadline_seconds": LONG_SECONDS / 2}))
        second = asyncio.create_task(client.get("/generate", params=ASKED))
        await until(lambda: hanging.queue.running == 2 and hanging.begun == 2)
        await asyncio.sleep(0.1)
        skip(LONG_SECONDS / 2)
        assert (await first).status_code == 504
        hanging.go_on.set()
        assert (await second).status_code == 200
    assert calls(hanging.fake, "text_encoder") == 2, "one of each caption"


@pytest.mark.skipped_time
async def test_no_other_server_is_asked_after_the_deadline_of_all_who_wait() -> None:
    """Nor for what requests share: the context of a caption."""
    fake, asked, given_up = FakeModelServer(), list[str](), asyncio.Event()

    async def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith(":predict"):
            asked.append(request.url.host)
            try:
                await asyncio.Event().wait()
            finally:
                given_up.set()
        status, body = fake.answer(request.method, request.url.path, request.content)
        return httpx.Response(status, content=body)

    app = create_app(Settings(model_server_urls="http://a,http://b"), httpx.MockTransport(handle))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://e") as client:
        same = {**ASKED, "negative_caption": ASKED["caption"], "deadline_seconds": LONG_SECONDS / 2}
        both = [asyncio.create_task(client.get("/generate", params=same)) for _ in range(2)]
        await until(lambda: app.state.service.queue.running == 2 and asked)
        await asyncio.sleep(0.1)
        skip(LONG_SECONDS / 2)
        assert [(await answer).status_code for answer in both] == [504, 504]
        await given_up.wait()
        assert len(asked) == 1


def test_who_watches_is_told(url: str, served: FakeModelServer) -> None:
    slow(served, 0.3)
    last = watch(url, steps=50, steps_per_call=1, deadline_seconds=1)[-1]
    assert last.name == "error"
    assert last.data["error"]["type"] == "deadline_exceeded"
    made = calls(served, "diffusion_model")
    time.sleep(1)
    assert calls(served, "diffusion_model") <= made + 1, "one may have been on its way"
    assert made < 6
