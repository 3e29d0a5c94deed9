"""The contact sheet's layout."""

import pytest
from PIL import Image, ImageFont

from proxy.sheet import sheet, wrap

FONT = ImageFont.load_default(12)


@pytest.mark.parametrize(
    ("caption", "lines"),
    [
        ("red heart", ["red heart"]),
        ("a smiling face with red hearts", ["a smiling face", "with red hearts"]),
        ("", [""]),
    ],
)
def test_captions_break_between_words(caption: str, lines: list[str]) -> None:
    assert wrap(caption, 100, FONT) == lines


@pytest.mark.parametrize("caption", ["donaudampfschifffahrtsgesellschaft", "one two three four five six seven " * 3])
def test_what_does_not_fit_ends_in_an_ellipsis(caption: str) -> None:
    """Whether the word is too long or there are too many; no line is wider than the picture."""
    lines = wrap(caption, 64, FONT)
    assert len(lines) <= 3
    assert lines[-1].endswith("…")
    assert all(FONT.getlength(line) <= 64 for line in lines)


def test_the_sheet_is_as_square_as_can_be() -> None:
    """Five pictures of two sizes: three columns, two rows, cells for the largest."""
    pictures = [(Image.new("RGB", size), "a") for size in [(64, 32)] * 4 + [(32, 64)]]
    assert sheet(pictures).size == (8 + 3 * (64 + 8), 8 + 2 * (64 + 16 + 8))
