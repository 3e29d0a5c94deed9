"""Stage 2: the text encoder, which learns to describe pictures in the way CLIP's does, before any picture is drawn.

Its last token's context must predict what a picture looks like (a short code of its shapes and colours) and tell it
from all others. The diffusion model then finds in the context what it needs, instead of having to teach it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from PIL import Image

from export import emoji
from proxy.tokenizer import Tokenizer
from training.captions import PARAPHRASES, TEMPLATES, dictionary_words, sample_caption
from training.fitting import fit
from training.pictures import Entry

LEARNING_RATE = 2e-3
BATCH_SIZE = 128
SHAPE_CODE_WIDTH = 96
COLOUR_CODE_WIDTH = 32
TRAINING_LENGTH = 32  # tokens; longer captions are cut, which only the wordiest are
TEMPERATURE = 0.07


class Vocabulary:
    """The tokens that captions in training use; every other token is row 0, whose embedding stays zero."""

    def __init__(self, entries: tuple[Entry, ...], tokenizer: Tokenizer) -> None:
        texts = {word for entry in entries for word in (*entry.names, *entry.keywords)}
        texts |= {template.format(a="a an", name="the") for template in TEMPLATES} | {"", ",", ".", "!", "?"}
        self.tokens = np.unique(tokenize(tokenizer, sorted(texts)))
        self.row_of_token = np.zeros(emoji.VOCABULARY_SIZE, np.int32)
        self.row_of_token[self.tokens] = np.arange(1, len(self.tokens) + 1)
        self.end_row = int(self.row_of_token[emoji.END_TOKEN])
        words = sorted(set(dictionary_words()) - set(" ".join(PARAPHRASES).split()))
        first_rows = self.row_of_token[tokenize(tokenizer, words)[:, 1]]
        self.unknown_words = [word for word, row in zip(words, first_rows, strict=True) if row == 0]
        # Words of templates and keywords; the words of names would make a caption mean something else.
        names = {word for entry in entries for name in entry.names for word in name.split()}
        self.known_words = [word for word, row in zip(words, first_rows, strict=True) if row != 0 and word not in names]

    def full_embedding(self, rows: np.ndarray) -> np.ndarray:
        """Spread trained rows (1 + known tokens, W) over CLIP's whole vocabulary (49408, W), zero elsewhere."""
        table = np.zeros((emoji.VOCABULARY_SIZE, rows.shape[1]), rows.dtype)
        table[self.tokens] = rows[1:]
        return table


def tokenize(tokenizer: Tokenizer, captions: list[str]) -> np.ndarray:
    """Return the tokens of captions: (N, 77) int32."""
    return np.stack([tokenizer(caption).values for caption in captions])


def train_text_encoder(
    entries: tuple[Entry, ...], vocabulary: Vocabulary, tokenizer: Tokenizer, epochs: int, folder: Path
) -> keras.Model:
    """Train on captions and return the text encoder, over the rows of `vocabulary`.

    Args:
        entries: the pictures and what they are called.
        vocabulary: maps tokens to rows of the embedding.
        tokenizer: CLIP's.
        epochs: passes over the pictures, each with a new caption.
        folder: where progress is kept; training resumes from it.
    """
    encoder = emoji.text_encoder(len(vocabulary.tokens) + 1, vocabulary.end_row, length=None)
    encoder.get_layer("token_embedding").embeddings_constraint = FirstRowZero()
    codes = picture_codes(entries)
    code = layers.Dense(codes.shape[1], dtype="float32", name="code")(encoder.output[:, -1])
    model = keras.Model(encoder.input, code, name="captions")
    batches = _CaptionBatches(entries, vocabulary, tokenizer)
    fit(model, batches, epochs, folder, LEARNING_RATE, loss=code_loss(codes))
    return encoder


def code_loss(codes: np.ndarray) -> Any:
    """Return the loss of (picture index, predicted code): distance to the picture's code, and which picture it is."""
    unit_codes = (codes / np.linalg.norm(codes, axis=1, keepdims=True)).T

    def loss(index: Any, code: Any) -> Any:
        index = ops.cast(ops.reshape(index, (-1,)), "int32")
        distance = ops.mean(ops.square(code - ops.take(ops.convert_to_tensor(codes), index, axis=0)))
        logits = ops.matmul(ops.normalize(code, axis=-1), ops.convert_to_tensor(unit_codes)) / TEMPERATURE
        which = ops.mean(keras.losses.sparse_categorical_crossentropy(index, logits, from_logits=True))
        return distance + 0.2 * which

    return loss


def picture_codes(entries: tuple[Entry, ...]) -> np.ndarray:
    """Describe each picture in (N, 128) float32 numbers of variance 1: principal shapes, then principal colours."""
    thumbnails = [Image.fromarray(entry.pixels).convert("YCbCr") for entry in entries]
    shapes = np.stack([np.asarray(t.resize((32, 32), Image.Resampling.BOX))[..., 0].ravel() for t in thumbnails])
    colours = np.stack([np.asarray(t.resize((4, 4), Image.Resampling.BOX))[..., 1:].ravel() for t in thumbnails])
    return np.concatenate([_principal(shapes, SHAPE_CODE_WIDTH), _principal(colours, COLOUR_CODE_WIDTH)], axis=1)


def _principal(features: np.ndarray, width: int) -> np.ndarray:
    """Project (N, F) on its first `width` principal axes, half whitened, scaled to variance 1 on the average."""
    centred = features.astype(np.float64) - features.mean(axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    projected = left[:, :width] * np.sqrt(singular[:width])
    code: np.ndarray = (projected / projected.std()).astype(np.float32)
    return code


@keras.saving.register_keras_serializable("easel")
class FirstRowZero(keras.constraints.Constraint):
    """Keeps row 0 of an embedding, the unknown token's, at zero."""

    def __call__(self, table: Any) -> Any:
        """(R, W) -> the same with row 0 zero."""
        rows = ops.shape(table)[0]
        return table * ops.cast(ops.expand_dims(ops.arange(rows) > 0, 1), table.dtype)


class _CaptionBatches(keras.utils.PyDataset):
    """Each epoch says every picture in a new way."""

    def __init__(self, entries: tuple[Entry, ...], vocabulary: Vocabulary, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.entries, self.vocabulary, self.tokenizer = entries, vocabulary, tokenizer
        self.random = np.random.default_rng(1)
        positions = np.append(np.arange(TRAINING_LENGTH - 1), emoji.MAX_TOKENS - 1).astype(np.int32)
        self.positions = np.tile(positions, (BATCH_SIZE, 1))
        self.on_epoch_end()

    def __len__(self) -> int:
        return len(self.entries) // BATCH_SIZE

    def __getitem__(self, index: int) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
        rows = slice(index * BATCH_SIZE, (index + 1) * BATCH_SIZE)
        return (self.tokens[rows], self.positions), self.order[rows]

    def on_epoch_end(self) -> None:
        self.order = self.random.permutation(len(self.entries)).astype(np.int32)
        captions = [sample_caption(self.entries[i], self.random, self.vocabulary.unknown_words) for i in self.order]
        tokens = tokenize(self.tokenizer, captions)[:, :TRAINING_LENGTH]
        tokens[:, -2:] = emoji.END_TOKEN
        self.tokens = self.vocabulary.row_of_token[tokens]
