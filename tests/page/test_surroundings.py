"""The page for everybody, and where the server is away."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Page, Route, expect

from tests.page.face import Face
from tests.page.paced import Paced


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


def test_drawing_is_open_to_all_too(held: Face, paced: Paced, axe: str) -> None:
    paced.let(1)
    held.draw("red heart", steps=150)
    expect(held.page.locator("#preview")).to_be_visible()
    assert violations(held.page, axe) == []


def test_nothing_hangs_over_the_edge(held: Face, paced: Paced) -> None:
    """With settings, while drawing, with a picture open, and in the documentation, from a phone to a wide screen."""
    held.page.locator("#settings summary").click()
    paced.let(2)
    held.draw("red heart " + 20 * "long", steps=1)
    held.drawn(1)
    held.draw("red heart", steps=150)
    expect(held.page.locator("#preview")).to_be_visible()
    _fits(held.page)
    held.page.keyboard.press("Escape")
    _fits(held.page)
    held.pictures.first.click()
    _fits(held.page, "#viewer")
    held.open("/docs")
    expect(held.page.get_by_role("heading", name="GET /models")).to_be_visible()
    _fits(held.page)


def _fits(page: Page, selector: str = "html") -> None:
    for width in (320, 390, 768, 1280, 1920, 2560):
        page.set_viewport_size({"width": width, "height": 800})
        over = page.locator(selector).evaluate("element => element.scrollWidth - element.clientWidth")
        assert over <= 0, f"{selector} is {over} px too wide at {width} px"


def test_wide_screens_have_two_columns_and_phones_one(face: Face, page: Page) -> None:
    for width, is_beside in ((390, False), (1280, True)):
        page.set_viewport_size({"width": width, "height": 800})
        form, results = (page.locator(name).bounding_box() for name in ("#form", "#results"))
        assert form is not None
        assert results is not None
        assert (results["x"] >= form["x"] + form["width"]) == is_beside


def test_on_a_small_screen_one_sees_what_happens(held: Face, paced: Paced) -> None:
    """Progress is brought into view, and so is what is wrong with a field, above or below the screen."""
    page = held.page
    page.set_viewport_size({"width": 390, "height": 640})
    held.draw("red heart", steps=150)
    expect(page.locator("#cancel")).to_be_in_viewport()
    page.evaluate("scrollTo(0, 0)")
    page.locator("#caption").press("Enter")
    expect(page.locator("#failure")).to_be_in_viewport()
    page.keyboard.press("Escape")
    expect(page.locator("#work")).to_be_hidden()
    page.locator("#n").fill("17")
    # The field stands at the lower edge, and what is said about it would be below.
    page.locator("#n").evaluate("field => scrollBy(0, field.getBoundingClientRect().bottom - innerHeight + 2)")
    page.locator("#n").press("Enter")
    expect(page.locator("#n-error")).to_be_in_viewport()


def test_long_captions_push_nothing_off_a_phone(face: Face, page: Page) -> None:
    """Neither when they are typed nor above their picture, where the whole of them can be read."""
    page.set_viewport_size({"width": 360, "height": 740})
    caption = ("cat " * 600).strip()
    page.locator("#caption").fill(caption)
    expect(page.locator("#caption-tokens")).to_contain_text("Too long by: “cat cat")
    expect(page.locator("#draw")).to_be_in_viewport()
    face.draw(caption, steps=1)
    face.drawn(1)
    face.pictures.first.click()
    expect(page.locator("#viewer").get_by_role("button", name="Close")).to_be_in_viewport()
    expect(page.locator("#viewer-picture")).to_be_in_viewport()
    expect(page.locator("#viewer-parameters dd").last).to_have_text(caption)


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
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Again with another seed").focus()
    page.keyboard.press("Enter")
    face.drawn(2)
    expect(page.locator("#pictures button").last).to_be_focused()
    page.keyboard.press("Enter")
    seed = page.locator("#viewer-parameters dd").nth(2)
    first = seed.text_content()
    page.keyboard.press("ArrowRight")
    expect(seed).to_have_text(first)
    page.keyboard.press("ArrowLeft")
    expect(seed).not_to_have_text(first)
    page.locator("#viewer-delete").focus()
    page.keyboard.press("Enter")
    face.drawn(1)
    expect(page.locator("#said")).to_have_text("Deleted.")
    expect(page.locator("#undo")).to_be_focused()
    page.keyboard.press("Enter")
    face.drawn(2)
    expect(page.locator("#pictures button").first).to_be_focused()
    expect(page.locator("#undo")).to_be_hidden()
    expect(page.locator("#said")).to_have_text("The picture is back.")


def test_a_server_that_is_away_is_waited_for(face: Face) -> None:
    """The page says so, and goes on by itself."""
    page = face.page
    page.route("**/models", lambda route: route.abort())
    page.goto(face.url)
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
    page.context.set_offline(False)
    expect(page.locator("#banner")).to_be_hidden()
    assert all("net::ERR_" in complaint for complaint in face.complaints)
    face.complaints.clear()  # of the connections that broke


def test_what_takes_long_to_load_says_so(face: Face) -> None:
    late: list[Route] = []
    face.page.route("**/models", lambda route: late.append(route))
    face.page.goto(face.url)
    expect(face.page.locator("#banner")).to_have_text("Asking the server what it can draw …")
    late[0].continue_()
    expect(face.page.locator("#caption")).to_be_enabled()
    expect(face.page.locator("#banner")).to_be_hidden()


def test_an_empty_gallery_says_what_will_be_there(face: Face, page: Page) -> None:
    expect(page.locator("#empty")).to_be_visible()
    face.draw("red heart", steps=1)
    face.drawn(1)
    expect(page.locator("#empty")).to_be_hidden()


def test_limits_are_heard_too(page: Page) -> None:
    """By those who see no title, before anything is wrong."""
    page.locator("#settings summary").click()
    expect(page.get_by_label("Steps")).to_have_accessible_description("a whole number from 1 to 150")
    expect(page.locator("#guidance_scale")).to_have_accessible_description("a number from 0 to 50")


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
