"""The page for everybody, and where the server is away."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Browser, Page, expect

from local.stack import Stack
from tests.page.face import Face


def violations(page: Page, axe: str) -> list[str]:
    """What axe-core finds wrong; it comes from the test, which the page's own policy does not bind."""
    page.evaluate(axe)
    found = page.evaluate("axe.run().then(({ violations }) => violations)")
    return [f"{rule['id']}: {json.dumps([node['html'] for node in rule['nodes']])}" for rule in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_shut_out(face: Face, axe: str, scheme: str) -> None:
    """The page at rest, with an error, with a picture open, and the documentation have no violation."""
    face.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    face.open()
    assert violations(face.page, axe) == []
    face.draw("red heart", steps=2)
    face.drawn(1)
    face.draw("cat " * 80, steps=0)
    expect(face.page.locator("#steps-error")).to_be_visible()
    expect(face.page.locator("#caption-tokens")).to_contain_text("Too long")
    assert violations(face.page, axe) == []
    face.pictures.first.click()
    assert violations(face.page, axe) == []
    face.open("/docs")
    expect(face.page.get_by_role("heading", name="GET /models")).to_be_visible()
    assert violations(face.page, axe) == []


def test_drawing_is_open_to_all_too(face: Face, page: Page, axe: str) -> None:
    face.draw("red heart", steps=150, n=4)
    expect(page.locator("#preview")).to_be_visible()
    assert violations(page, axe) == []
    page.keyboard.press("Escape")


@pytest.mark.parametrize("width", [320, 390, 1280, 2560])
def test_nothing_hangs_over_the_edge(face: Face, width: int) -> None:
    face.page.set_viewport_size({"width": width, "height": 800})
    face.open()
    face.page.locator("#settings summary").click()
    assert face.page.evaluate("document.documentElement.scrollWidth") <= width
    face.open("/docs")
    expect(face.page.get_by_role("heading", name="GET /models")).to_be_visible()
    assert face.page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_keyboard_reaches_everything(face: Face, page: Page) -> None:
    """A picture is drawn, opened, deleted and brought back without a mouse."""
    page.keyboard.type("red heart")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Draw")).to_be_focused()
    page.keyboard.press("Enter")
    face.drawn(1)
    page.get_by_role("button", name="red heart").last.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#viewer")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#viewer")).to_be_hidden()
    expect(page.locator("#pictures button")).to_be_focused()


def test_a_server_that_is_away_is_waited_for(stack: Stack, browser: Browser) -> None:
    """The page says so, and goes on by itself."""
    page = browser.new_page()
    page.route("**/models", lambda route: route.abort())
    page.goto(stack.url)
    expect(page.locator("#banner")).to_contain_text("cannot be reached")
    expect(page.locator("#caption")).to_be_disabled()
    page.unroute("**/models")
    expect(page.locator("#caption")).to_be_enabled()
    expect(page.locator("#banner")).to_be_hidden()
    page.route("**/generate/events**", lambda route: route.abort())
    page.keyboard.type("red heart")
    page.keyboard.press("Enter")
    expect(page.locator("#work, #failure").filter(visible=True).first).to_contain_text("rying again")
    page.keyboard.press("Escape")
    expect(page.locator("#work")).to_be_hidden()
    page.context.set_offline(True)
    expect(page.locator("#banner")).to_have_text("This device is offline.")
    page.close()


def test_the_documentation_tries_requests(face: Face) -> None:
    """Every path is there, and a GET is answered on the page."""
    face.open("/docs")
    section = face.page.get_by_role("region", name="GET /generate", exact=True)
    expect(section).to_contain_text("guidance_scale")
    section.get_by_text("Try it").click()
    section.get_by_label("steps", exact=True).fill("1")
    section.get_by_role("button", name="GET /generate").click()
    expect(section.get_by_role("img", name="The answer")).to_be_visible()
    model = face.page.get_by_role("region", name="GET /v1/models/{model}", exact=True)
    model.get_by_text("Try it").click()
    model.get_by_role("button").click()
    expect(model.locator("pre").last).to_contain_text('"id": "emoji"')
    model.get_by_text("Examples of errors").click()
    expect(model.locator("pre").first).to_contain_text('"code": "model_not_found"')
    health = face.page.get_by_role("region", name="GET /healthz", exact=True)
    health.get_by_text("Try it").click()
    health.get_by_role("button").click()
    expect(health.locator("pre").last).to_contain_text('"status": "ok"')
