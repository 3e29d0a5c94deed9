"""Server-Sent Events as a client reads them, and a model server whose pace the tests decide."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx

from tests.proxy.fake_model_server import FakeModelServer

PATIENCE_SECONDS = 30


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
