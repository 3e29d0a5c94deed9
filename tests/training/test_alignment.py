"""Wordings keep the name among other words, and only what has a counterpart is compared."""

import keras
import numpy as np

from training.alignment import _distance
from training.captions import PARAPHRASES, sample_wordy_caption
from training.pictures import Entry

PEAR = Entry(("pear", "green pear"), ("fruit",), np.zeros((128, 128, 3), np.uint8))


def test_the_name_stays_among_other_words() -> None:
    """Every wording names the thing; words of both kinds occur before and after it."""
    random = np.random.default_rng(0)
    captions = [sample_wordy_caption(PEAR, random, ["zeppelin"], ["happy"]) for _ in range(300)]
    assert all("pear" in caption for caption in captions)
    assert any(caption.startswith("zeppelin") for caption in captions)
    assert any(caption.endswith("happy") for caption in captions)
    assert not set(captions) & set(PARAPHRASES)


def test_places_without_a_counterpart_do_not_count() -> None:
    """NaN in the target leaves a place out of the mean, and out of the gradient."""
    target = np.array([[[1.0, 2.0], [np.nan, np.nan]]], np.float32)
    context = np.array([[[1.0, 4.0], [100.0, -100.0]]], np.float32)
    assert float(keras.ops.convert_to_numpy(_distance(target, context))) == 2.0
