"""What training says about a picture: many ways to put its name, so that unseen ways are understood too."""

from __future__ import annotations

import gzip

import numpy as np

from proxy.tokenizer import VOCABULARY
from training.pictures import Entry

TEMPLATES = (
    "{a}", "{a}", "{a}", "the {name}", "one {name}", "{name}!", "{name}.", "my {name}", "this is {a}", "it is {a}",
    "a picture of {a}", "a picture of the {name}", "picture of {a}", "an image of {a}", "image of {a}",
    "a photo of {a}", "photo of {a}", "a drawing of {a}", "drawing of {a}", "a sketch of {a}", "a painting of {a}",
    "an illustration of {a}", "illustration of {a}", "an icon of {a}", "{name} icon", "the icon for {name}",
    "an emoji of {a}", "{name} emoji", "the {name} emoji", "emoji: {name}", "a sticker of {a}", "{name} sticker",
    "{name} on a white background", "{a} on white", "a small {name}", "a big {name}", "a cute {name}",
    "a nice {name}", "a simple {name}", "a beautiful {name}", "{a}, simple and clean", "{name}, digital art",
    "draw {a}", "draw me {a}", "please draw {a}", "paint {a}", "make {a}", "make me {a} please", "create {a}",
    "generate {a}", "generate a picture of {a}", "i want {a}", "i want to see {a}", "i need {a}", "give me {a}",
    "can you draw {a}?", "can i have {a}?", "let me see {a}", "here is {a}", "look at the {name}",
    "a cartoon of {a}", "clip art of {a}", "{name} clip art", "a symbol of {a}", "what does {a} look like?",
)  # fmt: skip

# Never used in training: what `training.evaluate` asks for.
PARAPHRASES = (
    "show me {a}, please", "could you sketch {a} for me?", "i would like to have a picture with {a}",
    "we are looking for {a}", "try to render {a} as an emoji", "what i am after is {a}",
    "please produce an icon showing {a}", "imagine {a}",
)  # fmt: skip

UNKNOWN_WORD_SHARE = 0.2
KEYWORD_ONLY_SHARE = 0.05
WORDY_SHARE = 0.7
KNOWN_WORD_SHARE = 0.5


def dictionary_words() -> list[str]:
    """Return the English words of at least three letters that are one token each in CLIP's vocabulary."""
    merges = gzip.decompress(VOCABULARY.read_bytes()).decode().splitlines()[1:]
    pieces = (merge.replace(" ", "") for merge in merges)
    words = (piece.removesuffix("</w>") for piece in pieces if piece.endswith("</w>"))
    return [word for word in words if len(word) > 2 and word.isascii() and word.isalpha()]


def with_article(name: str) -> str:
    """Return "an apple" for "apple"."""
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def fill(template: str, name: str) -> str:
    """Put a name into one of the templates."""
    return template.format(a=with_article(name), name=name)


def sample_caption(entry: Entry, random: np.random.Generator, unknown_words: list[str]) -> str:
    """Draw one caption for a picture: its name, a template around it, keywords, words that mean nothing.

    Args:
        entry: the picture's names and keywords.
        random: the source of chance.
        unknown_words: words outside of the training vocabulary; they teach the encoder to pass over such words.
    """
    name = entry.names[int(random.integers(len(entry.names)))]
    choice = random.random()
    if choice < KEYWORD_ONLY_SHARE and len(entry.keywords) > 1:
        return ", ".join(random.choice(entry.keywords, size=min(3, len(entry.keywords)), replace=False))
    if choice < 0.25:
        caption = name
    elif choice < 0.40 and entry.keywords:
        caption = f"{name}, {', '.join(random.choice(entry.keywords, size=min(2, len(entry.keywords)), replace=False))}"
    else:
        caption = fill(TEMPLATES[int(random.integers(len(TEMPLATES)))], name)
    if random.random() < UNKNOWN_WORD_SHARE:
        caption = _with_unknown_words(caption, name, random, unknown_words)
    return caption


def sample_wordy_caption(
    entry: Entry, random: np.random.Generator, unknown_words: list[str], known_words: list[str]
) -> str:
    """Draw one caption in which other words stand around the name: unknown ones, and ones known from elsewhere."""
    name = entry.names[int(random.integers(len(entry.names)))]
    if random.random() < WORDY_SHARE:
        named = with_article(name) if random.random() < 0.7 else name
        before = _random_words(int(random.integers(0, 7)), random, unknown_words, known_words)
        after = _random_words(int(random.integers(0, 4)), random, unknown_words, known_words)
        comma = "," if after and random.random() < 0.3 else ""
        return " ".join(filter(None, [before, named + comma, after]))
    if random.random() < 0.2:
        return name
    return fill(TEMPLATES[int(random.integers(len(TEMPLATES)))], name)


def _random_words(count: int, random: np.random.Generator, unknown_words: list[str], known_words: list[str]) -> str:
    pools = (unknown_words, known_words)
    picked = (pools[int(random.random() < KNOWN_WORD_SHARE)] for _ in range(count))
    return " ".join(pool[int(random.integers(len(pool)))] for pool in picked)


def _with_unknown_words(caption: str, name: str, random: np.random.Generator, unknown_words: list[str]) -> str:
    before, _, after = caption.partition(name)
    for _ in range(int(random.integers(1, 4))):
        word = unknown_words[int(random.integers(len(unknown_words)))]
        if random.random() < 0.6:
            before = f"{word} {before}" if random.random() < 0.5 else f"{before}{word} "
        else:
            after = f"{after} {word}"
    return f"{before}{name}{after}"
