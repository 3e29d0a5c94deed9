"""The text in a PNG file, read without its pixels, in memory that no file can drive up."""

import struct
import zlib
from collections.abc import Callable, Iterator

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LARGEST_TEXT_BYTES = 1 << 20


def read(file: bytes) -> dict[str, str]:
    """The texts by their keywords. Raises ValueError, saying what is wrong, if the file is damaged or cut short."""
    texts: dict[str, str] = {}
    left = _LARGEST_TEXT_BYTES
    for kind, content in _chunks(file):
        if kind in _READERS:
            keyword, text = _READERS[kind](content, left)
            left -= len(text)
            texts[keyword.decode("latin-1")] = text.decode("utf-8" if kind == b"iTXt" else "latin-1")
    return texts


def _chunks(file: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each chunk, to the last."""
    if not file.startswith(_SIGNATURE):
        raise ValueError("no PNG file")
    position, kind = len(_SIGNATURE), b""
    while kind != b"IEND":
        content_start = position + 8
        if content_start > len(file):
            raise ValueError("cut short")
        length, kind = struct.unpack_from(">I4s", file, position)
        position = content_start + length + 4
        if position > len(file):
            raise ValueError("cut short")
        content = file[content_start : position - 4]
        if zlib.crc32(kind + content).to_bytes(4, "big") != file[position - 4 : position]:
            raise ValueError("damaged")
        yield kind, content


def _plain(content: bytes, left: int) -> tuple[bytes, bytes]:
    keyword, _, text = content.partition(b"\0")
    return keyword, _bounded(text, left)


def _compressed(content: bytes, left: int) -> tuple[bytes, bytes]:
    keyword, _, rest = content.partition(b"\0")
    return keyword, _inflated(rest[1:], left)


def _international(content: bytes, left: int) -> tuple[bytes, bytes]:
    """After the keyword: whether it is compressed, how, a language and a translated keyword."""
    keyword, _, rest = content.partition(b"\0")
    text = rest[2:].split(b"\0", 2)[-1]
    return keyword, _inflated(text, left) if rest[:1] == b"\1" else _bounded(text, left)


_READERS: dict[bytes, Callable[[bytes, int], tuple[bytes, bytes]]] = {
    b"tEXt": _plain,
    b"zTXt": _compressed,
    b"iTXt": _international,
}


def _inflated(compressed: bytes, left: int) -> bytes:
    try:
        return _bounded(zlib.decompressobj().decompress(compressed, left + 1), left)
    except zlib.error as exc:
        raise ValueError("damaged") from exc


def _bounded(text: bytes, left: int) -> bytes:
    if len(text) > left:
        raise ValueError(f"more than {_LARGEST_TEXT_BYTES} bytes of text")
    return text
