"""Work ends, over a real proxy process, when it is cancelled and when nobody waits for it any more."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.proxy.event_stream import PATIENCE_SECONDS, Gate, at_work, calls, slow, until, wait_until, watch, watching
from tests.proxy.fake_model_server import FakeModelServer
from tests.proxy.raw import asking

LEFT_SECONDS = 5.0


def test_cancelling_ends_the_work_within_a_call(url: str, served: FakeModelServer) -> None:
    """Not even the preview that was due is decoded; who watches is told, and cancelling again changes nothing."""
    gate = Gate(served)
    with watching(url, steps=9, steps_per_call=1, preview_steps=1) as events:
        job = until(events, "progress").data["job"]
        wait_until(lambda: calls(served, "diffusion_model"))
        assert httpx.get(f"{url}/generate/cancel", params={"job": job}).json() == {"job": job}
        gate.let()
        error = until(events, "error")
        assert list(events) == []
    assert error.data["error"]["type"] == "abandoned"
    assert calls(served, "diffusion_model") == 1
    assert calls(served, "decoder") == 0
    assert httpx.get(f"{url}/generate/cancel", params={"job": job}).status_code == 200


def test_cancelling_while_a_preview_is_decoded_begins_no_step(url: str, served: FakeModelServer) -> None:
    begun, is_known = [], threading.Event()

    def cancelled_by_decoding(_method: str, path: str) -> None:
        if path.endswith("decoder:predict"):
            assert is_known.wait(PATIENCE_SECONDS)
            begun.append(calls(served, "diffusion_model"))
            httpx.get(f"{url}/generate/cancel", params={"job": job})

    served.override = cancelled_by_decoding
    with watching(url, steps=9, steps_per_call=1, preview_steps=1) as events:
        job = next(events).data["job"]
        is_known.set()
        assert until(events, "error").data["error"]["type"] == "abandoned"
    assert [calls(served, "diffusion_model")] == begun


def test_cancelling_leaves_the_line(url: str, served: FakeModelServer) -> None:
    gate = Gate(served)
    with watching(url, steps=1) as first, watching(url, steps=1) as second:
        until(first, "progress")
        httpx.get(f"{url}/generate/cancel", params={"job": next(second).data["job"]})
        assert until(second, "error").data["error"]["type"] == "abandoned"
        gate.let()
        until(first, "result")
    assert calls(served, "diffusion_model") == 1


@pytest.mark.parametrize("job", ["forgotten", ""])
def test_a_job_that_there_is_not_cannot_be_cancelled(url: str, job: str) -> None:
    answer = httpx.get(f"{url}/generate/cancel", params={"job": job})
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "unknown_job"
    assert repr(job) in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("query", "said"), [("", "job: received nothing, allowed is a job"), ("job=a&job=b", "job: received ['a', 'b']")]
)
def test_what_names_no_one_job_is_refused(url: str, query: str, said: str) -> None:
    answer = httpx.get(f"{url}/generate/cancel?{query}")
    assert answer.status_code == 422
    assert said in answer.json()["error"]["message"]


def test_the_work_ends_when_nobody_has_watched_for_a_while(url: str, served: FakeModelServer) -> None:
    """It goes on for the seconds in which a browser would come back, and then ends; the next request is drawn."""
    slow(served, 0.25)
    with watching(url, steps=150, steps_per_call=1) as events:
        left = until(events, "progress")
        start = time.monotonic()
    httpx.get(f"{url}/generate", params={"caption": "blue car", "steps": 1}).raise_for_status()
    assert LEFT_SECONDS < time.monotonic() - start < 4 * LEFT_SECONDS, "all 150 steps take longer"
    assert watch(url, left.id)[-1].data["error"]["type"] == "abandoned"


def test_who_leaves_the_line_makes_room(url: str, served: FakeModelServer) -> None:
    """Seconds after the second has hung up, the third is next, and nothing is drawn for the second."""
    gate = Gate(served)
    with watching(url, steps=1, seed=0) as first:
        until(first, "progress")
        with watching(url, steps=1, seed=1) as second:
            assert next(second).data["position"] == 1
            third = watching(url, steps=1, seed=2)
            events = third.__enter__()
            assert next(events).data["position"] == 2
        assert next(events).data["position"] == 1
        gate.let()
        until(first, "result")
        until(events, "result")
        third.__exit__(None, None, None)
    assert calls(served, "diffusion_model") == 2


def progress(url: str) -> dict[str, Any]:
    """How the work of this address is, as AUTOMATIC1111's programs ask for it."""
    answer: dict[str, Any] = httpx.get(f"{url}/sdapi/v1/progress").json()
    return answer


def test_work_that_was_interrupted_says_so_until_it_ends(url: str, served: FakeModelServer) -> None:
    gate = Gate(served)
    with ThreadPoolExecutor(1) as pool:
        drawing = pool.submit(httpx.post, f"{url}/sdapi/v1/txt2img", json={"prompt": "a", "steps": 150})
        wait_until(lambda: calls(served, "diffusion_model"))
        assert not progress(url)["state"]["interrupted"]
        httpx.post(f"{url}/sdapi/v1/interrupt")
        assert progress(url)["state"]["interrupted"]
        gate.let()
        assert drawing.result().status_code == 499
    assert calls(served, "diffusion_model") == 1
    assert not progress(url)["state"]["interrupted"]


@pytest.mark.parametrize(
    ("method", "path", "asked"),
    [
        ("GET", "/generate", {"params": {"caption": "a"}}),
        ("POST", "/generate", {"json": {"caption": "a"}}),
        ("GET", "/image", {"params": {"prompt": "a"}}),
        ("POST", "/v1/images/generations", {"json": {"prompt": "a"}}),
        ("POST", "/v1/images/generations", {"json": {"prompt": "a", "stream": True}}),
        ("POST", "/sdapi/v1/txt2img", {"json": {"prompt": "a"}}),
    ],
)
def test_a_request_that_hangs_up_leaves_the_line_at_once(
    url: str, served: FakeModelServer, method: str, path: str, asked: dict[str, Any]
) -> None:
    """One that waited for its picture on its own connection cannot come back: nobody waits for it any longer."""
    gate = Gate(served)
    with watching(url, steps=1) as first, asking(url, method, path, **asked) as impatient:
        until(first, "progress")
        wait_until(lambda: at_work(url) == (1, 1))
        with watching(url, steps=1) as last:
            assert next(last).data["position"] == 2
            impatient.close()
            left = time.monotonic()
            assert next(last).data["position"] == 1
            assert time.monotonic() - left < LEFT_SECONDS
            gate.let()
            until(last, "result")
    assert calls(served, "diffusion_model") == 2


def test_automatic1111s_client_that_hangs_up_in_line_is_gone_at_once(url: str, served: FakeModelServer) -> None:
    """Until then, others of its address see that it is in line."""
    gate = Gate(served)
    with watching(url, steps=1) as first:
        until(first, "progress")
        with asking(url, "POST", "/sdapi/v1/txt2img", json={"prompt": "a"}):
            wait_until(lambda: progress(url)["textinfo"] == "In line: 1")
        left = time.monotonic()
        wait_until(lambda: not progress(url)["state"]["job_count"])
        assert time.monotonic() - left < LEFT_SECONDS
        gate.let()
        until(first, "result")
    assert calls(served, "diffusion_model") == 1


def away(served: FakeModelServer) -> None:
    """No denoising call is answered."""
    served.override = lambda _, path: (503, b"{}") if path.endswith("diffusion_model:predict") else None


def no_more_calls(served: FakeModelServer) -> None:
    """At most the one that was about to be made."""
    made = calls(served, "diffusion_model")
    time.sleep(3)  # longer than the longest pause between two
    assert calls(served, "diffusion_model") <= made + 1


def test_who_hangs_up_while_a_call_is_made_again_and_again_ends_that(url: str, served: FakeModelServer) -> None:
    away(served)
    with asking(url, "GET", "/generate", params={"caption": "a"}):
        wait_until(lambda: calls(served, "diffusion_model") > 1)
    no_more_calls(served)
    served.override = lambda _method, _path: None
    httpx.get(f"{url}/generate", params={"caption": "a"}).raise_for_status()


def test_cancelling_a_job_whose_call_is_made_again_and_again_ends_it(url: str, served: FakeModelServer) -> None:
    away(served)
    with watching(url) as events:
        job = until(events, "progress").data["job"]
        wait_until(lambda: calls(served, "diffusion_model") > 1)
        httpx.get(f"{url}/generate/cancel", params={"job": job})
        assert until(events, "error").data["error"]["type"] == "abandoned"
    no_more_calls(served)
