"""Tokens are KerasCV's."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_cv.src.models.stable_diffusion.constants import _UNCONDITIONAL_TOKENS

from proxy.tokenizer import END, Tokenizer, clean
from tests.proxy.captions import captions
from tests.proxy.kerascv import tokenizer as kerascv_tokenizer

ORACLE = kerascv_tokenizer()
OURS = Tokenizer()


def expected(caption: str) -> list[int]:
    """KerasCV's tokens, padded as KerasCV pads them, cut after 75 content tokens where it would raise."""
    content = ORACLE.encode(caption)[1:-1][:75]
    return [49406, *content, *[49407] * (76 - len(content))]


def test_every_caption_has_keras_cvs_tokens() -> None:
    corpus = captions()
    assert len(corpus) >= 1000
    wrong = [caption for caption in corpus if OURS(caption).values.tolist() != expected(caption)]
    assert wrong == []


@settings(max_examples=500, deadline=None)
@given(st.text())
def test_any_text_has_keras_cvs_tokens(caption: str) -> None:
    assert OURS(caption).values.tolist() == expected(caption)


def test_the_empty_caption_has_the_unconditional_tokens() -> None:
    assert OURS("").values.tolist() == _UNCONDITIONAL_TOKENS


def test_a_known_caption() -> None:
    tokens = OURS("a caterpillar smoking a hookah")
    assert tokens.values[:6].tolist() == [49406, 320, 27111, 9038, 320, 34214]
    assert tokens.values.shape == (77,)
    assert tokens.values.dtype == np.int32


@pytest.mark.parametrize("words", [0, 1, 74, 75])
def test_up_to_75_content_tokens_nothing_is_dropped(words: int) -> None:
    tokens = OURS("cat " * words)
    assert tokens.dropped == ""
    assert int((tokens.values == 2368).sum()) == words


def test_what_does_not_fit_is_dropped_and_told() -> None:
    tokens = OURS("Cat " * 75 + "Purple   &amp;  <b> Dog")
    assert tokens.dropped == "purple & <b> dog"
    assert tokens.values[75] == 2368
    assert tokens.values[76] == END


def test_a_word_that_straddles_the_limit_is_dropped_from_its_first_lost_token() -> None:
    """'caterpillarzx' is cater-pillar... in pieces: those that fit are kept, the rest is named."""
    pieces = ORACLE.encode("caterpillarzx")[1:-1]
    assert len(pieces) > 1
    tokens = OURS("cat " * 74 + "caterpillarzx")
    assert tokens.values[75] == pieces[0]
    assert tokens.dropped == "caterpillarzx"[len(ORACLE.decode([pieces[0]])) :]


def test_a_character_split_between_tokens_is_dropped_from_the_character_that_was_cut() -> None:
    """Three tokens of one emoji's four bytes: the dropped text names whole characters."""
    assert len(ORACLE.encode("𓀀")) - 2 > 1
    tokens = OURS("cat " * 74 + "𓀀𓀀")
    assert tokens.dropped == "𓀀𓀀"


def expected_drop(caption: str) -> str:
    """What KerasCV's first 75 pieces, put together again, leave of the clean caption."""
    pieces = [ORACLE.decoder[number].removesuffix("</w>") for number in ORACLE.encode(caption)[1:-1]]
    if len(pieces) <= 75:
        return ""
    kept_bytes, text = sum(map(len, pieces[:75])), clean(caption)
    for position, character in enumerate(text):
        kept_bytes -= 0 if character == " " else len(character.encode())
        if kept_bytes < 0:
            return text[position:]
    return ""


@pytest.mark.parametrize("words", range(70, 77))
@pytest.mark.parametrize("rest", ["心" * 40, "éж" * 30, "𓀀" * 9, "caterpillarzx", "<|endoftext|>" * 8, "x😀" * 9])
def test_what_is_dropped_begins_with_the_first_character_that_did_not_fit(words: int, rest: str) -> None:
    caption = "cat " * words + rest
    assert OURS(caption).dropped == expected_drop(caption)


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=80, max_size=300))
def test_what_is_kept_and_what_is_dropped_make_up_the_caption(caption: str) -> None:
    assert OURS(caption).dropped == expected_drop(caption)


@pytest.mark.parametrize("character", ["心", "a", "😀", "cat ", "! ", "&amp;"])
def test_a_very_long_caption_takes_no_time(character: str) -> None:
    """One word of 20,000 characters took 6 s when every token counted from the word's beginning."""
    start = time.perf_counter()
    OURS(character * 20_000)
    assert time.perf_counter() - start < 0.5
