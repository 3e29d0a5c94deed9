"""What becomes of pictures that were drawn."""

from __future__ import annotations

import re
from io import BytesIO
from urllib.parse import parse_qsl, urlsplit

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
    captions = _captions(page)
    face.pictures.first.click()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#viewer-parameters")).to_contain_text("Seed8")
    face.open()
    face.drawn(4)
    assert captions == _captions(page) == ["pizza", "pizza", "pizza", "red heart"]
    for seed in ("7", "8", "9"):
        face.pictures.nth(int(seed) - 7).click()
        expect(page.locator("#viewer-parameters")).to_contain_text(f"Seed{seed}")
        page.keyboard.press("Escape")


def test_what_is_deleted_can_come_back(face: Face, page: Page) -> None:
    """After a reload too, a picture that was brought back is there, and a deleted one is not."""
    face.draw("red heart", n=2, seed=5, steps=2)
    face.drawn(2)
    face.pictures.last.click()
    page.get_by_role("button", name="Delete").click()
    face.drawn(1)
    expect(page.get_by_role("button", name="Undo delete")).to_be_focused()
    page.keyboard.press("Enter")
    face.drawn(2)
    face.pictures.last.click()
    expect(page.locator("#viewer-parameters")).to_contain_text("Seed6")
    face.open()
    face.drawn(2)
    face.pictures.last.click()
    page.get_by_role("button", name="Delete").click()
    expect(page.locator("#said")).to_have_text("Deleted.")
    face.open()
    face.drawn(1)


def test_what_comes_back_has_its_place(face: Face, page: Page) -> None:
    """The last that was deleted first, each between those that were drawn before and after it; the next day too."""
    for count, caption in enumerate(("red heart", "pizza", "ghost"), 1):
        face.draw(caption, steps=1)
        face.drawn(count)
    for caption in ("pizza", "red heart"):
        page.get_by_role("list").get_by_role("button", name=caption).click()
        page.get_by_role("button", name="Delete", exact=True).click()
        expect(page.locator("#undo")).to_be_focused()
    face.draw("rocket", steps=1)
    face.drawn(2)
    page.locator("#undo").click()
    face.drawn(3)
    assert _captions(page) == ["rocket", "ghost", "red heart"]
    page.locator("#undo").click()
    face.drawn(4)
    assert _captions(page) == ["rocket", "ghost", "pizza", "red heart"]
    face.open()
    face.drawn(4)
    assert _captions(page) == ["rocket", "ghost", "pizza", "red heart"]


def _captions(page: Page) -> list[str]:
    captions: list[str] = page.evaluate("[...document.querySelectorAll('#pictures img')].map(image => image.alt)")
    return captions


def test_undo_clicked_twice_brings_one_picture_back(face: Face, page: Page) -> None:
    """The files of deleted pictures take no room in the page; one that is back is seen again."""
    page.evaluate("""() => {
        const { revokeObjectURL } = URL;
        window.revoked = [];
        URL.revokeObjectURL = (url) => { revoked.push(url); revokeObjectURL.call(URL, url); };
    }""")
    face.draw("red heart", steps=1)
    face.drawn(1)
    source = face.pictures.first.get_attribute("src")
    face.pictures.first.click()
    page.get_by_role("button", name="Delete").click()
    face.drawn(0)
    assert page.evaluate("revoked") == [source]
    page.locator("#undo").evaluate("button => { button.click(); button.click(); }")
    face.drawn(1)
    expect(face.pictures.first).to_have_js_property("naturalWidth", 128)


def test_the_link_makes_the_same_picture(face: Face, page: Page) -> None:
    """Whatever was chosen."""
    chosen = {"steps": "4", "guidance_scale": "3.5", "negative_caption": "blue", "sampler": "ddim", "format": "webp"}
    face.draw("red heart", **chosen, n=2, seed=5)
    face.drawn(2)
    face.pictures.last.click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Save").click()
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator("#viewer-said")).to_contain_text("Copied")
    link = page.evaluate("navigator.clipboard.readText()")
    rest = {"caption": "red heart", "n": "1", "seed": "6", "width": "128", "height": "128", "family": "emoji"}
    assert dict(parse_qsl(urlsplit(link).query)) == chosen | rest
    again = httpx.get(link, trust_env=False).content
    # Drawn in company and alone, a picture may differ by the order in which a processor adds, and a WebP by more.
    saved, linked = (np.asarray(Image.open(file), np.int16) for file in (download.value.path(), BytesIO(again)))
    assert np.abs(saved - linked).mean() < 1


def test_a_click_beside_it_closes_a_picture(face: Face, page: Page) -> None:
    face.draw("red heart", steps=1)
    face.drawn(1)
    face.pictures.first.click()
    page.locator("#viewer-picture").click()
    expect(page.locator("#viewer")).to_be_visible()
    page.mouse.click(5, 5)
    expect(page.locator("#viewer")).to_be_hidden()


def test_the_link_can_be_copied_by_hand(face: Face) -> None:
    """Browsers lend the clipboard to pages of this machine or over HTTPS alone."""
    face.page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    face.open()
    face.draw("red heart", steps=1, seed=3)
    face.drawn(1)
    face.pictures.first.click()
    face.page.get_by_role("button", name="Copy link").click()
    link = face.page.locator("#viewer-said a")
    assert httpx.get(link.get_attribute("href") or "", trust_env=False).headers["easel-seed"] == "3"
    expect(link).to_contain_text("/generate?caption=red+heart&")


def test_a_full_disk_is_said(face: Face, page: Page) -> None:
    """What cannot be kept can still be looked at and saved."""
    storage = page.context.new_cdp_session(page)
    storage.send("Storage.overrideQuotaForOrigin", {"origin": face.url, "quotaSize": 1000})
    face.draw("red heart", steps=1)
    face.drawn(1)
    expect(page.locator("#failure")).to_contain_text("This browser has no room to keep it")
    face.pictures.first.click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Save").click()
    seed = page.locator("#viewer-parameters dd").nth(2).text_content()
    assert download.value.suggested_filename == f"easel-{seed}.png"


def test_a_browser_that_keeps_nothing_draws_all_the_same(face: Face) -> None:
    """Some refuse their database to private windows and to frames of another site."""
    face.page.add_init_script("IDBFactory.prototype.open = () => { throw new DOMException('no', 'SecurityError'); }")
    face.open()
    face.draw("red heart", steps=1, n=2)
    face.drawn(2)
    expect(face.page.locator("#failure")).to_contain_text("2 pictures are there. This browser has no room")
    face.pictures.first.click()
    face.page.get_by_role("button", name="Delete").click()
    face.drawn(1)
    face.open()
    face.drawn(0)


def test_settings_are_taken_over_and_drawn_with_another_seed(face: Face, page: Page) -> None:
    face.draw("red heart", steps=3, seed=11)
    face.drawn(1)
    face.draw("pizza", steps=2, seed=12)
    face.drawn(2)
    face.pictures.last.click()
    page.get_by_role("button", name="Use these settings").click()
    expect(page.get_by_label("Caption", exact=True)).to_have_value("red heart")
    expect(page.get_by_label("Caption", exact=True)).to_be_focused()
    expect(page.get_by_label("Steps")).to_have_value("3")
    expect(page.locator("#n")).to_have_value("1")
    expect(page.locator("#seed")).to_have_value("11")
    expect(page.get_by_role("button", name="Keep this seed")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#caption-tokens")).to_have_text("73 of 75 tokens left")
    face.pictures.last.click()
    page.get_by_role("button", name="Again with another seed").click()
    face.drawn(3)
    face.pictures.first.click()
    expect(page.locator("#viewer-parameters")).to_contain_text("Steps3")
    # Of 2,147,483,646 seeds, chance draws none below 100 while these tests are run.
    expect(page.locator("#viewer-parameters")).to_contain_text(re.compile(r"Seed\d{3,10}Sampler"))


def test_a_kept_seed_is_one_that_can_be_seen(face: Face, page: Page) -> None:
    """Where none was there, one is drawn, and the next picture has it too."""
    page.locator("#settings summary").click()
    page.get_by_role("button", name="Keep this seed").click()
    for count in (1, 2):
        face.draw("red heart", steps=1)
        face.drawn(count)
    face.pictures.last.click()
    seed = page.locator("#seed").input_value()
    assert seed
    expect(page.locator("#viewer-parameters")).to_contain_text(f"Seed{seed}Sampler")


def test_a_kept_seed_stays_and_another_is_new(face: Face, page: Page) -> None:
    seed = page.locator("#seed")
    face.draw("red heart", steps=1)
    face.drawn(1)
    first = seed.input_value()
    face.draw("red heart", steps=1)
    face.drawn(2)
    second = seed.input_value()
    keep = page.get_by_role("button", name="Keep this seed")
    keep.click()
    face.draw("red heart", steps=1)
    face.drawn(3)
    assert first != second == seed.input_value()
    keep.click()
    expect(keep).to_have_attribute("aria-pressed", "false")
    page.get_by_role("button", name="Another seed", exact=True).click()
    rolled = seed.input_value()
    assert rolled != second
    assert max(map(int, (first, second, rolled))) > 1_000_000, "seeds are drawn from all that there are"
    face.draw("red heart", steps=1)
    face.drawn(4)
    assert seed.input_value() == rolled
    page.get_by_role("button", name="Keep this seed").click()
    face.draw("red heart", steps=1, seed=7)
    face.drawn(5)
    expect(page.get_by_role("button", name="Keep this seed")).to_have_attribute("aria-pressed", "true")
    assert seed.input_value() == "7"
