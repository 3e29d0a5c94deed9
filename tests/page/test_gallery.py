"""What becomes of pictures that were drawn."""

from __future__ import annotations

from io import BytesIO

import httpx
import numpy as np
from PIL import Image
from playwright.sync_api import Page, expect

from tests.page.face import Face


def test_pictures_outlast_the_page(face: Face, page: Page) -> None:
    """The newest first, those of one request in the order of their seeds."""
    face.draw("red heart", n=1, steps=2)
    face.drawn(1)
    face.draw("pizza", n=3, seed=7, steps=2)
    face.drawn(4)
    sources = page.evaluate("[...document.querySelectorAll('#pictures img')].map(image => image.alt)")
    face.open()
    face.drawn(4)
    assert sources == ["pizza", "pizza", "pizza", "red heart"]
    assert page.evaluate("[...document.querySelectorAll('#pictures img')].map(image => image.alt)") == sources
    for seed in ("7", "8", "9"):
        face.pictures.nth(int(seed) - 7).click()
        expect(page.locator("#viewer-parameters")).to_contain_text(f"Seed{seed}")
        page.keyboard.press("Escape")


def test_what_is_deleted_can_come_back(face: Face, page: Page) -> None:
    """After a reload too, a picture that was brought back is there."""
    face.draw("red heart", n=2, steps=2)
    face.drawn(2)
    face.pictures.last.click()
    page.get_by_role("button", name="Delete").click()
    face.drawn(1)
    expect(page.get_by_role("button", name="Undo delete")).to_be_focused()
    page.keyboard.press("Enter")
    face.drawn(2)
    face.open()
    face.drawn(2)


def test_the_link_makes_the_same_picture(face: Face, page: Page) -> None:
    face.draw("red heart", n=2, steps=4, negative_caption="blue", sampler="ddim")
    face.drawn(2)
    face.pictures.last.click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Save").click()
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator("#viewer-said")).to_contain_text("Copied")
    link = page.evaluate("navigator.clipboard.readText()")
    again = httpx.get(link, trust_env=False).content
    # Drawn in company and alone, a picture may differ by the order in which a processor adds.
    saved, linked = (np.asarray(Image.open(file), np.int16) for file in (download.value.path(), BytesIO(again)))
    assert np.abs(saved - linked).max() <= 1


def test_settings_are_taken_over_and_drawn_with_another_seed(face: Face, page: Page) -> None:
    face.draw("red heart", steps=3, seed=11)
    face.drawn(1)
    face.draw("pizza", steps=2, seed=12)
    face.drawn(2)
    face.pictures.last.click()
    page.get_by_role("button", name="Use these settings").click()
    expect(page.get_by_label("Caption", exact=True)).to_have_value("red heart")
    expect(page.get_by_label("Steps")).to_have_value("3")
    expect(page.locator("#seed")).to_have_value("11")
    expect(page.get_by_role("button", name="Keep this seed")).to_have_attribute("aria-pressed", "true")
    face.pictures.last.click()
    page.get_by_role("button", name="Again with another seed").click()
    face.drawn(3)
    face.pictures.first.click()
    expect(page.locator("#viewer-parameters")).to_contain_text("Steps3")
    expect(page.locator("#viewer-parameters")).not_to_contain_text("Seed11")


def test_a_kept_seed_stays_and_another_is_new(face: Face, page: Page) -> None:
    seed = page.locator("#seed")
    face.draw("red heart", steps=1)
    face.drawn(1)
    first = seed.input_value()
    face.draw("red heart", steps=1)
    face.drawn(2)
    second = seed.input_value()
    page.get_by_role("button", name="Keep this seed").click()
    face.draw("red heart", steps=1)
    face.drawn(3)
    assert first != second == seed.input_value()
    page.get_by_role("button", name="Another seed", exact=True).click()
    assert seed.input_value() != second
