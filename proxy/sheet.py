"""A contact sheet: pictures in a grid, with their captions below."""

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

_LETTER_PIXELS = 12
_LINE_PIXELS = 16
_MOST_LINES = 3
_MARGIN_PIXELS = 8

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont


def sheet(pictures: Sequence[tuple[Image.Image, str]]) -> Image.Image:
    """The pictures, each with its caption below, in rows as square as can be, on white."""
    font = ImageFont.load_default(_LETTER_PIXELS)
    width, height = (max(picture.size[axis] for picture, _ in pictures) for axis in (0, 1))
    captions = [wrap(caption, width, font) for _, caption in pictures]
    cell = (width + _MARGIN_PIXELS, height + max(map(len, captions)) * _LINE_PIXELS + _MARGIN_PIXELS)
    columns = math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    page = Image.new("RGB", (columns * cell[0] + _MARGIN_PIXELS, rows * cell[1] + _MARGIN_PIXELS), "white")
    pen = ImageDraw.Draw(page)
    for number, ((picture, _), lines) in enumerate(zip(pictures, captions, strict=True)):
        row, column = divmod(number, columns)
        left, top = _MARGIN_PIXELS + column * cell[0], _MARGIN_PIXELS + row * cell[1]
        page.paste(picture, (left, top))
        for index, line in enumerate(lines):
            pen.text((left, top + height + index * _LINE_PIXELS), line, fill="black", font=font)
    return page


def wrap(caption: str, width: int, font: Font) -> list[str]:
    """The caption in lines of at most so many pixels; an ellipsis stands for what does not fit."""
    lines = [""]
    for word in caption.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 1], " ".join(lines[_MOST_LINES - 1 :])]
    return [_cut(line, width, font) for line in lines]


def _cut(line: str, width: int, font: Font) -> str:
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(f"{line}…") > width:
        line = line[:-1]
    return f"{line}…"
