"""Who still waits when a real proxy process stops is told so, in the words of the API that was asked."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import psutil
import pytest
from starlette.types import Message, Receive, Scope, Send

from proxy.api.stop import LastWord
from tests.proxy.event_stream import Gate, calls, until, watching
from tests.proxy.fake_model_server import FakeModelServer, running
from tests.proxy.proxy_process import running_proxy

STOPPED = "the proxy was stopped before the picture was done"


async def test_a_picture_that_is_cut_off_is_not_ended_as_if_it_was_whole() -> None:
    """What has begun and is no stream of events can only break off, which the server has to know."""
    sent = []

    async def cut_off(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"image/png")]})
        raise asyncio.CancelledError

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message["type"])

    with pytest.raises(asyncio.CancelledError):
        await LastWord(cut_off)({"type": "http", "path": "/generate"}, receive, send)
    assert sent == ["http.response.start"]


@pytest.fixture
def fake() -> FakeModelServer:
    return FakeModelServer()


@pytest.fixture
def stopping(fake: FakeModelServer) -> Iterator[tuple[str, psutil.Process]]:
    """A proxy whose model server hangs; afterwards it has stopped, and its log is clean."""
    gate = Gate(fake)
    with running(fake) as server:
        with running_proxy(server.url, shutdown_seconds=3) as (url, pid, log):
            yield url, psutil.Process(pid)
            gate.let()
        assert any("Application shutdown complete" in line for line in log)
        assert not any("Traceback" in line or "ASGI" in line or "destroyed" in line for line in log)


def test_events_end_with_an_error(stopping: tuple[str, psutil.Process]) -> None:
    """And the stream is complete: nothing is left for a client to come back to."""
    url, process = stopping
    with watching(url) as events, watching(url) as others:
        until(events, "progress")
        until(others, "progress")
        process.terminate()
        assert [until(each, "error").data["error"]["message"] for each in (events, others)] == [STOPPED] * 2
        assert [*events, *others] == []


def test_who_waits_for_the_picture_itself_gets_503(stopping: tuple[str, psutil.Process], fake: FakeModelServer) -> None:
    """In each API's shape."""
    url, process = stopping
    with ThreadPoolExecutor(2) as pool:
        easel = pool.submit(httpx.get, f"{url}/generate", params={"caption": "a"}, timeout=60)
        other = pool.submit(httpx.post, f"{url}/v1/images/generations", json={"prompt": "a"}, timeout=60)
        while calls(fake, "diffusion_model") < 2:
            time.sleep(0.01)
        process.terminate()
        answers = easel.result(), other.result()
    assert [answer.status_code for answer in answers] == [503, 503]
    assert answers[0].json() == {"error": {"type": "stopping", "message": STOPPED, "details": []}}
    assert answers[1].json()["error"]["message"] == STOPPED


def test_an_openai_stream_ends_with_an_error(stopping: tuple[str, psutil.Process], fake: FakeModelServer) -> None:
    url, process = stopping
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        stream = client.images.generate(prompt="a", stream=True)
        process.terminate()
        with pytest.raises(openai.APIError, match=STOPPED):
            list(stream)
