"""A picture is watched while it is drawn, over a real proxy process."""

import io
import time
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.proxy.event_stream import Gate, calls, slow, until, wait_until, watch, watching
from tests.proxy.fake_model_server import PIXELS, FakeModelServer

REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"preview_steps": -1}, "preview_steps", "steps from one preview to the next, a whole number from 0"),
    ({"steps": 0}, "steps", "a whole number from 1 to 150"),
    ({"steps": [3, 4]}, "steps", "given once"),
    ({"colour": "red"}, "colour", "one of the parameters caption, "),
    ({"colour": "red"}, "colour", ", preview_steps"),
    ({"family": "sd-v9"}, "family", "one of emoji"),
    ({"width": 7}, "width", "a size of family emoji"),
]


def test_a_picture_is_watched_and_is_what_post_answers(url: str, served: FakeModelServer) -> None:
    """The steps with the time that is left, and the result, each numbered; then the stream ends."""
    asked = {"steps": 6, "seed": 7, "n": 2, "steps_per_call": 1}
    gate = Gate(served)
    with watching(url, **asked) as stream:
        events = [next(stream)]
        gate.let()
        events += stream
    assert [event.name for event in events] == [*["progress"] * (len(events) - 1), "result"]
    steps = [event.data["step"] for event in events[:-1]]
    assert steps == sorted(set(steps))
    assert set(steps) >= {0, 6}
    assert {event.data["steps"] for event in events[:-1]} == {6}
    assert all(event.data["preview"] is None for event in events[:-1])
    assert all(event.data["seconds_left"] is None for event in events[:-1] if event.data["step"] == 0)
    assert all(event.data["seconds_left"] >= 0 for event in events[:-1] if event.data["step"])
    jobs, numbers = zip(*(event.id.split(".") for event in events), strict=True)
    assert set(jobs) == {event.data["job"] for event in events[:-1]}
    assert [int(number) for number in numbers] == sorted({int(number) for number in numbers})
    drawn, posted = events[-1].data, httpx.post(f"{url}/generate", json={"caption": "red heart", **asked}).json()
    del drawn["seconds"], posted["seconds"]
    assert drawn == posted


def test_the_seconds_left_come_true(url: str, served: FakeModelServer) -> None:
    """When half of the steps are done, it is the time that they took; they take longer than the calls alone."""
    slow(served, 0.2)
    start = time.monotonic()
    with watching(url, steps=10, steps_per_call=1) as events:
        half = next(event for event in events if event.name == "progress" and event.data["step"] == 5)
        took = time.monotonic() - start
        until(events, "result")
    assert 5 * 0.2 <= half.data["seconds_left"] <= took


@pytest.mark.parametrize(("n", "size"), [(1, (PIXELS, PIXELS)), (3, (2 * PIXELS, 2 * PIXELS))])
def test_previews_come_as_often_as_asked_and_change(
    url: str, served: FakeModelServer, n: int, size: tuple[int, int]
) -> None:
    """As JPEG, of the size of the pictures' grid; other events have none."""
    gate, shown = Gate(served), {}
    with watching(url, steps=11, preview_steps=4, steps_per_call=3, n=n) as events:
        for event in events:
            if event.name == "progress":
                shown[event.data["step"]] = event.data["preview"]
                gate.let(1)
    assert [step for step, preview in shown.items() if preview] == [4, 8]
    previews = []
    for preview in (shown[4], shown[8]):
        head, _, encoded = preview.partition(",")
        assert head == "data:image/jpeg;base64"
        with Image.open(io.BytesIO(b64decode(encoded))) as picture:
            assert (picture.format, picture.size) == ("JPEG", size)
            previews.append(picture.tobytes())
    assert previews[0] != previews[1]


def test_who_waits_sees_the_line_get_shorter(url: str, served: FakeModelServer) -> None:
    """Of three requests, the last is second and then first in line, and each is drawn."""
    gate = Gate(served)
    with ExitStack() as stack:
        streams = []
        for position in (0, 1, 2):
            events = stack.enter_context(watching(url, steps=1, seed=position))
            streams.append(events)
            if position:
                assert next(events).data["position"] == position
            else:
                until(events, "progress")
        gate.let(1)
        until(streams[0], "result")
        last = next(event for event in streams[2] if event.data["position"] != 2)
        assert (last.name, last.data["position"]) == ("queued", 1)
        gate.let()
        for position in (1, 2):
            assert until(streams[position], "result").data["pictures"][0]["seed"] == position


def test_who_comes_back_gets_the_same_job_where_it_is_now(url: str, served: FakeModelServer) -> None:
    """Nothing is drawn twice, and the first event is the newest state."""
    gate = Gate(served)
    with watching(url, steps=6, steps_per_call=1) as events:
        seen = until(events, "progress")
        gate.let(3)
        while seen.data["step"] < 1:
            seen = until(events, "progress")
    wait_until(lambda: calls(served, "diffusion_model") == 4)  # steps 2 and 3 pass while nobody watches
    with watching(url, seen.id, steps=6, steps_per_call=1) as events:
        newest = next(events)
        assert (newest.name, newest.data["job"], newest.data["step"]) == ("progress", seen.data["job"], 3)
    with watching(url, newest.id, steps=6, steps_per_call=1) as events:
        gate.let(1)
        assert next(events).data["step"] == 4
        gate.let()
        result = until(events, "result")
    assert calls(served, "diffusion_model") == 6
    assert calls(served, "decoder") == 1
    assert watch(url, newest.id) == [result]


def test_who_has_seen_all_or_asks_for_what_is_forgotten_is_told_to_stay_away(url: str, served: FakeModelServer) -> None:
    """204 ends a browser's attempts; nothing is drawn for it."""
    seen = watch(url, steps=1)[-1]
    served.calls.clear()
    for event_id in (seen.id, "forgotten.3", "nonsense", ""):
        answer = httpx.get(
            f"{url}/generate/events", params={"caption": "red heart"}, headers={"Last-Event-ID": event_id}
        )
        assert (answer.status_code, answer.content) == (204, b"")
    assert served.calls == []


@pytest.mark.parametrize(("asked", "parameter", "allowed"), REFUSED)
def test_what_is_not_allowed_is_told_in_each_client_s_way(
    url: str, served: FakeModelServer, asked: dict[str, Any], parameter: str, allowed: str
) -> None:
    """422 as everywhere; an EventSource cannot read that, and gets it as one event, once."""
    query = {"caption": "red heart", **asked}
    answer = httpx.get(f"{url}/generate/events", params=query)
    assert answer.status_code == 422
    (detail,) = answer.json()["error"]["details"]
    assert detail["parameter"] == parameter
    assert allowed in detail["allowed"]
    (event,) = watch(url, **asked)
    assert (event.name, event.data) == ("error", answer.json())
    headers = {"Accept": "text/event-stream", "Last-Event-ID": event.id}
    assert httpx.get(f"{url}/generate/events", params=query, headers=headers).status_code == 204
    assert calls(served, "diffusion_model") == 0


@pytest.mark.parametrize("steps", [1, 0])
def test_nothing_on_the_way_holds_events_back(url: str, steps: int) -> None:
    """Nor an error that is told as an event, nor OpenAI's events."""
    asked: dict[str, Any] = {"caption": "red heart", "steps": steps}
    watched = httpx.get(f"{url}/generate/events", params=asked, headers={"Accept": "text/event-stream"})
    streamed = httpx.post(f"{url}/v1/images/generations", json={"prompt": "red heart", "steps": 1, "stream": True})
    for answer in (watched, streamed):
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert (answer.headers["cache-control"], answer.headers["x-accel-buffering"]) == ("no-cache", "no")


def test_other_routes_do_not_speak_of_the_parameters_of_events(url: str) -> None:
    answer = httpx.get(f"{url}/generate", params={"caption": "red heart", "preview_steps": 5})
    assert answer.status_code == 422
    (detail,) = answer.json()["error"]["details"]
    assert detail["parameter"] == "preview_steps"
    assert "preview_steps" not in detail["allowed"]


@pytest.mark.parametrize("network", ["text_encoder", "diffusion_model", "decoder"])
def test_a_failed_job_says_what_post_says(url: str, served: FakeModelServer, network: str) -> None:
    failure = (500, b'{"error": "out of memory"}')
    served.override = lambda _, path: failure if path.endswith(f"{network}:predict") else None
    caption = f"a caption that only the {network} spoils"
    posted = httpx.post(f"{url}/generate", json={"caption": caption})
    assert posted.status_code >= 500
    event = watch(url, caption=caption)[-1]
    assert (event.name, event.data) == ("error", posted.json())


def test_a_model_that_is_away_is_told_as_an_event(url: str, served: FakeModelServer) -> None:
    del served.models["emoji_decoder"]
    served.versions["emoji_text_encoder"] = "2"
    try:
        time.sleep(5)  # until the proxy looks again
        (event,) = watch(url)
        assert event.name == "error"
        assert "emoji_decoder" in event.data["error"]["message"]
        answer = httpx.get(f"{url}/generate/events", params={"caption": "red heart"})
        assert (answer.status_code, answer.json()) == (503, event.data)
    finally:
        served.models = FakeModelServer().models


def test_many_watch_at_once(url: str) -> None:
    """Thirty requests, one drawn at a time, each with its own result."""
    with ThreadPoolExecutor(30) as pool:
        results = list(pool.map(lambda seed: watch(url, steps=2, seed=seed)[-1], range(30)))
    assert [result.data["pictures"][0]["seed"] for result in results] == list(range(30))
