"""Turns a caption into CLIP's tokens, equal to KerasCV's SimpleTokenizer."""

import functools
import gzip
import html
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import regex  # type: ignore[import-untyped]
from numpy.typing import NDArray
from tokenizers.models import BPE

VOCABULARY = Path(__file__).parent / "vocabulary" / "bpe_simple_vocab_16e6.txt.gz"
START, END = 49406, 49407
LENGTH = 77
CONTENT_LENGTH = LENGTH - 2

_MERGES = START - 2 * 256
_SPECIAL = {"<|startoftext|>": START, "<|endoftext|>": END}
# The library and the pattern are KerasCV's own: another engine's Unicode tables would split new characters otherwise.
_WORD = regex.compile(
    "|".join(regex.escape(special) for special in _SPECIAL)
    + r"|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
    regex.IGNORECASE,
)


@dataclass(frozen=True)
class Tokens:
    """A tokenized caption.

    values: (77,) int32: 49406, at most 75 content tokens, then 49407 to the end.
    dropped: the end of the cleaned caption that did not fit, empty if all of it did.
    count: of the content tokens.
    """

    values: NDArray[np.int32]
    dropped: str
    count: int


@functools.cache
def bundled() -> "Tokenizer":
    """The tokenizer of the bundled vocabulary, loaded once."""
    return Tokenizer()


def clean(caption: str) -> str:
    """The caption as the tokenizer reads it: HTML unescaped twice, white space collapsed, lower case."""
    unescaped = html.unescape(html.unescape(caption)).strip()
    collapsed: str = regex.sub(r"\s+", " ", unescaped)
    return collapsed.strip().lower()


class Tokenizer:
    """CLIP's byte pair encoding over the bundled vocabulary; loading takes about 0.1 s and 25 MB."""

    def __init__(self, vocabulary: Path = VOCABULARY) -> None:
        lines = gzip.decompress(vocabulary.read_bytes()).decode().split("\n")
        merges = [(left, right) for left, right in (line.split() for line in lines[1 : _MERGES + 1])]
        self._characters = _byte_characters()
        names = list(self._characters.values())
        names += [f"{name}</w>" for name in names] + [left + right for left, right in merges]
        self._model = BPE({name: number for number, name in enumerate(names)}, merges, end_of_word_suffix="</w>")

    def __call__(self, caption: str) -> Tokens:
        """The caption's 77 tokens, cut after 75 content tokens; about 10 ms for 20,000 characters."""
        text = clean(caption)
        content, end = self._content(text)
        values = np.full(LENGTH, END, np.int32)
        values[0] = START
        values[1 : 1 + len(content)] = content
        return Tokens(values, text[end:], len(content))

    def _content(self, text: str) -> tuple[list[int], int]:
        """The content tokens that fit, and the position in `text` of the first character that did not fit whole."""
        content: list[int] = []
        for match in _WORD.finditer(text):
            word, start = match.group(), match.start()
            room = CONTENT_LENGTH - len(content)
            if word in _SPECIAL:
                if not room:
                    return content, start
                content.append(_SPECIAL[word])
                continue
            printable = "".join(self._characters[byte] for byte in word.encode())
            tokens = self._model.tokenize(printable)
            content += [token.id for token in tokens[:room]]
            if len(tokens) > room:
                # Offsets count the UTF-8 of the printable characters, of which there is one for each byte of the word.
                kept_bytes = len(printable.encode()[: tokens[room].offsets[0]].decode())
                return content, start + len(word.encode()[:kept_bytes].decode(errors="ignore"))
        return content, len(text)


def _byte_characters() -> dict[int, str]:
    """GPT-2's printable character for each byte, in the order in which the vocabulary numbers them."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    shifted = {byte: chr(256 + place) for place, byte in enumerate(others)}
    return {byte: chr(byte) for byte in printable} | shifted
