"""The page before a proxy that asks for keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from local.stack import running_stack
from proxy import keys
from proxy.keys import Key
from tests.page.face import Face
from tests.page.test_surroundings import violations


@pytest.fixture(scope="module")
def guarded(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address of a proxy with keys, and one of them."""
    file = tmp_path_factory.mktemp("keys") / "keys.toml"
    secret = keys.add(file, Key("alice", ""))
    with running_stack(models, environment={"EASEL_API_KEYS_FILE": str(file)}) as stack:
        yield stack.url, secret


@pytest.fixture
def asked(guarded: tuple[str, str], browser: Browser) -> Iterator[Face]:
    context = browser.new_context()
    face = Face(context.new_page(), guarded[0])
    face.page.on("request", lambda request: face.requests.append(request))
    face.page.on("pageerror", lambda error: face.complaints.append(str(error)))
    face.page.goto(guarded[0])
    yield face
    context.close()
    assert not face.complaints
    assert {request.method for request in face.requests} == {"GET"}
    assert not [request for request in face.requests if guarded[1] in request.url]


def give(page: Page, secret: str) -> None:
    page.get_by_label("API key", exact=True).last.fill(secret)
    page.keyboard.press("Enter")


def test_a_key_is_asked_for_and_draws(asked: Face, guarded: tuple[str, str], axe: str) -> None:
    """A wrong one is told; the right one draws with progress and cancels, and is kept until the tab is closed."""
    page = asked.page
    expect(page.locator("#banner")).to_contain_text("an API key is needed here")
    expect(page.locator("#key")).to_be_focused()
    assert violations(page, axe) == []
    give(page, "alice.wrong")
    expect(page.locator("#banner")).to_contain_text("not valid")
    give(page, f" {guarded[1]} ")
    expect(page.locator("#caption")).to_be_enabled()
    expect(page.locator("#key-form")).to_be_hidden()
    page.reload()
    expect(page.locator("#caption")).to_be_enabled()
    page.evaluate("""() => {
        window.previews = new Set();
        new MutationObserver(() => window.previews.add(document.getElementById("preview").src))
            .observe(document.body, { subtree: true, attributes: true });
    }""")
    asked.draw("red heart", steps=20)
    asked.drawn(1)
    assert page.evaluate("[...window.previews].filter((source) => source.startsWith('data:image/jpeg')).length") >= 2
    asked.draw("red heart", steps=150, n=4)
    expect(page.locator("#preview")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#said")).to_have_text("Cancelled.")
    expect(page.locator("#work")).to_be_hidden()


def test_a_broken_connection_is_made_again_with_the_key(asked: Face, guarded: tuple[str, str]) -> None:
    """The job goes on, and its picture comes."""
    page = asked.page
    give(page, guarded[1])
    expect(page.locator("#caption")).to_be_enabled()
    page.evaluate("""() => {
        const before = window.fetch;
        let cuts = 0;
        window.fetch = async (url, options) => {
            const response = await before(url, options);
            if (!String(url).startsWith("generate/events") || cuts++) return response;
            const reader = response.body.getReader();
            const { value } = await reader.read();
            reader.cancel();
            return { status: 200, headers: response.headers, body: new Blob([value]).stream() };
        };
    }""")
    asked.draw("red heart", steps=60)
    asked.drawn(1)
    streams = [request for request in asked.requests if "/generate/events" in request.url]
    assert len(streams) == 2
    assert "last-event-id" in streams[1].headers
    assert streams[1].headers["authorization"] == f"Bearer {guarded[1]}"


def test_mistakes_are_told_as_without_keys(asked: Face, guarded: tuple[str, str]) -> None:
    give(asked.page, guarded[1])
    expect(asked.page.locator("#caption")).to_be_enabled()
    asked.draw("x" * 2501)
    expect(asked.page.locator("#caption-error")).to_contain_text("at most 2500 characters")


def test_the_documentation_uses_the_key(asked: Face, guarded: tuple[str, str]) -> None:
    give(asked.page, guarded[1])
    expect(asked.page.locator("#caption")).to_be_enabled()
    asked.page.goto(f"{guarded[0]}/docs")
    expect(asked.page.get_by_role("heading", name="GET /models")).to_be_visible()
