"""The README's screenshots, and how long a picture takes on the page: python -m tests.page.screenshots."""

from __future__ import annotations

import statistics
import sys
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from local.stack import running_stack
from tests.page.conftest import CHROMIUM
from tests.page.face import Face

FOLDER = Path("screenshots")
DESKTOP, PHONE = (1120, 700), (390, 780)
TIMES = """() => {
    window.times = {};
    addEventListener("keydown", (event) => { if (event.key === "Enter") times = { enter: performance.now() }; }, true);
    new MutationObserver(() => {
        if (!document.querySelector("#preview").hidden) times.preview ??= performance.now() - times.enter;
    }).observe(document.querySelector("#work"), { subtree: true, attributes: true });
    new MutationObserver(() => { times.picture ??= performance.now() - times.enter; })
        .observe(document.querySelector("#pictures"), { childList: true });
}"""


def main(models: Path) -> None:
    """Take them all."""
    with running_stack(models) as stack, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for scheme, size, name in (("light", DESKTOP, "desktop"), ("dark", DESKTOP, "dark"), ("light", PHONE, "phone")):
            face = Face(_page(browser, scheme, size), stack.url)
            face.open()
            for caption in ("red heart", "rocket", "purple umbrella", "ghost", "pizza", "sunflower"):
                _draw(face, caption)
            if name == "desktop":
                _shoot(face.page, "desktop")
                _progress_and_error(face)
                _measure(face)
            else:
                face.page.evaluate("scrollTo(0, 0)")
                _shoot(face.page, name)


def _page(browser: Browser, scheme: str, size: tuple[int, int]) -> Page:
    width, height = size
    return browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]


def _draw(face: Face, caption: str) -> None:
    before = face.pictures.count()
    face.draw(caption)
    face.drawn(before + 1)


def _measure(face: Face) -> None:
    """Print milliseconds from Enter to the first preview and to the picture, at default settings."""
    face.page.reload()
    expect(face.page.locator("#caption")).to_be_enabled()
    face.page.evaluate(TIMES)
    taken = []
    for _ in range(9):
        _draw(face, "red heart")
        taken.append(face.page.evaluate("times"))
    for what in ("preview", "picture"):
        print(what, round(statistics.median(times[what] for times in taken)), "ms")


def _progress_and_error(face: Face) -> None:
    face.draw("purple umbrella", steps=150, n=4)
    expect(face.page.locator("#preview")).to_be_visible()
    face.page.wait_for_timeout(700)
    _shoot(face.page, "progress")
    face.page.keyboard.press("Escape")
    expect(face.page.locator("#work")).to_be_hidden()
    face.draw("purple umbrella", steps=15, n=40)
    _shoot(face.page, "error")
    face.page.reload()
    expect(face.pictures.first).to_be_visible()
    face.pictures.last.click()
    _shoot(face.page, "picture")
    face.page.keyboard.press("Escape")


def _shoot(page: Page, name: str) -> None:
    taken = page.screenshot(animations="disabled", caret="hide")
    Image.open(BytesIO(taken)).convert("RGB").quantize(200).save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "serving_models"))
