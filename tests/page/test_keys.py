"""The page before a proxy that asks for keys."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from proxy import keys
from proxy.keys import Key
from tests.page.face import Face
from tests.page.paced import PacedModelServer
from tests.page.port_proxy import PortProxy, port_proxy
from tests.page.test_surroundings import violations
from tests.proxy.fake_model_server import running
from tests.proxy.proxy_process import running_proxy

T = TypeVar("T")


@dataclass(frozen=True)
class Guarded:
    """A proxy with keys, behind a port proxy whose connections may break."""

    between: PortProxy
    model_server: PacedModelServer
    file: Path
    bob: str
    log: list[str]

    def key(self) -> str:
        """A new key of alice's, beside which she has no other."""
        if "alice" in keys.read(self.file):
            self.remove()
        return self._known(lambda: keys.add(self.file, Key("alice", "")))

    def remove(self) -> None:
        """Take alice's key away."""
        self._known(lambda: keys.remove(self.file, "alice"))

    def _known(self, change: Callable[[], T]) -> T:
        """Change the file, and ask with bob's key until the proxy has read it."""
        before = self._reads()
        changed = change()
        with httpx.Client(headers={"Authorization": f"Bearer {self.bob}"}, trust_env=False) as client:
            while self._reads() == before:
                client.get(f"{self.between.target}/models").raise_for_status()
                time.sleep(0.1)
        return changed

    def _reads(self) -> int:
        return sum(f"{self.file.name}: " in line for line in self.log)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    file = tmp_path_factory.mktemp("keys") / "keys.toml"
    bob = keys.add(file, Key("bob", ""))
    model_server = PacedModelServer()
    with (
        running(model_server) as server,
        running_proxy(server.url, api_keys_file=file, steps_per_call=5) as (url, _, log),
        port_proxy(url) as between,
    ):
        yield Guarded(between, model_server, file, bob, log)


@pytest.fixture
def secret(guarded: Guarded) -> str:
    """The key of alice, which is new."""
    return guarded.key()


@pytest.fixture
def asked(guarded: Guarded, secret: str, browser: Browser) -> Iterator[Face]:
    guarded.model_server.shut()
    context = browser.new_context()
    face = Face(context.new_page(), guarded.between.url)
    face.page.on("request", lambda request: face.requests.append(request))
    face.page.on("pageerror", lambda error: face.complaints.append(str(error)))
    face.page.goto(f"{face.url}/")
    yield face
    guarded.model_server.let()
    context.close()
    assert not face.complaints
    assert {request.method for request in face.requests} == {"GET"}
    assert not [request for request in face.requests if secret in request.url]


def give(page: Page, secret: str) -> None:
    page.get_by_label("API key", exact=True).last.fill(secret)
    page.keyboard.press("Enter")


def test_a_key_is_asked_for_and_draws(asked: Face, guarded: Guarded, secret: str, axe: str) -> None:
    """A wrong one is told; the right one draws with progress and cancels, and is kept until the tab is closed."""
    page = asked.page
    expect(page.locator("#banner")).to_contain_text("an API key is needed here")
    expect(page.locator("#key")).to_be_focused()
    assert violations(page, axe) == []
    expect(page.locator("#key")).to_have_attribute("type", "password")
    give(page, "alice.wrong")
    expect(page.locator("#banner")).to_contain_text("not valid")
    expect(page.locator("#key")).to_have_value("")
    give(page, f" {secret} ")
    expect(page.locator("#caption")).to_be_enabled()
    expect(page.locator("#key-form")).to_be_hidden()
    expect(page.locator("#banner")).to_be_hidden()
    page.reload()
    expect(page.locator("#caption")).to_be_enabled()
    guarded.model_server.let(1)
    asked.draw("red heart", steps=150)
    expect(page.locator("#preview")).to_be_visible()
    with page.expect_response("**/generate/cancel?job=*") as cancelled:
        page.keyboard.press("Escape")
    assert cancelled.value.ok
    expect(page.locator("#said")).to_have_text("Cancelled.")
    expect(page.locator("#work")).to_be_hidden()
    guarded.model_server.let()
    asked.draw("red heart", steps=20)
    asked.drawn(1)


def test_why_a_key_is_asked_for_stays_there(asked: Face) -> None:
    """What is said when the server takes long does not come after its answer."""
    asked.page.clock.install(time=0)
    asked.page.clock.pause_at(1)
    asked.page.reload()
    expect(asked.page.locator("#key")).to_be_focused()
    asked.page.clock.run_for(1000)
    expect(asked.page.locator("#banner")).to_contain_text("an API key is needed here")


def test_another_tab_is_asked_again(asked: Face, secret: str) -> None:
    give(asked.page, secret)
    expect(asked.page.locator("#caption")).to_be_enabled()
    other = asked.page.context.new_page()
    other.goto(f"{asked.url}/")
    expect(other.locator("#key")).to_be_focused()
    expect(other.locator("#caption")).to_be_disabled()


def test_a_browser_that_keeps_nothing_takes_a_key_all_the_same(asked: Face, guarded: Guarded, secret: str) -> None:
    """Some refuse their storage to frames of another site; there it is asked for when the page is opened again."""
    refuse = "Object.defineProperty(window, 'sessionStorage', { get() { throw new DOMException('no'); } })"
    asked.page.add_init_script(refuse)
    asked.page.reload()
    give(asked.page, secret)
    expect(asked.page.locator("#caption")).to_be_enabled()
    guarded.model_server.let()
    asked.draw("red heart", steps=1)
    asked.drawn(1)
    asked.page.reload()
    expect(asked.page.locator("#key")).to_be_focused()


def test_a_broken_connection_is_made_again_with_the_key(asked: Face, guarded: Guarded, secret: str) -> None:
    """The job goes on, its picture comes, and nothing is drawn twice."""
    give(asked.page, secret)
    expect(asked.page.locator("#caption")).to_be_enabled()
    guarded.between.break_next_stream()
    asked.draw("red heart", steps=1)
    expect(asked.page.locator("#step")).to_have_text("The connection broke. Trying again …")
    guarded.model_server.let()
    asked.drawn(1)
    assert guarded.model_server.denoise_calls == 1
    begun, back = (request for request in asked.requests if "/generate/events" in request.url)
    assert "last-event-id" not in begun.headers
    assert back.headers["last-event-id"]
    assert back.headers["authorization"] == f"Bearer {secret}"


def test_a_key_that_is_taken_away_is_asked_for_where_the_work_stands(
    asked: Face, guarded: Guarded, secret: str
) -> None:
    """By the count of a caption that is typed, and by a picture that is drawn; what was typed and drawn stays."""
    page = asked.page
    guarded.model_server.let()
    give(page, secret)
    expect(page.locator("#caption")).to_be_enabled()
    asked.draw("rocket", steps=1)
    asked.drawn(1)
    guarded.remove()
    page.get_by_label("Caption", exact=True).fill("red heart")
    expect(page.locator("#banner")).to_contain_text("not valid")
    expect(page.locator("#key")).to_be_focused()
    give(page, "alice.wrong")
    expect(page.locator("#key")).to_be_focused()
    expect(page.locator("#banner")).to_contain_text("not valid")
    give(page, guarded.key())
    expect(page.locator("#key-form")).to_be_hidden()
    expect(page.locator("#banner")).to_be_hidden()
    expect(page.locator("#caption")).to_be_focused()
    expect(page.locator("#caption-tokens")).to_have_text("73 of 75 tokens left")
    guarded.remove()
    page.keyboard.press("Enter")
    expect(page.locator("#key")).to_be_focused()
    expect(page.locator("#work")).to_be_hidden()
    expect(page.locator("#failure")).to_be_empty()
    give(page, guarded.key())
    expect(page.locator("#caption")).to_be_focused()
    page.keyboard.press("Enter")
    asked.drawn(2)
    begun = [request for request in asked.requests if "/generate/events" in request.url]
    assert len(begun) == 3


def test_mistakes_are_told_as_without_keys(asked: Face, secret: str) -> None:
    give(asked.page, secret)
    expect(asked.page.locator("#caption")).to_be_enabled()
    asked.draw("&nbsp;")
    expect(asked.page.locator("#caption-error")).to_contain_text("Please give text that is not empty")


def test_the_documentation_uses_the_key(asked: Face, secret: str) -> None:
    give(asked.page, secret)
    expect(asked.page.locator("#caption")).to_be_enabled()
    asked.page.goto(f"{asked.url}/docs")
    expect(asked.page.get_by_role("heading", name="GET /models")).to_be_visible()
