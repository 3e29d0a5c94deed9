"""The form's fields: their limits and choices, and what is said of a mistake."""

from __future__ import annotations

from playwright.sync_api import Page, Route, expect

from tests.page.face import Face

TIMES = "\N{MULTIPLICATION SIGN}"


def test_limits_and_choices_are_the_servers(face: Face) -> None:
    """None of them is the page's own."""
    face.page.route("**/models", _with_other_limits)
    face.open()
    page = face.page
    for name, least, most, usual in (
        ("steps", "3", "9", "4"),
        ("guidance_scale", "1", "2", "1.5"),
        ("n", "2", "5", "3"),
    ):
        field = page.locator(f"#{name}")
        expect(field).to_have_value(usual)
        expect(field).to_have_attribute("min", least)
        face.draw("red heart", **{name: str(float(most) + 1).removesuffix(".0")})
        expect(page.locator(f"#{name}-error")).to_contain_text(f"Please give from {least} to {most}.")
        field.fill(usual)
    assert page.locator("#sampler option").all_text_contents() == ["heun", "lms"]
    assert page.locator("#format option").all_text_contents() == ["avif", "png"]
    expect(page.locator("#sampler")).to_have_value("lms")
    expect(page.locator("#format")).to_have_value("png")
    assert page.locator("#size option").all_text_contents() == [f"128 {TIMES} 128", f"64 {TIMES} 96"]
    assert page.locator("#examples button").all_text_contents() == ["a blue door"]
    face.draw("x" * 28)
    expect(page.locator("#caption-error")).to_contain_text("Please give less than 28 characters.")
    page.get_by_role("button", name="Another seed", exact=True).click()
    assert int(page.locator("#seed").input_value()) <= 6
    assert not [request for request in face.requests if "/generate" in request.url]


def test_errors_stand_beside_their_fields(face: Face, page: Page) -> None:
    """In the server's words, with the focus on the first; nothing is drawn."""
    face.draw("red heart", steps=151)
    expect(page.locator("#steps-error")).to_have_text("151 will not do. Please give a whole number from 1 to 150.")
    expect(page.get_by_label("Steps")).to_be_focused()
    expect(page.get_by_label("Steps")).to_have_attribute("aria-invalid", "true")
    face.draw("  ", steps=1)
    expect(page.locator("#caption-error")).to_contain_text("text that is not empty")
    expect(page.locator("#steps-error")).to_be_hidden()
    assert not [request for request in face.requests if "/generate" in request.url]


def test_what_is_being_mended_is_no_mistake_any_more(face: Face, page: Page) -> None:
    """What was said of a field goes when it is changed; what was said of others stays."""
    face.draw("red heart", steps=151, n=17)
    expect(page.locator("#steps-error")).to_be_visible()
    page.keyboard.press("Backspace")
    expect(page.locator("#steps-error")).to_be_hidden()
    expect(page.locator("#steps")).not_to_have_attribute("aria-invalid", "true")
    expect(page.locator("#n-error")).to_be_visible()


def test_an_error_in_a_closed_room_opens_it(page: Page) -> None:
    """Settings that are shut are opened where one of them is wrong."""
    summary = page.locator("#settings summary")
    summary.click()
    page.locator("#steps").fill("0")
    summary.click()
    page.locator("#caption").fill("red heart")
    page.locator("#caption").press("Enter")
    expect(page.locator("#steps-error")).to_be_visible()
    expect(page.locator("#steps")).to_be_focused()


def test_what_only_the_server_knows_stands_there_too(face: Face, page: Page) -> None:
    face.draw("&nbsp;")
    expect(page.locator("#caption-error")).to_contain_text("Please give text that is not empty")
    expect(page.locator("#failure")).to_be_empty()
    expect(page.locator("#work")).to_be_hidden()


def test_captions_as_long_as_books_are_refused_at_once(face: Face, page: Page) -> None:
    """Servers refuse so long an address before they read it, so they are not asked; not even for a count."""
    for name in ("negative_caption", "caption"):
        face.draw(**{"caption": "red heart", "negative_caption": "", name: "cat " * 75_000})
        expect(page.locator(f"#{name}-error")).to_contain_text("at most 2500 characters")
        expect(page.locator(f"#{name}-tokens")).to_have_text("Too long: at most 2500 characters.")
        expect(page.locator("#said")).to_have_text("Too long: at most 2500 characters.")
    assert not [request for request in face.requests if "/generate" in request.url or "cat" in request.url]


def test_emoji_are_characters(face: Face, page: Page) -> None:
    """As many of them as the server reads are drawn; of more, its own words stand at the caption."""
    face.draw("\N{GHOST}" * 1875, steps=1)
    face.drawn(1)
    face.draw("\N{GHOST}" * 2500, steps=1)
    expect(page.locator("#caption-error")).to_contain_text("and 7500 bytes of UTF-8")
    expect(page.locator("#failure")).to_be_empty()
    expect(page.locator("#work")).to_be_hidden()


def test_a_seed_that_will_be_replaced_may_be_anything(face: Face, page: Page) -> None:
    """A kept one may not."""
    face.draw("red heart", steps=1, seed=-5)
    expect(page.locator("#seed-error")).to_contain_text("-5 will not do")
    page.get_by_role("button", name="Keep this seed").click()
    page.locator("#caption").press("Enter")
    face.drawn(1)


def _with_other_limits(route: Route) -> None:
    catalogue = route.fetch().json()
    parameters = catalogue["parameters"]
    for name, least, most, usual in (
        ("steps", 3, 9, 4),
        ("guidance_scale", 1, 2, 1.5),
        ("n", 2, 5, 3),
        ("seed", 0, 6, None),
    ):
        allowed = {"minimum": least, "maximum": most, "default": usual, "description": f"from {least} to {most}"}
        parameters[name] |= allowed
    parameters["caption"] |= {"longest": 27, "description": "less than 28 characters"}
    parameters["sampler"]["default"] = "lms"
    catalogue |= {"samplers": ["heun", "lms"], "formats": ["avif", "png"]}
    family = catalogue["families"][0]
    family["sizes"].append({"width": 64, "height": 96})
    family["examples"] = ["a blue door"]
    route.fulfill(json=catalogue)
