"""Things are repainted in the colour that is asked for, and what is not coloured stays."""

import colorsys
from pathlib import Path

import numpy as np
import pytest

from training.pictures import COLOURS, FontNotFoundError, load_pictures, recolour

HUES = {name: hue for name, (hue, saturation, _) in COLOURS.items() if saturation}


@pytest.fixture
def red_disc() -> np.ndarray:
    """A red disc with a dark outline and a blue spot on white: (128, 128, 3) uint8."""
    y, x = np.mgrid[:128, :128]
    radius = np.hypot(x - 64, y - 64)
    pixels = np.full((128, 128, 3), 255, np.uint8)
    pixels[radius < 50] = (60, 60, 60)
    pixels[radius < 46] = (220, 30, 40)
    pixels[radius < 8] = (40, 90, 230)
    return pixels


@pytest.mark.parametrize("colour", HUES)
def test_the_dominant_hue_becomes_the_colour(red_disc: np.ndarray, colour: str) -> None:
    """The body has the colour's hue; outline, spot and background are what they were."""
    painted = recolour(red_disc, colour)
    hue = colorsys.rgb_to_hsv(*(painted[64, 90] / 255))[0] * 360
    assert abs((hue - HUES[colour] + 180) % 360 - 180) < 4
    for y, x in ((64, 112), (64, 64), (2, 2)):
        np.testing.assert_array_equal(painted[y, x], red_disc[y, x])


def test_black_has_no_hue(red_disc: np.ndarray) -> None:
    """Black is dark and grey."""
    painted = recolour(red_disc, "black")[64, 90].astype(int)
    assert painted.max() < 90
    assert np.ptp(painted) < 6


def test_a_missing_font_is_named(tmp_path: Path) -> None:
    """The message says where it was looked for and how to get it."""
    with pytest.raises(FontNotFoundError, match=r"nowhere\.ttf.*fonts-noto-color-emoji"):
        load_pictures(tmp_path / "nowhere.ttf")
