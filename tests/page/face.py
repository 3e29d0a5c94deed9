"""What a person does with the page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Locator, Page, Request, expect


@dataclass
class Face:
    """The page, what it asked of any server, and what the browser complained about."""

    page: Page
    url: str
    requests: list[Request] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str = "/") -> None:
        """Go to the page and wait until its form is there."""
        self.page.goto(self.url + path)
        if path == "/":
            expect(self.page.locator("#caption")).to_be_enabled()

    @property
    def pictures(self) -> Locator:
        """The grid's pictures."""
        return self.page.locator("#pictures li img")

    def draw(self, caption: str, **settings: Any) -> None:
        """Fill in the form and press Enter."""
        self.page.get_by_label("Caption", exact=True).fill(caption)
        if settings:
            self.page.locator("#settings").evaluate("details => { details.open = true }")
        for name, value in settings.items():
            box = self.page.locator(f"#{name}")
            box.select_option(value) if name in ("sampler", "format", "family", "size") else box.fill(str(value))
        self.page.get_by_label("Caption", exact=True).press("Enter")

    def drawn(self, count: int) -> None:
        """Wait until so many pictures are there."""
        expect(self.pictures).to_have_count(count)
        expect(self.page.locator("#work")).to_be_hidden()
