"""The page where notebooks show it: below a path, by GET alone, in a frame."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import httpx
import pytest
from playwright.sync_api import Route, expect

from local.stack import Stack
from tests.page.conftest import COMES_BACK_MILLISECONDS, Visit
from tests.page.paced import Paced
from tests.page.port_proxy import PREFIX, PortProxy, port_proxy

COLAB = ("https://colab.research.google.com", "https://abc-0-colab.googleusercontent.com")
PROXIED = "https://5000-colab.example"


@pytest.fixture
def between(stack: Stack) -> Iterator[PortProxy]:
    with port_proxy(stack.url) as server:
        yield server


def test_all_of_it_works_below_a_path_by_get_alone(visit: Visit, between: PortProxy) -> None:
    """A picture is drawn, kept, and linked to; another is cancelled; the documentation tries a request."""
    assert httpx.post(f"{between.url}/generate", json={"caption": "ghost"}, trust_env=False).status_code == 405
    assert between.refused == [f"POST {PREFIX}/generate"]
    with visit(between.url) as face:
        face.open()
        face.page.keyboard.type("red heart")
        expect(face.page.locator("#caption-tokens")).to_have_text("73 of 75 tokens left")
        face.page.keyboard.press("Enter")
        face.drawn(1)
        face.draw("ghost", steps=150, n=4)
        expect(face.page.locator("#preview")).to_be_visible()
        with face.page.expect_response("**/generate/cancel?job=*") as cancelled:
            face.page.get_by_role("button", name="Cancel").click()
        assert cancelled.value.ok
        face.open()
        face.drawn(1)
        face.pictures.first.click()
        face.page.get_by_role("button", name="Copy link").click()
        expect(face.page.locator("#viewer-said")).to_contain_text("Copied")
        link = face.page.evaluate("navigator.clipboard.readText()")
        assert link.startswith(f"{between.url}/generate?caption=red+heart&")
        assert httpx.get(link, trust_env=False).headers["content-type"] == "image/png"
        face.page.keyboard.press("Escape")
        face.page.get_by_role("link", name="API").click()
        health = face.page.get_by_role("region", name="GET /healthz", exact=True)
        health.get_by_text("Try it").click()
        health.get_by_role("button").click()
        expect(health.locator("pre").last).to_contain_text('"status": "ok"')
        face.page.get_by_role("link", name="Draw").click()
        expect(face.page.locator("#caption")).to_be_focused()
    assert len(between.refused) == 1


def test_a_broken_connection_is_made_again(visit: Visit, paced: Paced) -> None:
    """The work goes on meanwhile and is not begun twice."""
    with port_proxy(paced.url) as between, visit(between.url) as face:
        face.open()
        between.break_next_stream()
        face.draw("rocket", steps=1)
        expect(face.page.locator("#step")).to_have_text("The connection broke. Trying again …")
        expect(face.page.locator("#said")).to_have_text("The connection broke. Trying again …")
        paced.let()
        face.drawn(1)
        assert paced.denoise_calls() == 1


def test_work_that_never_told_its_name_is_not_begun_twice(visit: Visit, paced: Paced) -> None:
    """A stream that breaks before its first event is said to be lost, and not asked for again."""
    with port_proxy(paced.url) as between, visit(between.url) as face:
        face.open()
        between.break_next_stream(pieces=0)
        face.draw("rocket", steps=1)
        expect(face.page.locator("#failure")).to_have_text("The server has lost this picture. Please draw it again.")
        expect(face.page.locator("#work")).to_be_hidden()
        face.page.wait_for_timeout(COMES_BACK_MILLISECONDS)
        assert paced.denoise_calls() <= 1
        assert sum("/generate/events" in request.url for request in face.requests) == 1


@pytest.mark.parametrize(("ancestors", "is_shown"), [(COLAB, True), (("https://elsewhere.example",), False)])
def test_notebooks_may_frame_it_and_others_not(
    stack: Stack, visit: Visit, ancestors: tuple[str, ...], is_shown: bool
) -> None:
    """Each ancestor frames the next, and the last of them the page; all are answered here, no other host is asked."""
    with visit(PROXIED, *ancestors) as face:
        for outer, inner in zip(ancestors, (*ancestors[1:], PROXIED), strict=True):
            body = f'<iframe src="{inner}/" width="600" height="600"></iframe>'
            face.page.route(f"{outer}/", partial(_frame, body))
        face.page.route(f"{PROXIED}/**", partial(_forward, stack.url))
        face.page.goto(f"{ancestors[0]}/")
        frame = face.page.frame_locator("iframe")
        for _ in ancestors[1:]:
            frame = frame.frame_locator("iframe")
        if is_shown:
            expect(frame.locator("#caption")).to_be_enabled()
            frame.locator("#caption").press_sequentially("red heart")
            frame.locator("#caption").press("Enter")
            expect(frame.locator("#pictures img")).to_have_count(1)
        else:
            with face.page.expect_event("console", lambda message: "frame-ancestors" in message.text):
                face.page.reload()
            expect(frame.locator("#caption")).to_have_count(0)
        # Nothing else is complained of.
        expected = "Blocked autofocusing" if is_shown else "frame-ancestors"
        assert all(expected in complaint for complaint in face.complaints)
        face.complaints.clear()


def _frame(body: str, route: Route) -> None:
    route.fulfill(content_type="text/html", body=body)


def _forward(url: str, route: Route) -> None:
    route.fulfill(response=route.fetch(url=route.request.url.replace(PROXIED, url)))
