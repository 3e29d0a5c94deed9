"""From a caption to a picture, in a browser."""

from __future__ import annotations

import re

import httpx
from playwright.sync_api import Page, Route, expect

from local.stack import Stack
from tests.page.face import Face
from tests.page.paced import Paced


def test_a_caption_and_enter_draw_a_picture(face: Face, page: Page) -> None:
    """By the keyboard alone: the caption has the focus from the start, and no key is asked for."""
    expect(page.locator("#key-form")).to_be_hidden()
    page.keyboard.type("red heart")
    page.keyboard.press("Enter")
    face.drawn(1)
    expect(face.pictures.first).to_have_attribute("alt", "red heart")
    expect(page.locator("#said")).to_have_text("The picture is there.")
    expect(page.locator("#caption")).to_be_focused()


def test_an_example_draws_too(face: Face, page: Page) -> None:
    """What was counted of the caption before is gone."""
    page.locator("#caption").fill("a red heart and a ghost")
    expect(page.locator("#caption-tokens")).to_have_text("69 of 75 tokens left")
    page.get_by_role("button", name="red heart").click()
    face.drawn(1)
    expect(page.locator("#caption-tokens")).to_have_text("73 of 75 tokens left")


def test_progress_and_previews_are_shown(face: Face, page: Page) -> None:
    """Steps go up, the time left is told, and the preview changes."""
    page.evaluate("""() => {
        window.seen = { steps: [], bars: new Set(), previews: new Set(), left: false };
        new MutationObserver(() => {
            const [, step] = /Step (\\d+) of 100/.exec(document.querySelector("#step").textContent) ?? [];
            if (step) seen.steps.push(Number(step));
            if (step) seen.bars.add(document.querySelector("#bar").position);
            seen.left ||= / s left/.test(document.querySelector("#step").textContent);
            const preview = document.querySelector("#preview");
            if (!preview.hidden) seen.previews.add(preview.src);
        }).observe(document.querySelector("#work"), { subtree: true, childList: true, attributes: true });
    }""")
    face.draw("red heart", steps=100, n=2)
    expect(page.locator("#preview")).to_be_visible()
    face.drawn(2)
    steps, bars, previews, left = page.evaluate("[seen.steps, seen.bars.size, seen.previews.size, seen.left]")
    assert steps == sorted(steps)
    assert len(set(steps)) >= 10
    assert bars >= 10
    assert previews >= 5
    assert left
    begun = """form => {
        form.requestSubmit();
        return [document.querySelector("#preview").hidden, document.querySelector("#bar").position];
    }"""
    assert page.locator("#form").evaluate(begun) == [True, -1]  # nothing is known of the next picture yet
    page.keyboard.press("Escape")


def test_events_that_come_in_pieces_are_put_together(face: Face) -> None:
    """A network may cut them anywhere."""
    face.page.add_init_script("""
        const { fetch } = window;
        const pieces = () => new TransformStream({ transform(part, to) {
            for (let at = 0; at < part.length; at += 100) to.enqueue(part.slice(at, at + 100));
        } });
        window.fetch = async (...all) => {
            const answer = await fetch(...all);
            return new Response(answer.body?.pipeThrough(pieces()), answer);
        };
    """)
    face.open()
    face.draw("red heart", steps=2)
    face.drawn(1)


def test_cancel_ends_the_work_on_the_server(held: Face, paced: Paced) -> None:
    """After the call under way, none is begun."""
    paced.let(1)
    held.draw("red heart", steps=150)
    expect(held.page.locator("#preview")).to_be_visible()
    with held.page.expect_response("**/generate/cancel?job=*"):
        held.page.keyboard.press("Escape")
    expect(held.page.locator("#work")).to_be_hidden()
    assert paced.denoise_calls() <= 2
    expect(held.pictures).to_have_count(0)
    expect(held.page.get_by_role("button", name="Draw")).to_be_visible()


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


def test_tokens_are_counted_before_they_are_cut(page: Page) -> None:
    caption = page.get_by_label("Caption", exact=True)
    told = page.locator("#caption-tokens")
    caption.fill("red heart")
    expect(told).to_have_text("73 of 75 tokens left")
    expect(told).not_to_have_class(re.compile("warning"))
    caption.fill("cat " * 70)
    expect(told).to_have_text("5 of 75 tokens left")
    expect(told).to_have_class(re.compile("warning"))
    expect(page.locator("#said")).to_have_text("5 of 75 tokens left")
    caption.fill("cat " * 75 + "dog")
    expect(told).to_contain_text("“dog”")
    caption.fill("")
    expect(told).to_be_empty()
    expect(told).not_to_have_class(re.compile("warning"))
    page.evaluate("document.querySelector('#said').textContent = ''")
    caption.fill("cat " * 70)
    expect(page.locator("#said")).to_have_text("5 of 75 tokens left")
    page.locator("#settings summary").click()
    page.locator("#negative_caption").fill("blue")
    expect(page.locator("#negative_caption-tokens")).to_have_text("74 of 75 tokens left")


def test_what_is_typed_quickly_is_counted_once(face: Face, page: Page) -> None:
    page.locator("#caption").evaluate("""field => {
        for (const typed of ["r", "re", "red"]) {
            field.value = typed;
            field.dispatchEvent(new Event("input"));
        }
    }""")
    expect(page.locator("#caption-tokens")).to_have_text("74 of 75 tokens left")
    page.wait_for_timeout(200)
    assert sum("/tokens" in request.url for request in face.requests) == 1


def test_a_count_that_comes_late_is_not_shown(page: Page) -> None:
    """Not beside a caption that has changed meanwhile."""
    late: list[Route] = []
    page.route("**/tokens?caption=red", lambda route: late.append(route))
    with page.expect_request("**/tokens?caption=red"):
        page.locator("#caption").fill("red")
    page.locator("#caption").fill("red heart and ghost")
    expect(page.locator("#caption-tokens")).to_have_text("71 of 75 tokens left")
    with page.expect_response("**/tokens?caption=red"):
        late[0].continue_()
    page.wait_for_timeout(200)
    expect(page.locator("#caption-tokens")).to_have_text("71 of 75 tokens left")


def test_a_count_that_fails_leaves_no_older_one(face: Face, page: Page) -> None:
    page.locator("#caption").fill("red heart")
    expect(page.locator("#caption-tokens")).to_have_text("73 of 75 tokens left")
    page.route("**/tokens**", lambda route: route.fulfill(status=500))
    page.locator("#caption").fill("red heart and ghost")
    expect(page.locator("#caption-tokens")).to_be_empty()
    face.complaints.clear()  # of the status


def test_a_seed_that_will_be_replaced_may_be_anything(face: Face, page: Page) -> None:
    """A kept one may not."""
    face.draw("red heart", steps=1, seed=-5)
    expect(page.locator("#seed-error")).to_contain_text("-5 will not do")
    page.get_by_role("button", name="Keep this seed").click()
    page.locator("#caption").press("Enter")
    face.drawn(1)


def test_enter_that_ends_a_composed_word_does_not_draw(face: Face, page: Page) -> None:
    """In Japanese, say, Enter first chooses a word."""
    page.locator("#caption").fill("red heart")
    composed = {"key": "Enter", "isComposing": True, "bubbles": True}
    page.locator("#caption").dispatch_event("keydown", composed)
    page.wait_for_timeout(300)
    assert not [request for request in face.requests if "/generate" in request.url]


def test_shift_and_enter_begin_a_line(face: Face, page: Page) -> None:
    page.keyboard.type("red")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("heart")
    expect(page.locator("#caption")).to_have_value("red\nheart")
    assert not [request for request in face.requests if "/generate" in request.url]


def test_fields_have_the_servers_limits_and_defaults(page: Page, stack: Stack) -> None:
    catalogue = httpx.get(f"{stack.url}/models", trust_env=False).json()
    for name in ("steps", "guidance_scale", "n"):
        field = page.locator(f"#{name}")
        limits = catalogue["parameters"][name]
        assert float(field.get_attribute("min") or "") == limits["minimum"]
        assert float(field.get_attribute("max") or "") == limits["maximum"]
        assert float(field.input_value()) == limits["default"]
    assert page.locator("#sampler option").all_text_contents() == catalogue["samplers"]
    assert page.locator("#format option").all_text_contents() == catalogue["formats"]
    for name in ("sampler", "format"):
        assert page.locator(f"#{name}").input_value() == catalogue["parameters"][name]["default"]
    assert page.locator("#examples button").all_text_contents() == catalogue["families"][0]["examples"]
