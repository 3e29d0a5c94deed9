"""The pictures that the emoji family learns: Noto emoji rendered from the font, and recoloured things."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

EMOJI_TABLE = Path(__file__).with_name("emoji.tsv")
DEFAULT_FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
FONT_SIZE_PIXELS = 109  # the only size that the font's bitmaps have
BITMAP_SIZE = (136, 128)
PICTURE_SIZE = 128
HELD_OUT_PICTURES = 60
VIVID_SATURATION = 0.7  # pale things are painted at least this strongly, else their colour has no name
SAME_PICTURE_ERROR = 0.004  # mean squared error at 32 x 32 under which two emoji look the same

# HSV targets of the recoloured things: hue in degrees, saturation and value factors.
COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (2, 1.0, 1.0),
    "orange": (28, 1.0, 1.05),
    "yellow": (50, 0.95, 1.15),
    "green": (120, 0.85, 0.85),
    "blue": (212, 1.0, 1.0),
    "purple": (275, 0.9, 0.9),
    "pink": (330, 0.6, 1.15),
    "brown": (24, 0.85, 0.58),
    "black": (0, 0.0, 0.3),
}

# What people call it: the emoji's own name, and the colour it has.
THINGS: dict[str, tuple[str, str]] = {
    "car": ("automobile", "red"), "apple": ("red apple", "red"), "balloon": ("balloon", "red"),
    "star": ("star", "yellow"), "key": ("key", "yellow"), "cap": ("billed cap", "blue"), "octopus": ("octopus", "red"),
    "turtle": ("turtle", "green"), "fish": ("tropical fish", "yellow"), "butterfly": ("butterfly", "orange"),
    "umbrella": ("umbrella", "purple"), "guitar": ("guitar", "red"), "t-shirt": ("t-shirt", "blue"),
    "dress": ("dress", "blue"), "present": ("wrapped gift", "yellow"), "running shoe": ("running shoe", "blue"),
    "crown": ("crown", "yellow"), "bell": ("bell", "yellow"), "tulip": ("tulip", "pink"), "rose": ("rose", "red"),
    "mushroom": ("mushroom", "red"), "frog": ("frog", "green"), "snake": ("snake", "green"), "crab": ("crab", "red"),
    "helicopter": ("helicopter", "yellow"), "lock": ("locked", "yellow"), "handbag": ("handbag", "brown"),
    "backpack": ("backpack", "red"), "gloves": ("gloves", "blue"), "scarf": ("scarf", "red"),
    "book": ("closed book", "red"), "truck": ("delivery truck", "yellow"), "scooter": ("motor scooter", "yellow"),
    "lobster": ("lobster", "red"), "leaf": ("maple leaf", "red"), "high-heeled shoe": ("high-heeled shoe", "red"),
    "trumpet": ("trumpet", "yellow"), "strawberry": ("strawberry", "red"), "pear": ("pear", "green"),
    "kite": ("kite", "red"),
}  # fmt: skip


class FontNotFoundError(FileNotFoundError):
    """The Noto Color Emoji font is not where it was looked for."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"No font at {path}. Install Noto Color Emoji (Debian: apt-get install fonts-noto-color-emoji), "
            "or name its .ttf file (the bitmap build, CBDT) with --font."
        )


@dataclass(frozen=True)
class Entry:
    """One picture of the training set.

    Attributes:
        names: the captions that mean this picture and no other, the most usual first.
        keywords: words that it shares with other pictures.
        pixels: (128, 128, 3) uint8, on white.
        thing: what a recoloured thing is, else "".
        colour: the colour of a recoloured thing, else "".
    """

    names: tuple[str, ...]
    keywords: tuple[str, ...]
    pixels: np.ndarray
    thing: str = ""
    colour: str = ""


@dataclass(frozen=True)
class Pictures:
    """The pictures to train on, and the coloured things that training never sees."""

    trained: tuple[Entry, ...]
    held_out: tuple[Entry, ...]


@cache
def load_pictures(font: Path = DEFAULT_FONT) -> Pictures:
    """Render all emoji and recolour the things; the same font gives the same pictures.

    Raises:
        FontNotFoundError: when `font` does not exist.
    """
    if not font.is_file():
        raise FontNotFoundError(font)
    emoji = _without_look_alikes(_render_emoji(font))
    by_name = {entry.names[0]: entry for entry in emoji}
    recoloured: list[Entry] = []
    for thing, (name, native) in THINGS.items():
        original = by_name[name]
        by_name[name] = Entry(
            tuple(dict.fromkeys((name, thing, f"{native} {thing}"))),
            original.keywords, original.pixels, thing, native,
        )  # fmt: skip
        variants = [
            Entry((f"{colour} {thing}",), (), recolour(original.pixels, colour), thing, colour)
            for colour in COLOURS
            if colour != native and f"{colour} {thing}" not in by_name
        ]
        recoloured += _without_look_alikes([original, *variants])[1:]
    recoloured.sort(key=lambda entry: hashlib.sha256(entry.names[0].encode()).digest())
    return Pictures((*by_name.values(), *recoloured[HELD_OUT_PICTURES:]), tuple(recoloured[:HELD_OUT_PICTURES]))


def recolour(pixels: np.ndarray, colour: str) -> np.ndarray:
    """Paint the dominant hue of a picture in another colour; other hues and greys stay.

    Args:
        pixels: (128, 128, 3) uint8.
        colour: one of `COLOURS`.
    """
    hsv = _hsv(pixels)
    hue, saturation_factor, value_factor = COLOURS[colour]
    distance = np.abs((hsv[..., 0] - _dominant_hue(hsv) + 180) % 360 - 180)
    weight = np.clip((70 - distance) / 20, 0, 1) * np.clip((hsv[..., 1] - 0.12) / 0.1, 0, 1)
    vividness = max(1.0, VIVID_SATURATION / float(np.average(hsv[..., 1], weights=weight + 1e-6)))
    saturation = np.clip(hsv[..., 1] * vividness, 0, 1) * saturation_factor
    value = np.clip(hsv[..., 2] * value_factor, 0, 1)
    painted = np.stack([np.full_like(value, hue), saturation, value], -1)
    mixed = pixels * (1 - weight[..., None]) + _rgb(painted) * weight[..., None]
    return mixed.round().clip(0, 255).astype(np.uint8)


def _render_emoji(font_path: Path) -> list[Entry]:
    font = ImageFont.truetype(str(font_path), FONT_SIZE_PIXELS)
    with EMOJI_TABLE.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [
        Entry((row["name"],), tuple(filter(None, row["keywords"].split(", "))), _render(row["codepoints"], font))
        for row in rows
    ]


def _render(codepoints: str, font: ImageFont.FreeTypeFont) -> np.ndarray:
    glyph = Image.new("RGBA", BITMAP_SIZE, (255, 255, 255, 0))
    text = "".join(chr(int(code, 16)) for code in codepoints.split("-"))
    ImageDraw.Draw(glyph).text((0, 0), text, font=font, embedded_color=True)
    flat = Image.alpha_composite(Image.new("RGBA", BITMAP_SIZE, "white"), glyph).convert("RGB")
    height = PICTURE_SIZE * BITMAP_SIZE[1] // BITMAP_SIZE[0]
    picture = Image.new("RGB", (PICTURE_SIZE, PICTURE_SIZE), "white")
    picture.paste(flat.resize((PICTURE_SIZE, height), Image.Resampling.LANCZOS), (0, (PICTURE_SIZE - height) // 2))
    return np.asarray(picture)


def _without_look_alikes(entries: list[Entry]) -> list[Entry]:
    """Keep the first of each group of emoji that cannot be told apart at a glance."""
    kept: list[Entry] = []
    thumbnails = np.empty((len(entries), 32 * 32 * 3), np.float32)
    things = {name for name, _ in THINGS.values()}
    for entry in sorted(entries, key=lambda entry: entry.names[0] not in things):
        small = Image.fromarray(entry.pixels).resize((32, 32), Image.Resampling.BOX)
        thumbnail = np.asarray(small, np.float32).ravel() / 255
        if kept and ((thumbnails[: len(kept)] - thumbnail) ** 2).mean(axis=1).min() < SAME_PICTURE_ERROR:
            continue
        thumbnails[len(kept)] = thumbnail
        kept.append(entry)
    return kept


def _hsv(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> hue in degrees, saturation and value in 0..1, float32."""
    hsv = np.asarray(Image.fromarray(pixels).convert("HSV"), np.float32)
    return hsv * np.array([360 / 256, 1 / 255, 1 / 255], np.float32)


def _rgb(hsv: np.ndarray) -> np.ndarray:
    scaled = (hsv * np.array([256 / 360, 255, 255])).round().clip(0, 255).astype(np.uint8)
    return np.asarray(Image.fromarray(scaled, "HSV").convert("RGB"), np.float32)


def _dominant_hue(hsv: np.ndarray) -> float:
    weights = hsv[..., 1] * hsv[..., 2] * (hsv[..., 1] > 0.25)
    histogram, edges = np.histogram(hsv[..., 0], bins=36, range=(0, 360), weights=weights)
    smooth = histogram + 0.6 * (np.roll(histogram, 1) + np.roll(histogram, -1))
    return float(edges[int(smooth.argmax())] + 5)
