"""The bundled networks have learned what captions say: colours, and what has them."""

import colorsys
import io

import httpx
import numpy as np
import pytest
from PIL import Image

HUES = {"red": 2, "yellow": 50, "green": 120, "blue": 212, "purple": 275}
LARGEST_HUE_ERROR = 25


def draw(client: httpx.Client, caption: str) -> np.ndarray:
    """Return the caption's picture, (128, 128, 3) in 0..1."""
    response = client.get("/generate", params={"caption": caption, "steps": 20, "seed": 5}).raise_for_status()
    return np.asarray(Image.open(io.BytesIO(response.content))) / 255


def hue(picture: np.ndarray) -> float:
    """Return the hue in degrees that most of the coloured pixels have."""
    hues, saturations, values = np.array([colorsys.rgb_to_hsv(*pixel) for pixel in picture.reshape(-1, 3)]).T
    counts, edges = np.histogram(hues * 360, bins=36, range=(0, 360), weights=saturations * values)
    return float(edges[counts.argmax()] + 5)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Return the share of two pictures' painted pixels that both have painted."""
    painted = [picture.min(axis=-1) < 0.8 for picture in (one, other)]
    return float((painted[0] & painted[1]).sum() / (painted[0] | painted[1]).sum())


@pytest.mark.parametrize("thing", ["balloon", "car"])
def test_things_have_the_colour_of_the_caption(client: httpx.Client, thing: str) -> None:
    """A red, yellow, green, blue and purple one."""
    for colour, expected in HUES.items():
        error = abs((hue(draw(client, f"{colour} {thing}")) - expected + 180) % 360 - 180)
        assert error <= LARGEST_HUE_ERROR, f"{colour} {thing}: {error:.0f} degrees off"


def test_a_thing_keeps_its_shape_in_another_colour_and_wording(client: httpx.Client) -> None:
    """Two balloons overlap, however they are asked for; a balloon and a car do not."""
    balloon = draw(client, "red balloon")
    assert overlap(balloon, draw(client, "blue balloon")) > 0.8
    assert overlap(balloon, draw(client, "a picture of a red balloon")) > 0.8
    assert overlap(balloon, draw(client, "red car")) < 0.5
