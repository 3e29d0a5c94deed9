"""Server-Sent Events as a client reads them, a model server whose pace the tests decide, and what a proxy is at."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx

from tests.proxy.fake_model_server import FakeModelServer

PATIENCE_SECONDS = 120


class Event(NamedTuple):
    """One event; its data was JSON."""

    name: str
    data: Any
    id: str


class Gate:
    """Holds the denoising calls of a fake model server, until they are let through."""

    def __init__(self, fake: FakeModelServer) -> None:
        self._passes = threading.Semaphore(0)
        self._fake = fake
        fake.override = self._hold

    def _hold(self, _: str, path: str) -> None:
        if path.endswith("diffusion_model:predict"):
            assert self._passes.acquire(timeout=PATIENCE_SECONDS)

    def let(self, calls: int = 10_000) -> None:
        """Let so many calls through, now or later."""
        self._passes.release(calls)


def slow(fake: FakeModelServer, seconds: float) -> None:
    """Every denoising call takes so long."""
    fake.override = lambda _, path: time.sleep(seconds) if path.endswith("diffusion_model:predict") else None


def calls(fake: FakeModelServer, network: str) -> int:
    """How often a network was called."""
    return sum(path.endswith(f"{network}:predict") for _, path, _ in list(fake.calls))


def wait_until(condition: Callable[[], object]) -> None:
    """Until it holds, however long a busy machine takes."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def metric(url: str, name: str) -> float:
    """The sum of all series of a proxy's metrics whose names and labels begin so."""
    lines = httpx.get(f"{url}/metrics").raise_for_status().text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


def at_work(url: str) -> tuple[float, float]:
    """How many requests are drawn, and how many wait, as a proxy counts them once a second."""
    return metric(url, "easel_requests_running"), metric(url, "easel_requests_waiting")


@contextlib.contextmanager
def ended(url: str, outcome: str = "") -> Iterator[None]:
    """After the block, until one request more has ended, with that outcome; not before is its place another's."""
    drawings = f'easel_drawings_total{{outcome="{outcome}'
    before = metric(url, drawings)
    yield
    wait_until(lambda: metric(url, drawings) > before)


@contextlib.contextmanager
def watching(url: str, last_event_id: str | None = None, **parameters: object) -> Iterator[Iterator[Event]]:
    """The events of a request; leaving the block hangs up."""
    headers = {"Accept": "text/event-stream"}
    if last_event_id is not None:
        headers["Last-Event-ID"] = last_event_id
    asked: dict[str, Any] = {"caption": "red heart", **parameters}
    with httpx.stream(
        "GET", f"{url}/generate/events", params=asked, headers=headers, timeout=PATIENCE_SECONDS
    ) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield read(answer.iter_lines())


def watch(url: str, last_event_id: str | None = None, **parameters: object) -> list[Event]:
    """All events of a request."""
    with watching(url, last_event_id, **parameters) as events:
        return list(events)


def read(lines: Iterator[str]) -> Iterator[Event]:
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "event" in fields:
            yield Event(fields["event"], json.loads(fields["data"]), fields.get("id", ""))
            fields = {}


def until(events: Iterator[Event], name: str) -> Event:
    """The next event of that name."""
    return next(event for event in events if event.name == name)
