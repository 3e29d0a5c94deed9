"""Text out of PNG files that mean no good."""

import io
import struct
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from proxy.text_chunks import read

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(*chunks: bytes) -> bytes:
    return SIGNATURE + b"".join(chunks) + chunk(b"IEND", b"")


def pillows() -> bytes:
    texts = PngInfo()
    texts.add_text("plain", "caf\xe9\nline")
    texts.add_text("compressed", "b" * 2000, zip=True)
    texts.add_itxt("international", "心 heart", "en", "key")
    texts.add_itxt("both", "心" * 500, zip=True)
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG", pnginfo=texts)
    return file.getvalue()


FILE = pillows()


def test_every_kind_of_text_is_read() -> None:
    assert read(FILE) == {
        "plain": "caf\xe9\nline",
        "compressed": "b" * 2000,
        "international": "心 heart",
        "both": "心" * 500,
    }


def test_text_after_the_pixels_is_read() -> None:
    assert read(FILE[:-12] + chunk(b"tEXt", b"late\0text") + chunk(b"IEND", b""))["late"] == "text"


@pytest.mark.parametrize("length", range(len(FILE)))
def test_a_file_that_is_cut_short_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=r"no PNG file|cut short"):
        read(FILE[:length])


@given(st.integers(0, len(FILE) - 1), st.integers(1, 255))
def test_a_damaged_byte_is_noticed(position: int, change: int) -> None:
    damaged = bytearray(FILE)
    damaged[position] ^= change
    with pytest.raises(ValueError, match=r"no PNG file|cut short|damaged"):
        read(bytes(damaged))


@given(st.binary() | st.tuples(st.sampled_from([b"tEXt", b"zTXt", b"iTXt"]), st.binary()).map(lambda c: png(chunk(*c))))
def test_anything_is_read_or_refused(file: bytes) -> None:
    try:
        texts = read(file)
    except ValueError:
        return
    assert all(text.encode() is not None for text in texts.values())


def test_a_bomb_is_refused_in_little_memory() -> None:
    """Fifty texts that inflate to 100 MB each."""
    bomb = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(100_000_000), 9))
    for kind in (png(bomb), png(*[chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(100_000), 9))] * 50)):
        tracemalloc.start()
        with pytest.raises(ValueError, match="more than 1048576 bytes of text"):
            read(kind)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
        tracemalloc.stop()
