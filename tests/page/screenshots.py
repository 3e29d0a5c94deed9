"""The README's screenshots: python -m tests.page.screenshots [MODEL_REPOSITORY]."""

from __future__ import annotations

import re
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from local.stack import running_stack
from tests.page.conftest import CHROMIUM
from tests.page.face import Face

FOLDER = Path("screenshots")
MOST_BYTES = 200_000
CAPTIONS = ("red heart", "rocket", "purple umbrella", "ghost", "pizza", "sunflower")
DESKTOP = {"viewport": {"width": 1120, "height": 620}}
TALL: Any = {"width": 1120, "height": 800}
DARK = {**DESKTOP, "color_scheme": "dark"}
PHONE = {"viewport": {"width": 390, "height": 780}, "is_mobile": True, "has_touch": True}


def main(models: Path) -> None:
    """Take them all."""
    with running_stack(models) as stack, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name, looks in (("desktop", DESKTOP), ("dark", DARK), ("phone", PHONE)):
            face = _with_pictures(browser, stack.url, looks)
            _shoot(face.page, name)
            if name == "desktop":
                _picture(face)
                face.page.set_viewport_size(TALL)
                _error(face)
                _progress(face)


def _with_pictures(browser: Browser, url: str, looks: dict[str, Any]) -> Face:
    """The page after the captions were drawn, each with a seed of its own that is the same every time."""
    face = Face(browser.new_page(**looks), url)
    face.open()
    for count, caption in enumerate(CAPTIONS, 1):
        face.draw(caption, seed=count)
        face.drawn(count)
    face.page.locator("#settings summary").click()
    face.page.evaluate("scrollTo(0, 0)")
    face.page.mouse.move(0, 0)
    return face


def _picture(face: Face) -> None:
    face.pictures.nth(1).click()
    _shoot(face.page, "picture")
    face.page.keyboard.press("Escape")
    face.page.mouse.move(0, 0)


def _error(face: Face) -> None:
    face.draw("purple umbrella", n=40)
    expect(face.page.locator("#n-error")).to_be_visible()
    expect(face.page.locator("#caption-tokens")).to_have_text("73 of 75 tokens left")
    _shoot(face.page, "error")


def _progress(face: Face) -> None:
    face.draw("purple umbrella", steps=150, n=4)
    expect(face.page.locator("#step")).to_have_text(re.compile(r"Step 1[0-2]\d of"), timeout=30_000)
    _shoot(face.page, "progress")
    face.page.keyboard.press("Escape")
    expect(face.page.locator("#work")).to_be_hidden()


def _shoot(page: Page, name: str) -> None:
    """Keep what is seen, each colour in as many bits as fit."""
    taken = Image.open(BytesIO(page.screenshot(animations="disabled", caret="hide"))).convert("RGB")
    for bits in range(8, 0, -1):
        most = 2**bits - 1
        levels = [round(round(value * most / 255) * 255 / most) for value in range(256)]
        file = BytesIO()
        taken.point(levels * 3).save(file, "png", optimize=True)
        if file.tell() <= MOST_BYTES:
            break
    (FOLDER / f"{name}.png").write_bytes(file.getvalue())


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "serving_models"))
