"""Files hold the pixels and the parameters."""

import io
import json

import numpy as np
import pytest
from PIL import ExifTags, Image

from proxy.pictures import Format, encode, grid

PARAMETERS = {"caption": 'rød "hjerte" 心\n<3', "seed": 5, "guidance_scale": 7.5, "negative_caption": ""}


def picture(height: int = 16, width: int = 24) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 10, y * 10, x + y], axis=2).astype(np.uint8)


def test_png_keeps_every_pixel_and_a_text_chunk_per_parameter() -> None:
    image = Image.open(io.BytesIO(encode(picture(), Format.PNG, PARAMETERS)))
    assert image.format == "PNG"
    assert (np.asarray(image) == picture()).all()
    assert image.text == {"Software": "Easel", **{name: str(value) for name, value in PARAMETERS.items()}}


@pytest.mark.parametrize("file_format", [Format.JPEG, Format.WEBP])
def test_jpeg_and_webp_come_close_and_have_the_parameters_in_exif(file_format: Format) -> None:
    image = Image.open(io.BytesIO(encode(picture(), file_format, PARAMETERS)))
    assert image.format == file_format.upper()
    assert np.abs(np.asarray(image.convert("RGB")).astype(int) - picture()).mean() < 4
    assert json.loads(image.getexif()[ExifTags.Base.ImageDescription]) == PARAMETERS


@pytest.mark.parametrize(
    ("n", "rows", "columns"), [(1, 1, 1), (2, 1, 2), (3, 2, 2), (4, 2, 2), (5, 2, 3), (7, 3, 3), (12, 3, 4), (16, 4, 4)]
)
def test_a_grid_has_every_picture_in_reading_order(n: int, rows: int, columns: int) -> None:
    pictures = np.stack([np.full((2, 3, 3), i, np.uint8) for i in range(n)])
    sheet = grid(pictures)
    assert sheet.shape == (2 * rows, 3 * columns, 3)
    cells = [sheet[r * 2 : r * 2 + 2, c * 3 : c * 3 + 3] for r in range(rows) for c in range(columns)]
    assert all((cells[i] == i).all() for i in range(n))
    assert all((cell == 255).all() for cell in cells[n:])


def test_a_grid_of_one_is_the_picture() -> None:
    assert (grid(picture()[None]) == picture()).all()
