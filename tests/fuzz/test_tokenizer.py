"""The tokenizer is KerasCV's, whatever the caption.

There is no known difference on what both take. KerasCV raises an error beyond 75 tokens, where a caption is cut here:
so its tokens are compared as far as they fit. Halves of surrogate pairs are no text in either: they cannot be encoded.
"""

import random
import time

import pytest

from proxy.tokenizer import CONTENT_LENGTH, END, START, bundled
from tests.fuzz.captions import caption
from tests.fuzz.share import COUNTS, FIGURES, SEED, share
from tests.proxy.kerascv import tokenizer as kerascv_tokenizer

FORGET_EVERY = 10_000
# Of the processor's, a caption.
MOST_SECONDS = 0.5


def test_random_captions_have_keras_cvs_tokens() -> None:
    chance = random.Random(f"captions {SEED}")
    count = share(2000, 105_000)
    slowest = 0.0
    for number in range(count):
        if number % FORGET_EVERY == 0:
            oracle = kerascv_tokenizer()  # it remembers every word
        text = caption(chance)
        start = time.thread_time()
        tokens = bundled()(text)
        slowest = max(slowest, time.thread_time() - start)
        content = oracle.encode(text)[1:-1]
        kept = content[:CONTENT_LENGTH]
        assert tokens.values.tolist() == [START, *kept, *[END] * (CONTENT_LENGTH + 1 - len(kept))], repr(text)
        assert tokens.count == len(kept), repr(text)
        assert bool(tokens.dropped) == (len(content) > CONTENT_LENGTH), repr(text)
        COUNTS["tokenizer: captions"] += 1
        COUNTS["tokenizer: captions that are cut"] += bool(tokens.dropped)
    assert slowest < MOST_SECONDS
    FIGURES.append(f"tokenizer: at most {slowest * 1000:.0f} ms a caption")


def test_halves_of_characters_are_refused_by_both() -> None:
    for tokenize in (bundled(), kerascv_tokenizer().encode):
        with pytest.raises(UnicodeEncodeError):
            tokenize("a \ud800")
