"""From a caption to a picture, in a browser."""

from __future__ import annotations

import re

from playwright.sync_api import Page, Route, expect

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
    """Steps go up, and the preview changes."""
    page.evaluate("""() => {
        window.seen = { steps: [], bars: new Set(), previews: new Set() };
        new MutationObserver(() => {
            const [, step] = /Step (\\d+) of 50/.exec(document.querySelector("#step").textContent) ?? [];
            if (step) seen.steps.push(Number(step));
            if (step) seen.bars.add(document.querySelector("#bar").position);
            const preview = document.querySelector("#preview");
            if (!preview.hidden) seen.previews.add(preview.src);
        }).observe(document.querySelector("#work"), { subtree: true, childList: true, attributes: true });
    }""")
    face.draw("red heart", steps=50, n=2)
    expect(page.locator("#preview")).to_be_visible()
    face.drawn(2)
    steps, bars, previews = page.evaluate("[seen.steps, seen.bars.size, seen.previews.size]")
    assert steps == sorted(steps)
    # Of ten calls; a browser that has little time may see several at once.
    assert min(len(set(steps)), bars, previews) >= 3
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
    expect(told).to_have_text("Too long by: “dog”. The networks read 75 tokens.")
    expect(page.locator("#said")).to_have_text("Too long by: “dog”. The networks read 75 tokens.")
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


def test_enter_that_ends_a_composed_word_does_not_draw(face: Face, page: Page) -> None:
    """In Japanese, say, Enter first chooses a word."""
    page.locator("#caption").fill("red heart")
    composed = {"key": "Enter", "isComposing": True, "bubbles": True}
    page.locator("#caption").dispatch_event("keydown", composed)
    page.wait_for_timeout(300)
    assert not [request for request in face.requests if "/generate" in request.url]


def test_enter_that_is_held_down_draws_once(held: Face, paced: Paced) -> None:
    """What the key repeats is no wish for another picture."""
    held.page.keyboard.type("red heart")
    held.page.keyboard.down("Enter")
    expect(held.page.locator("#work")).to_be_visible()
    held.page.keyboard.down("Enter")
    held.page.keyboard.up("Enter")
    expect(held.page.locator("#failure")).to_be_empty()
    expect(held.page.locator("#caption")).to_have_value("red heart")
    paced.let()
    held.drawn(1)


def test_shift_and_enter_begin_a_line(face: Face, page: Page) -> None:
    page.keyboard.type("red")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("heart")
    expect(page.locator("#caption")).to_have_value("red\nheart")
    assert not [request for request in face.requests if "/generate" in request.url]
