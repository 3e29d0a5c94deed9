"""One thing at a time, on the page and on the server, and what is said meanwhile."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Error, Page, expect

from local.stack import Stack, free_port, proxy_process
from tests.page.conftest import COMES_BACK_MILLISECONDS, Visit
from tests.page.face import Face
from tests.page.paced import Paced


def test_who_comes_second_stands_in_line(held: Face, paced: Paced, visit: Visit) -> None:
    """The place is said, and the turn comes when the first has left."""
    with visit(paced.url) as second:
        second.open()
        paced.let(1)
        held.draw("red heart", steps=150)
        expect(held.page.locator("#preview")).to_be_visible()
        second.draw("rocket", steps=2)
        expect(second.page.locator("#step")).to_contain_text("In line, number 1")
        expect(second.page.locator("#said")).to_have_text("In line, number 1")
        held.page.keyboard.press("Escape")
        paced.let()
        second.drawn(1)


def test_nothing_else_is_begun_meanwhile(held: Face, paced: Paced) -> None:
    """Enter says so; with a picture open, drawing another is not offered, and Escape closes that picture only."""
    page, again = held.page, held.page.locator("#viewer-again")
    paced.let(2)
    held.draw("rocket", steps=1)
    held.drawn(1)
    held.draw("red heart", steps=150)
    expect(page.locator("#preview")).to_be_visible()
    expect(page.get_by_role("button", name="Draw")).to_have_attribute("aria-disabled", "true")
    page.keyboard.press("Enter")
    expect(page.locator("#failure")).to_have_text("One thing at a time: wait for this one, or cancel it.")
    assert sum("/generate/events" in request.url for request in held.requests) == 2
    held.pictures.first.click()
    expect(again).to_be_disabled()
    page.keyboard.press("Escape")
    expect(page.locator("#viewer")).to_be_hidden()
    expect(page.locator("#work")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#work")).to_be_hidden()
    expect(page.locator("#said")).to_have_text("Cancelled.")
    expect(page.locator("#failure")).to_be_empty()
    expect(page.get_by_role("button", name="Draw")).to_be_focused()
    expect(page.get_by_role("button", name="Draw")).to_have_attribute("aria-disabled", "false")
    held.pictures.first.click()
    expect(again).to_be_enabled()


def test_escape_that_leaves_a_composed_word_does_not_cancel(held: Face, paced: Paced) -> None:
    paced.let(1)
    held.draw("red heart", steps=150)
    expect(held.page.locator("#preview")).to_be_visible()
    composed = {"key": "Escape", "isComposing": True, "bubbles": True}
    held.page.locator("#caption").dispatch_event("keydown", composed)
    expect(held.page.locator("#work")).to_be_visible()
    expect(held.page.locator("#said")).not_to_have_text("Cancelled.")
    held.page.keyboard.press("Escape")
    expect(held.page.locator("#work")).to_be_hidden()


def test_cancel_reaches_work_that_has_not_answered_yet(held: Face, paced: Paced) -> None:
    """It is ended as soon as its name is known."""
    held.page.locator("#caption").fill("red heart")
    held.page.locator("#steps").evaluate("field => { field.value = 150 }")
    with held.page.expect_response("**/generate/cancel?job=*") as cancelled:
        held.page.evaluate("""() => {
            document.querySelector("#form").requestSubmit();
            dispatchEvent(new KeyboardEvent("keydown", { key: "Escape" }));
        }""")
    assert cancelled.value.ok
    expect(held.page.locator("#work")).to_be_hidden()
    assert paced.denoise_calls() <= 1
    expect(held.pictures).to_have_count(0)


def test_what_was_cancelled_while_the_server_was_away_is_not_begun_later(face: Face, page: Page) -> None:
    page.route("**/generate/events**", lambda route: route.abort())
    face.draw("red heart")
    expect(page.locator("#step")).to_contain_text("Trying again")
    with page.expect_event("requestfailed"):
        page.keyboard.press("Escape")
        expect(page.locator("#work")).to_be_hidden()
    asked = sum("/generate/events" in request.url for request in face.requests)
    page.wait_for_timeout(COMES_BACK_MILLISECONDS)
    assert sum("/generate/events" in request.url for request in face.requests) == asked
    face.complaints.clear()  # of the connections that broke


def test_a_server_without_models_is_waited_for(stack: Stack, visit: Visit) -> None:
    """Which ones are missing is said."""
    port = free_port()
    with proxy_process([f"http://127.0.0.1:{free_port()}"], "emoji", port), visit(f"http://127.0.0.1:{port}") as face:
        _until_up(face)
        expect(face.page.locator("#banner")).to_contain_text("Trying again")
        expect(face.page.locator("#banner")).to_contain_text("emoji_text_encoder")
        expect(face.page.locator("#caption")).to_be_disabled()
        face.complaints.clear()  # of the status 503


def test_failures_on_the_way_are_told_as_sentences(face: Face, page: Page) -> None:
    """What no field is about stands above the pictures; a job that the server has forgotten is to be drawn again."""
    failure = page.locator("#failure")
    error = 'event: error\ndata: {"error": {"type": "bad_model_answer", "message": "model emoji_decoder: NaN"}}\n\n'
    _answer_events(page, status=200, content_type="text/event-stream", body=error)
    face.draw("red heart")
    expect(failure).to_have_text("Model emoji_decoder: NaN.")
    expect(page.locator("#work")).to_be_hidden()
    _answer_events(page, status=204)
    face.draw("red heart")
    expect(failure).to_have_text("The server cannot be reached.")
    queued = 'event: queued\nid: gone.0\nretry: 10\ndata: {"job": "gone", "position": 1}\n\n'
    _answer_events(page, status=200, content_type="text/event-stream", body=queued)
    face.draw("red heart")
    expect(failure).to_have_text("The server has lost this picture. Please draw it again.")
    face.draw("red heart", steps=1)
    face.drawn(1)
    expect(failure).to_be_empty()


def _answer_events(page: Page, **answer: Any) -> None:
    """Answer the next request for events with this; a browser that comes back reaches the server."""
    page.route("**/generate/events**", lambda route: route.fulfill(**answer), times=1)


def _until_up(face: Face) -> None:
    """Go to a page whose server is starting."""
    while True:
        try:
            face.page.goto(face.url)
        except Error:
            face.page.wait_for_timeout(100)
        else:
            return
