"""What the page weighs, and how long a picture takes on it: python -m tests.page.measure [MODEL_REPOSITORY]."""

from __future__ import annotations

import gzip
import math
import statistics
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import expect, sync_playwright

from local.stack import running_stack
from tests.page.conftest import CHROMIUM
from tests.page.face import Face

STATIC = Path("proxy/static")
ROUNDS = 20
# Milliseconds from Enter until an image is decoded and the next frame shows it.
TIMES = """() => {
    const shown = async (image, name) => {
        const { times } = window;
        if (!times || times[name]) return;
        times[name] = Infinity;
        await image.decode();
        requestAnimationFrame(() => { times[name] = performance.now() - times.enter; });
    };
    const begin = ({ key }) => { if (key === "Enter") window.times = { enter: performance.now() }; };
    addEventListener("keydown", begin, true);
    const preview = document.querySelector("#preview");
    new MutationObserver(() => preview.hidden || shown(preview, "preview")).observe(preview, { attributes: true });
    const pictures = document.querySelector("#pictures");
    new MutationObserver(() => shown(pictures.querySelector("img"), "picture")).observe(pictures, { childList: true });
}"""


def main(models: Path) -> None:
    """Print both."""
    weigh()
    with running_stack(models) as stack, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        face = Face(browser.new_page(), stack.url)
        face.open()
        face.page.evaluate(TIMES)
        taken = [_draw(face, count) for count in range(1, ROUNDS + 2)]
    for what in ("preview", "picture"):
        first, *others = (times[what] for times in taken)
        low, high = min(others), max(others)
        median = statistics.median(others)
        print(
            f"Enter to {what}: first {first:.0f} ms, next {ROUNDS}: median {median:.0f} ms, {low:.0f} to {high:.0f} ms"
        )


def weigh() -> None:
    """Print the bytes of all files, and of those that the page at / loads."""
    files = {file.name: file.read_bytes() for file in STATIC.iterdir()}
    own = {name: content for name, content in files.items() if not name.startswith("docs")}
    for what, some in (("all files", files), ("the page alone", own)):
        plain = sum(map(len, some.values()))
        packed = sum(len(gzip.compress(content, 9)) for content in some.values())
        print(f"{what}: {plain:,} bytes in {len(some)} files; each by gzip -9, {packed:,} bytes")


def _draw(face: Face, count: int) -> Any:
    """Draw one picture more with the default settings."""
    face.draw("red heart")
    face.drawn(count)
    expect(face.pictures.first).to_be_visible()
    # The page's policy forbids what Playwright's wait_for_function does.
    while not math.isfinite((times := face.page.evaluate("times")).get("picture", math.inf)):
        face.page.wait_for_timeout(10)
    return times


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "serving_models"))
