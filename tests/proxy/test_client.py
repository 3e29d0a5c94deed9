"""The client of a real proxy process, over connections that break."""

import time
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from proxy.client import Client, ClientError
from tests.proxy.event_stream import calls, slow
from tests.proxy.fake_model_server import FakeModelServer, running
from tests.proxy.proxy_process import running_proxy
from tests.proxy.relay import relayed

ASKED = {"caption": "red heart", "steps": 8, "steps_per_call": 1, "seed": 7}


class Watcher:
    """Keeps the steps that it is told of, and does something at some of them."""

    def __init__(self, acts: Mapping[int, Any]) -> None:
        self.steps: list[int] = []
        self._acts = dict(acts)

    def __call__(self, name: str, data: Mapping[str, Any]) -> None:
        if name == "progress":
            self.steps.append(data["step"])
            self._acts.pop(data["step"], lambda: None)()


@pytest.mark.parametrize("cuts", [[0], [3], [2, 3, 6]])
def test_who_loses_the_connection_comes_back_to_the_same_picture(
    url: str, served: FakeModelServer, cuts: list[int]
) -> None:
    """However often: every step is made once, and the answer is what it would have been."""
    slow(served, 0.3)
    with relayed(url) as relay, Client(relay.url) as client:
        watcher = Watcher(dict.fromkeys(cuts, relay.cut))
        answer = client.draw(ASKED, watcher)
    assert calls(served, "diffusion_model") == 8
    assert calls(served, "decoder") == 1
    assert watcher.steps == sorted(watcher.steps)
    assert watcher.steps[-1] == 8
    assert len(relay.requests) == len(cuts) + 1
    assert [b"last-event-id: " in request.lower() for request in relay.requests] == [False] + [True] * len(cuts)
    posted = httpx.post(f"{url}/generate", json=ASKED).json()
    assert answer["pictures"] == posted["pictures"]


def test_a_connection_that_breaks_before_the_first_event_is_not_tried_again(url: str) -> None:
    """The proxy may have begun to draw, and would draw twice."""
    with relayed(url) as relay, Client(relay.url) as client:
        relay.is_mute = True
        with pytest.raises(ClientError, match=f"{relay.url}: no proxy answers there, or not any more: "):
            client.draw(ASKED, Watcher({}))
    assert len(relay.requests) == 1


def test_a_proxy_that_stays_away_is_given_up_while_its_work_could_still_be_reached(
    url: str, served: FakeModelServer
) -> None:
    """After a few attempts, within the 5 s that the proxy waits."""
    slow(served, 0.3)
    left: list[float] = []
    with relayed(url) as relay, Client(relay.url) as client:

        def leave() -> None:
            relay.leave()
            left.append(time.monotonic())

        with pytest.raises(ClientError, match="no proxy answers there, or not any more"):
            client.draw({**ASKED, "steps": 150}, Watcher({1: leave}))
        assert 3 < time.monotonic() - left[0] < 5


def test_a_proxy_that_was_started_anew_does_not_begin_again(url: str, served: FakeModelServer) -> None:
    """It does not know the picture, and the client says so."""
    slow(served, 0.1)
    fake = FakeModelServer()
    with (
        running(fake) as server,
        running_proxy(server.url) as (other, _, _),
        relayed(url) as relay,
        Client(relay.url) as client,
    ):

        def move() -> None:
            relay.target = other
            relay.cut()

        with pytest.raises(ClientError, match="the picture is not known there any more"):
            client.draw(ASKED, Watcher({2: move}))
    assert len(relay.requests) == 2
    assert calls(fake, "diffusion_model") == 0


def test_what_the_caller_raises_cancels_the_work(url: str, served: FakeModelServer) -> None:
    """And it is raised again."""
    slow(served, 0.2)

    def fail() -> None:
        raise ZeroDivisionError

    with Client(url) as client, pytest.raises(ZeroDivisionError):
        client.draw(ASKED, Watcher({2: fail}))
    made = calls(served, "diffusion_model")
    time.sleep(1)
    assert calls(served, "diffusion_model") <= made + 1 < 8


def test_who_stops_hangs_up(url: str, served: FakeModelServer) -> None:
    """At once, though the exception that ended it is still held, and with it all that its frames hold."""
    slow(served, 0.2)

    def fail() -> None:
        raise ZeroDivisionError

    with relayed(url) as relay, Client(relay.url) as client:
        with pytest.raises(ZeroDivisionError) as held:
            client.draw(ASKED, Watcher({1: fail}))
        time.sleep(0.2)
        assert relay.left == 1
    assert held.value


def test_a_call_may_take_longer_than_the_proxy_is_silent(url: str, served: FakeModelServer) -> None:
    """The comments that it sends meanwhile are no events."""
    slow(served, 16)
    watcher = Watcher({})
    with Client(url) as client:
        client.draw({**ASKED, "steps": 1}, watcher)
    assert set(watcher.steps) == {0, 1}
