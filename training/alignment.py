"""Stage 5: the text encoder learns to say of every wording what it says of the plain name.

A caption in words that training never used moves the context away from those that the diffusion model has seen. Here
the encoder is corrected for it, while what it says of names, the target, stays: the diffusion model needs no more
training.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from export import emoji
from proxy.tokenizer import Tokenizer
from training.captions import sample_wordy_caption
from training.fitting import fit
from training.pictures import Entry
from training.text_encoder import Vocabulary, tokenize

LEARNING_RATE = 6e-4
BATCH_SIZE = 128
CAPTION_LENGTH = 30  # tokens with the end token; longer captions are cut
PADDING_LENGTH = 9  # positions of the padding that are compared, drawn anew for each batch, besides the last
EMPTY_CAPTION_SHARE = 0.04


def align_text_encoder(
    encoder: keras.Model,
    entries: tuple[Entry, ...],
    vocabulary: Vocabulary,
    tokenizer: Tokenizer,
    epochs: int,
    folder: Path,
) -> None:
    """Train the text encoder further, in place.

    Args:
        encoder: over the rows of `vocabulary`, for sequences of any length.
        entries: the pictures and what they are called.
        vocabulary: maps tokens to rows of the embedding.
        tokenizer: CLIP's.
        epochs: passes over the pictures, each with a new caption.
        folder: where progress is kept; training resumes from it.
    """
    fit(encoder, _Wordings(encoder, entries, vocabulary, tokenizer), epochs, folder, LEARNING_RATE, loss=_distance)


def _distance(target: Any, context: Any) -> Any:
    """Mean squared distance where `target` is not NaN: words have no counterpart in the plain name."""
    known = ops.logical_not(ops.isnan(target))
    error = ops.where(known, context - ops.where(known, target, 0.0), 0.0)
    return ops.sum(ops.square(error)) / ops.cast(ops.sum(ops.cast(known, "int32")), "float32")


class _Wordings(keras.utils.PyDataset):
    """Batches of ((tokens, positions), context of the plain name at these positions)."""

    def __init__(
        self, encoder: keras.Model, entries: tuple[Entry, ...], vocabulary: Vocabulary, tokenizer: Tokenizer
    ) -> None:
        super().__init__()
        self.entries, self.vocabulary, self.tokenizer = entries, vocabulary, tokenizer
        names = vocabulary.row_of_token[tokenize(tokenizer, [*(entry.names[0] for entry in entries), ""])]
        positions = np.tile(np.arange(emoji.MAX_TOKENS, dtype=np.int32), (len(names), 1))
        self.targets = encoder.predict([names, positions], batch_size=BATCH_SIZE, verbose=0)
        self.random = np.random.default_rng()
        self.on_epoch_end()

    def __len__(self) -> int:
        return len(self.entries) // BATCH_SIZE

    def __getitem__(self, index: int) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
        rows = slice(index * BATCH_SIZE, (index + 1) * BATCH_SIZE)
        padding = np.arange(CAPTION_LENGTH, emoji.MAX_TOKENS - 1)
        drawn = np.sort(self.random.choice(padding, PADDING_LENGTH, replace=False))
        positions = np.concatenate([np.arange(CAPTION_LENGTH), drawn, [emoji.MAX_TOKENS - 1]]).astype(np.int32)
        targets = self.targets[self.order[rows]][:, positions]
        targets[self.words[rows][:, positions]] = np.nan
        return (self.tokens[rows][:, positions], np.tile(positions, (BATCH_SIZE, 1))), targets

    def on_epoch_end(self) -> None:
        self.order = self.random.permutation(len(self.entries))
        self.order[self.random.random(len(self.order)) < EMPTY_CAPTION_SHARE] = len(self.entries)
        known = self.vocabulary.known_words
        captions = [
            sample_wordy_caption(self.entries[i], self.random, self.vocabulary.unknown_words, known)
            if i < len(self.entries)
            else ""
            for i in self.order
        ]
        tokens = tokenize(self.tokenizer, captions)
        tokens[:, CAPTION_LENGTH - 1 :] = emoji.END_TOKEN
        ends = tokens == emoji.END_TOKEN
        self.words = ~ends | (np.cumsum(ends, axis=1) == 1)
        self.tokens = self.vocabulary.row_of_token[tokens]
