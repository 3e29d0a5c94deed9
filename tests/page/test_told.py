"""How long it takes, and what is wrong, in words: of events and answers that the test makes up."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from tests.page.face import Face

# The page's requests for events are answered with what the test gives to `tell`.
EVENTS = """
const { fetch } = window;
window.fetch = async (path, ...rest) => {
    if (path.startsWith("generate/cancel")) return Response.json({});
    if (!path.startsWith("generate/events")) return fetch(path, ...rest);
    const body = new ReadableStream({ start(stream) {
        const coded = (text) => new TextEncoder().encode(text);
        window.tell = ([name, data]) => stream.enqueue(
            coded(`event: ${name}\\nid: made-up.1\\ndata: ${JSON.stringify({ job: "made-up", ...data })}\\n\\n`));
    } });
    return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
};
"""
A_PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs="
ANOTHER = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw=="


@pytest.fixture
def told(face: Face) -> Face:
    """The page while it draws what the test tells of."""
    face.page.add_init_script(EVENTS)
    face.open()
    face.draw("red heart")
    expect(face.page.locator("#work")).to_be_visible()
    return face


def tell(face: Face, event: str, **data: Any) -> None:
    face.page.evaluate("event => tell(event)", [event, data])


def test_the_step_and_the_time_left_are_told(told: Face) -> None:
    """In minutes, where it takes long; and by a bar."""
    for step, seconds, said in (
        (1, None, "Step 1 of 15"),
        (2, 0.4, "Step 2 of 15"),
        (3, 12.3, "Step 3 of 15, 13 s left"),
        (4, 119.5, "Step 4 of 15, 120 s left"),
        (5, 754, "Step 5 of 15, 13 min left"),
        (15, 0, "Last strokes"),
    ):
        tell(told, "progress", step=step, steps=15, seconds_left=seconds, preview=None)
        expect(told.page.locator("#step")).to_have_text(said)
        expect(told.page.locator("#bar")).to_have_js_property("position", step / 15)
        expect(told.page.locator("#preview")).to_be_hidden()


def test_the_newest_preview_is_shown(told: Face) -> None:
    """Until there is another."""
    preview = told.page.locator("#preview")
    for shown in (A_PIXEL, ANOTHER):
        tell(told, "progress", step=5, steps=15, seconds_left=1, preview=shown)
        expect(preview).to_have_attribute("src", shown)
    tell(told, "progress", step=6, steps=15, seconds_left=1, preview=None)
    expect(told.page.locator("#step")).to_contain_text("Step 6")
    expect(preview).to_have_attribute("src", ANOTHER)
    expect(preview).to_be_visible()


def test_how_long_the_line_is_is_told(told: Face) -> None:
    """The place aloud; the time, where it is known, to those who look."""
    tell(told, "queued", position=3, seconds_left=None)
    expect(told.page.locator("#step")).to_have_text("In line, number 3")
    tell(told, "queued", position=2, seconds_left=41.2)
    expect(told.page.locator("#step")).to_have_text("In line, number 2, 42 s left")
    expect(told.page.get_by_role("status").filter(has_text="In line, number 2")).to_have_text("In line, number 2")


def test_what_is_wrong_is_a_sentence(face: Face) -> None:
    """Whoever wrote it; it is heard at once, and gone when the next picture is begun."""
    face.open()
    problem = {"type": "queue_full", "message": "128 requests wait already, and no more may; try again in 7 s"}
    for message, said in (
        ("the proxy was stopped before the picture was done", "The proxy was stopped before the picture was done."),
        (problem["message"], f"{problem['message']}."),
    ):
        event = f"event: error\ndata: {json.dumps({'error': problem | {'message': message}})}\n\n"
        _answer_once(face, "**/generate/events**", content_type="text/event-stream", body=event)
        face.draw("red heart")
        expect(face.page.get_by_role("alert").filter(has_text="e")).to_have_text(said)
    face.draw("red heart", steps=1)
    face.drawn(1)
    expect(face.page.locator("#failure")).to_be_empty()


def test_a_busy_server_is_asked_again_when_it_says(face: Face) -> None:
    """Not before: those who wait do not keep it busy."""
    message = "no more than 3 requests a minute of one address are allowed; try again in 30 s"
    refused = {"error": {"type": "rate_limited", "message": message, "details": []}}
    face.page.clock.install(time=0)
    face.page.clock.pause_at(1)
    headers = {"Retry-After": "30"}
    _answer_once(face, "**/models", status=429, headers=headers, json=refused)
    face.page.goto(face.url)
    banner = face.page.locator("#banner")
    expect(banner).to_have_text(f"N{message[1:]}. Trying again …")
    face.page.clock.run_for(29_000)
    expect(banner).to_be_visible()
    assert _asked(face) == 1
    face.page.clock.run_for(2_000)
    expect(face.page.locator("#caption")).to_be_enabled()
    expect(banner).to_be_hidden()
    assert _asked(face) == 2
    face.complaints.clear()  # of the status


@pytest.mark.parametrize("body", ['{"error": "Bad gateway"}', "null"])
def test_what_a_gateway_says_does_not_confuse_the_page(face: Face, body: str) -> None:
    """JSON of its own: the page says that something is wrong, and goes on."""
    answer = {"status": 502, "content_type": "application/json", "body": body}
    _answer_once(face, "**/models", **answer)
    face.page.goto(face.url)
    expect(face.page.locator("#banner")).to_have_text("The server answered with status 502. Trying again …")
    expect(face.page.locator("#caption")).to_be_enabled()
    _answer_once(face, "**/generate/events**", **answer)
    face.draw("red heart", steps=1)
    expect(face.page.locator("#failure")).to_have_text("The server cannot be reached.")
    face.draw("red heart", steps=1)
    face.drawn(1)
    face.complaints = [complaint for complaint in face.complaints if "502" not in complaint]


def test_a_problem_without_words_is_no_sentence(face: Face) -> None:
    """Nor does it keep the page from the next picture."""
    face.open()
    event = f"event: error\ndata: {json.dumps({'error': {'type': '', 'message': '', 'details': []}})}\n\n"
    _answer_once(face, "**/generate/events**", content_type="text/event-stream", body=event)
    face.draw("red heart", steps=1)
    expect(face.page.locator("#work")).to_be_hidden()
    face.draw("red heart", steps=1)
    face.drawn(1)


def _asked(face: Face) -> int:
    return sum(request.url.endswith("/models") for request in face.requests)


def _answer_once(face: Face, path: str, **answer: Any) -> None:
    def fulfill(route: Route) -> None:
        route.fulfill(**answer)

    face.page.route(path, fulfill, times=1)
