"""Random captions out of everything that Unicode has."""
# ruff: noqa: RUF001 - look-alikes are the point

import html
import sys
import unicodedata
from collections.abc import Callable
from random import Random

_ZWJ = "\u200d"
_SPACES = (
    "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u180e\u2000\u2003\u200a\u200b\u2028\u2029\u202f\u205f\u2060\u3000"
)
_CONTROLS = "".join(map(chr, [*range(32), *range(127, 160), 0x202A, 0x202E, 0x2066, 0xFFF9, 0xFFFE, 0xE0001, 0xE007F]))
_COMBINING = [chr(code) for code in range(sys.maxunicode) if unicodedata.category(chr(code)) in ("Mn", "Me", "Mc")]
_CASED = [chr(code) for code in range(sys.maxunicode) if chr(code).lower() != chr(code) or len(chr(code).upper()) > 1]
_NUMBERS = [chr(code) for code in range(sys.maxunicode) if unicodedata.category(chr(code)).startswith("N")]
_EMOJI = (*range(0x1F1E6, 0x1F200), *range(0x1F300, 0x1FB00), *range(0x2600, 0x27C0), *range(0x1F3FB, 0x1F400))
_PIECES = [
    "'s",
    "'T",
    "'re",
    "'VE",
    "'m",
    "'LL",
    "'d",
    "'ſ",
    "''",
    "s'",
    "<|startoftext|>",
    "<|EndOfText|>",
    "<|endoftext|",
    "<|",
    "|>",
    "</w>",
    "&amp;",
    "&AMP",
    "&lt;b&gt;",
    "&nbsp",
    "&#0;",
    "&#xD800;",
    "&#x110000;",
    "&#128;",
    "&notit;",
    "&amp;amp;lt;",
    "&#38;#60;",
    "&bne;",
    "&NotEqualTilde;",
    "heart",
    "RED",
    "don't",
    "3D",
    "№5",
    "½",
    "ǅ",
    "İ",
    "ß",
    "ﬃ",
]


def caption(chance: Random) -> str:
    """One to a dozen runs of different kinds, put together with or without space."""
    runs = (chance.choice(_RUNS)(chance) for _ in range(chance.choice([1, 2, 3, 5, 12])))
    return chance.choice(["", "", " ", "  ", "'"]).join(runs)


def _length(chance: Random) -> int:
    return chance.choice([1, 2, 3, 8, 20])


def _any(chance: Random) -> str:
    """From all planes; halves of surrogate pairs are no characters."""
    codes = (chance.randrange(sys.maxunicode + 1) for _ in range(_length(chance)))
    return "".join(chr(code) for code in codes if not 0xD800 <= code <= 0xDFFF)


def _block(chance: Random) -> str:
    """Of one alphabet, as far as neighbours are one."""
    start = chance.choice([chance.randrange(0xD700), chance.randrange(0xE000, 0x32400)])
    return "".join(chr(start + chance.randrange(100)) for _ in range(_length(chance)))


def _ascii(chance: Random) -> str:
    return "".join(chr(chance.randrange(128)) for _ in range(_length(chance)))


def _of(characters: str | list[str] | tuple[str, ...]) -> Callable[[Random], str]:
    return lambda chance: "".join(chance.choice(characters) for _ in range(_length(chance)))


def _marked(chance: Random) -> str:
    return "".join(chr(chance.randrange(97, 123)) + chance.choice(_COMBINING) for _ in range(_length(chance)))


def _emoji(chance: Random) -> str:
    glue = chance.choice(["", _ZWJ, "\ufe0f", "\ufe0f" + _ZWJ, "\u20e3"])
    return glue.join(chr(chance.choice(_EMOJI)) for _ in range(_length(chance)))


def _entities(chance: Random) -> str:
    forms = ("&#{0};", "&#x{0:x};", "&#X{0:X}", "&#{0}")
    text = "".join(chance.choice(forms).format(chance.randrange(0x120000)) for _ in range(_length(chance)))
    return html.escape(text) if chance.random() < 0.3 else text


def _word(chance: Random) -> str:
    """A very long one."""
    text = chance.choice([_any, _ascii, _marked, _emoji])(chance) or "a"
    return text * chance.choice([20, 50, 100])


_RUNS: tuple[Callable[[Random], str], ...] = (
    *(_any, _any, _block, _ascii, _marked, _emoji, _entities),
    *(_of(_SPACES), _of(_CONTROLS), _of(_COMBINING), _of(_CASED), _of(_NUMBERS), _of(_PIECES), _of(_PIECES)),
    _word,
)
