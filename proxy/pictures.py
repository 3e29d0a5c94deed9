"""Pixels to files: one picture or a grid, as PNG, JPEG or WebP, with the parameters inside."""

import io
import json
import math
import zlib
from collections.abc import Mapping
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

_SOFTWARE = "Easel"
_QUALITY = 95
# A third to a fifth of the time of zlib's own choice, for files of nearly the same size.
_PNG_COMPRESSION = zlib.Z_RLE
_BLANK = 255


class Format(StrEnum):
    """The file formats."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"

    @property
    def media_type(self) -> str:
        """The format's Internet media type."""
        return f"image/{self}"


def grid(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pictures (n, H, W, 3) side by side in rows, as square as can be, white where there are none left."""
    n, height, width, channels = pictures.shape
    columns = math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    cells = np.full((rows * columns, height, width, channels), _BLANK, np.uint8)
    cells[:n] = pictures
    lines = cells.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return lines.reshape(rows * height, columns * width, channels)


def encode(picture: NDArray[np.uint8], file_format: Format, parameters: Mapping[str, object]) -> bytes:
    """A picture (H, W, 3) as a file that carries its parameters.

    PNG: a text chunk per parameter. JPEG and WebP: one JSON object as EXIF's ImageDescription, in ASCII.
    """
    image = Image.fromarray(picture)
    file = io.BytesIO()
    if file_format is Format.PNG:
        image.save(file, "PNG", compress_type=_PNG_COMPRESSION, pnginfo=_text_chunks(parameters))
    elif file_format is Format.JPEG:
        image.save(file, "JPEG", quality=_QUALITY, subsampling=0, exif=_exif(parameters))
    else:
        image.save(file, "WEBP", quality=_QUALITY, exif=_exif(parameters))
    return file.getvalue()


def _text_chunks(parameters: Mapping[str, object]) -> PngInfo:
    chunks = PngInfo()
    chunks.add_text("Software", _SOFTWARE)
    for name, value in parameters.items():
        text = str(value)
        # iTXt is UTF-8; tEXt, which every reader knows, is Latin-1.
        (chunks.add_text if text.isascii() else chunks.add_itxt)(name, text)
    return chunks


def _exif(parameters: Mapping[str, object]) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = _SOFTWARE
    # EXIF text is ASCII: JSON's own escapes carry the rest.
    exif[ExifTags.Base.ImageDescription] = json.dumps(dict(parameters))
    return exif
