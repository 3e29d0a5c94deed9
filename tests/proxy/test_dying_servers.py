"""Model servers that are processes, and are killed or halted while pictures are drawn."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from local.stack import free_port
from tests.proxy.event_stream import until, wait_until, watching
from tests.proxy.fake_model_server import FakeModelServer, running
from tests.proxy.proxy_process import ROOT, running_proxy, wait_until_healthy

CALL_SECONDS = 4
SERVE = """
import sys, time
from tests.proxy.event_stream import until, wait_until, watching
from tests.proxy.fake_model_server import FakeModelServer, serve
fake = FakeModelServer()
fake.override = lambda _, path: time.sleep(0.05) if path.endswith("diffusion_model:predict") else None
serve(fake, int(sys.argv[1])).serve_forever()
"""
ASKED = {"caption": "red heart", "steps": 20, "steps_per_call": 1, "seed": 3}


@contextlib.contextmanager
def model_server(port: int = 0) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen([sys.executable, "-c", SERVE, str(port)], cwd=ROOT, text=True) as process:
        try:
            wait_until_healthy(url, process, "/v1/models/emoji_decoder")
            yield url, process
        finally:
            process.kill()


def draw(url: str, **parameters: object) -> tuple[float, httpx.Response]:
    """The seconds that it took, and the answer."""
    start = time.monotonic()
    answer = httpx.get(f"{url}/generate", params={**ASKED, **parameters})
    return time.monotonic() - start, answer


@pytest.fixture(scope="module")
def calm() -> bytes:
    """The picture that no fault would have given."""
    with running(FakeModelServer()) as server, running_proxy(server.url) as (url, _, _):
        return draw(url)[1].content


def test_a_halted_server_costs_those_under_way_one_time_out_and_those_that_come_later_nothing(calm: bytes) -> None:
    """SIGSTOP: connections are still made, and nothing is answered. After SIGCONT it has its share again."""
    with (
        model_server() as (first, process),
        model_server() as (second, _),
        running_proxy(f"{first},{second}", call_timeout_seconds=CALL_SECONDS) as (url, _, log),
        ThreadPoolExecutor(4) as pool,
    ):
        under_way = [pool.submit(draw, url) for _ in range(3)]
        with watching(url, **ASKED) as events:
            while until(events, "progress").data["step"] < 3:
                pass
            process.send_signal(signal.SIGSTOP)
            until(events, "result")
        assert [each.result()[1].content for each in under_way] == [calm] * 3
        wait_until(lambda: late(log))
        waited = late(log)
        for _ in range(3):
            assert draw(url)[1].content == calm
        assert late(log) == waited <= 4
        process.send_signal(signal.SIGCONT)
        time.sleep(3)
        assert draw(url)[1].content == calm


def late(log: list[str]) -> int:
    """How many calls were waited for in vain."""
    return sum("TimeoutError" in line for line in list(log))


def test_a_single_server_that_is_killed_and_comes_back_is_only_waited_for(calm: bytes) -> None:
    port = free_port()
    with model_server(port) as (first, process), running_proxy(first) as (url, _, log), ThreadPoolExecutor(2) as pool:
        under_way = [pool.submit(draw, url) for _ in range(2)]
        with watching(url, **ASKED) as events:
            while until(events, "progress").data["step"] < 3:
                pass
            process.kill()
            process.wait()
        time.sleep(1)
        assert not any(each.done() for each in under_way)
        with model_server(port):
            assert [each.result()[1].content for each in under_way] == [calm, calm]
    assert any("asked again" in line for line in log)


def test_who_comes_while_the_only_server_is_started_again_is_only_waiting(calm: bytes) -> None:
    port = free_port()
    with running_proxy(f"http://127.0.0.1:{port}") as (url, _, _), ThreadPoolExecutor(2) as pool:
        early = [pool.submit(draw, url) for _ in range(2)]
        time.sleep(0.5)
        assert not any(each.done() for each in early)
        with running(FakeModelServer(), port):  # which is there at once
            assert [each.result()[1].content for each in early] == [calm, calm]


def test_who_cannot_wait_is_told_how_far_it_got() -> None:
    with model_server() as (first, process), running_proxy(first) as (url, _, _), ThreadPoolExecutor(1) as pool:
        draw(url, steps=1)
        with watching(url, **ASKED, deadline_seconds=5) as events:
            under_way = pool.submit(draw, url, deadline_seconds=5)
            while until(events, "progress").data["step"] < 3:
                pass
            process.kill()
        seconds, answer = under_way.result()
    assert answer.status_code == 504
    assert seconds >= 5
    reached = answer.json()["error"]["details"][0]["reached"]
    assert reached.startswith("after ")
    assert reached.endswith(" of 20 steps")
