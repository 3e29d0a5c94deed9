"""Over a real proxy process: who is drawn, who waits, and who is refused."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from tests.proxy.event_stream import Gate, until, watching
from tests.proxy.fake_model_server import PIXELS, FakeModelServer, running
from tests.proxy.proxy_process import running_proxy

REFUSED_WITHIN_SECONDS = 0.05


@pytest.fixture(scope="module")
def narrow() -> Iterator[tuple[str, FakeModelServer]]:
    """A proxy that draws one request at a time while two wait, and its model server."""
    fake = FakeModelServer()
    with running(fake) as server:
        settings = {"concurrent_requests": 1, "queue_length": 2, "pixel_steps_per_request": PIXELS**2 * 20}
        with running_proxy(server.url, **settings) as (address, _, _log):
            yield address, fake


@pytest.mark.parametrize(
    ("method", "path", "parameters"),
    [
        ("GET", "/generate", {"caption": "x"}),
        ("POST", "/generate", {"caption": "x"}),
        ("GET", "/generate/events", {"caption": "x"}),
        ("GET", "/image", {"prompt": "x"}),
        ("POST", "/v1/images/generations", {"prompt": "x"}),
        ("POST", "/v1/images/generations", {"prompt": "x", "stream": True}),
        ("POST", "/sdapi/v1/txt2img", {"prompt": "x"}),
    ],
)
def test_a_full_line_refuses_at_once(
    narrow: tuple[str, FakeModelServer], method: str, path: str, parameters: dict[str, object]
) -> None:
    """On every way in: 503 with Retry-After, at most 50 ms later than health, while all who wait are drawn later."""
    url, fake = narrow
    gate = Gate(fake)
    with ExitStack() as stack, httpx.Client(base_url=url) as client:
        health = min(seconds(client, "GET", "/healthz")[0] for _ in range(10))
        accepted = [stack.enter_context(watching(url, steps=1)) for _ in range(3)]
        until(accepted[0], "progress")
        positions = [next(events).data["position"] for events in accepted[1:]]
        taken = []
        for _ in range(10):
            took, answer = seconds(client, method, path, **{"params" if method == "GET" else "json": parameters})
            taken.append(took)
            assert answer.status_code == 503
            assert "2 requests wait already" in answer.text
            assert 1 <= int(answer.headers["Retry-After"]) <= 60
        gate.let()
        for events in accepted:
            assert until(events, "result").data["pictures"]
    assert positions == [1, 2]
    # The fastest of each: the others had to wait for the machine.
    assert min(taken) - health < REFUSED_WITHIN_SECONDS


def seconds(client: httpx.Client, method: str, path: str, **carried: Any) -> tuple[float, httpx.Response]:
    """What a request takes, and its answer."""
    start = time.perf_counter()
    answer = client.request(method, path, **carried)
    return time.perf_counter() - start, answer


def test_a_request_beyond_all_measure_is_refused(narrow: tuple[str, FakeModelServer]) -> None:
    """The error says how much is allowed at that size."""
    url, fake = narrow
    fake.override = lambda _, __: None
    assert httpx.get(f"{url}/generate", params={"caption": "x", "steps": 10, "n": 2}).is_success
    answer = httpx.get(f"{url}/generate", params={"caption": "x", "steps": 7, "n": 3})
    assert answer.status_code == 422
    problems = answer.json()["error"]["details"]
    assert [(problem["parameter"], problem["received"]) for problem in problems] == [("steps", 7), ("n", 3)]
    assert "at most 20 at" in problems[0]["allowed"]
