"""Training says names in many ways, and never in those that the evaluation asks."""

import numpy as np

from proxy.tokenizer import Tokenizer
from training.captions import PARAPHRASES, TEMPLATES, dictionary_words, fill, sample_caption
from training.pictures import Entry
from training.text_encoder import Vocabulary, tokenize

APPLE = Entry(("red apple", "apple"), ("fruit", "food", "healthy"), np.zeros((128, 128, 3), np.uint8))


def test_paraphrases_are_held_out() -> None:
    """No template of the evaluation is one of training's."""
    assert not set(PARAPHRASES) & set(TEMPLATES)


def test_articles_fit_the_word() -> None:
    assert fill("draw {a}", "apple") == "draw an apple"
    assert fill("draw {a}", "pear") == "draw a pear"


def test_captions_vary_and_nearly_all_name_the_picture() -> None:
    """Names, templates, keywords and unknown words all occur."""
    random = np.random.default_rng(0)
    captions = [sample_caption(APPLE, random, ["zeppelin"]) for _ in range(500)]
    assert len(set(captions)) > 150
    assert sum("apple" in caption for caption in captions) / len(captions) > 0.9
    assert any("zeppelin" in caption for caption in captions)
    assert any("fruit" in caption for caption in captions)


def test_words_outside_of_the_vocabulary_are_row_zero() -> None:
    """What training never says shares the one row that stays zero, and paraphrase words are no part of training."""
    tokenizer = Tokenizer()
    vocabulary = Vocabulary((APPLE,), tokenizer)
    rows = vocabulary.row_of_token[tokenize(tokenizer, ["red apple", "zeppelin"])]
    assert (rows[0, :5] > 0).all()
    assert rows[1, 1] == 0
    assert len(vocabulary.unknown_words) > 10_000
    assert not set(vocabulary.unknown_words) & set(" ".join(PARAPHRASES).split())
    assert set(vocabulary.unknown_words) <= set(dictionary_words())


def test_the_whole_embedding_is_zero_where_nothing_was_trained() -> None:
    """49408 rows, of which only the vocabulary's are filled."""
    vocabulary = Vocabulary((APPLE,), Tokenizer())
    trained = np.ones((len(vocabulary.tokens) + 1, 4), np.float32)
    table = vocabulary.full_embedding(trained)
    assert table.shape == (49408, 4)
    assert (table.any(axis=1).nonzero()[0] == vocabulary.tokens).all()
