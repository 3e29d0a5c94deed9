"""The client of a real proxy process, over connections that break."""

import time
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from proxy.client import _BACK_OFF_SECONDS, Client, ClientError
from proxy.jobs import _LEFT_SECONDS
from tests.proxy.event_stream import Gate, calls, ended, slow, wait_until
from tests.proxy.fake_model_server import FakeModelServer, running
from tests.proxy.proxy_process import running_proxy
from tests.proxy.relay import relayed

ASKED = {"caption": "red heart", "steps": 8, "steps_per_call": 1, "seed": 7}


class Watcher:
    """Keeps the steps that it is told of, and does something at some of them; with a gate, each is waited for."""

    def __init__(self, acts: Mapping[int, Any], gate: Gate | None = None) -> None:
        self.steps: list[int] = []
        self._acts, self._gate = dict(acts), gate

    def __call__(self, name: str, data: Mapping[str, Any]) -> None:
        if name == "progress":
            is_new = data["step"] not in self.steps
            self.steps.append(data["step"])
            self._acts.pop(data["step"], lambda: None)()
            if self._gate and is_new:
                self._gate.let(1)


@pytest.mark.parametrize("cuts", [[0], [3], [2, 3, 6]])
def test_who_loses_the_connection_comes_back_to_the_same_picture(
    url: str, served: FakeModelServer, cuts: list[int]
) -> None:
    """However often: every step is made once, and the answer is what it would have been."""
    gate = Gate(served)
    with relayed(url) as relay, Client(relay.url) as client:
        watcher = Watcher(dict.fromkeys(cuts, relay.cut), gate)
        answer = client.draw(ASKED, watcher)
    assert calls(served, "diffusion_model") == 8
    assert calls(served, "decoder") == 1
    assert watcher.steps == sorted(watcher.steps)
    assert watcher.steps[-1] == 8
    assert len(relay.requests) == len(cuts) + 1
    assert [b"last-event-id: " in request.lower() for request in relay.requests] == [False] + [True] * len(cuts)
    gate.let()
    posted = httpx.post(f"{url}/generate", json=ASKED).json()
    assert answer["pictures"] == posted["pictures"]


def test_a_connection_that_breaks_before_the_first_event_is_not_tried_again(url: str) -> None:
    """The proxy may have begun to draw, and would draw twice."""
    with ended(url), relayed(url) as relay, Client(relay.url) as client:
        relay.is_mute = True
        with pytest.raises(ClientError, match=f"{relay.url}: no proxy answers there, or not any more: "):
            client.draw(ASKED, Watcher({}))
    assert len(relay.requests) == 1


def test_a_proxy_that_stays_away_is_given_up_while_its_work_could_still_be_reached(
    url: str, served: FakeModelServer
) -> None:
    """After a few attempts, within the 5 s that the proxy waits."""
    gate = Gate(served)
    left: list[float] = []
    with ended(url), relayed(url) as relay, Client(relay.url) as client:

        def leave() -> None:
            relay.leave()
            left.append(time.monotonic())

        with pytest.raises(ClientError, match="no proxy answers there, or not any more"):
            client.draw({**ASKED, "steps": 150}, Watcher({1: leave}, gate))
        waited = time.monotonic() - left[0]
        gate.let()
    assert waited >= sum(_BACK_OFF_SECONDS)
    assert sum(_BACK_OFF_SECONDS) < _LEFT_SECONDS


def test_a_proxy_that_was_started_anew_does_not_begin_again(url: str, served: FakeModelServer) -> None:
    """It does not know the picture, and the client says so."""
    gate = Gate(served)
    fake = FakeModelServer()
    with (
        ended(url),
        running(fake) as server,
        running_proxy(server.url) as (other, _, _),
        relayed(url) as relay,
        Client(relay.url) as client,
    ):

        def move() -> None:
            relay.target = other
            relay.cut()

        with pytest.raises(ClientError, match="the picture is not known there any more"):
            client.draw(ASKED, Watcher({2: move}, gate))
        gate.let()
    assert len(relay.requests) == 2
    assert calls(fake, "diffusion_model") == 0


def test_what_the_caller_raises_cancels_the_work(url: str, served: FakeModelServer) -> None:
    """And it is raised again."""
    gate = Gate(served)

    def fail() -> None:
        raise ZeroDivisionError

    with ended(url, "abandoned"):
        with Client(url) as client, pytest.raises(ZeroDivisionError):
            client.draw(ASKED, Watcher({2: fail}, gate))
        gate.let()
    assert calls(served, "diffusion_model") == 3, "the third was under way"


def test_who_stops_hangs_up(url: str, served: FakeModelServer) -> None:
    """At once, though the exception that ended it is still held, and with it all that its frames hold."""
    gate = Gate(served)

    def fail() -> None:
        raise ZeroDivisionError

    with ended(url), relayed(url) as relay, Client(relay.url) as client:
        with pytest.raises(ZeroDivisionError) as held:
            client.draw(ASKED, Watcher({1: fail}, gate))
        wait_until(lambda: relay.left == 1)
        gate.let()
    assert held.value


def test_a_call_may_take_longer_than_the_proxy_is_silent(url: str, served: FakeModelServer) -> None:
    """The comments that it sends meanwhile are no events."""
    slow(served, 16)
    watcher = Watcher({})
    with Client(url) as client:
        client.draw({**ASKED, "steps": 1}, watcher)
    assert set(watcher.steps) == {0, 1}
