"""The text of parameters: any text is read, and whatever a caption says comes back."""

import random
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy import infotext
from proxy.infotext import Infotext
from tests.fuzz.captions import caption
from tests.fuzz.share import COUNTS, FIGURES, SEED, share
from tests.proxy.infotexts import parse

PIECES = [
    *(
        [
            "Negative prompt:",
            "\nNegative prompt: ",
            "Steps: 20",
            ", ",
            ":",
            '"',
            "\\",
            '\\"',
            "\n",
            "\r",
            "\r\n",
            " ",
            "\t",
            "Size: 1x2",
            "Size: 99999999999x1",
            "Easel caption: ",
        ]
    ),
    *(
        [
            'Easel caption: "a"',
            "Easel negative caption",
            "Seed: 1",
            "Sampler: Euler",
            "CFG scale: nan",
            "Model: ",
            "\\ud800",
            "\\u0000",
        ]
    ),
    *(["\u2028", "\x85", "\x1c", "٣x٤", "-", "\nSteps: 1, Sampler: a, CFG scale: 1, Seed: 1, Size: 1x1, Model: a", ""]),
    "a" * 70,
]


def hostile(chance: random.Random) -> str:
    """Pieces of such texts, and anything, mixed."""
    count = chance.randrange(12)
    return "".join(chance.choice(PIECES) if chance.random() < 0.8 else caption(chance) for _ in range(count))


def test_hostile_texts_are_read() -> None:
    chance = random.Random(f"infotext {SEED}")
    slowest = 0.0
    for _ in range(share(5000, 200_000)):
        text = hostile(chance)
        start = time.thread_time()
        fields = infotext.fields(text)
        slowest = max(slowest, time.thread_time() - start)
        assert all(isinstance(value, str) and value.encode() is not None for value in fields.values()), repr(text)
        COUNTS["infotext: texts read"] += 1
        try:
            parse(text)
        except ValueError:
            COUNTS["infotext: texts without all fields"] += 1
    assert slowest < 0.5
    FIGURES.append(f"infotext: at most {slowest * 1000:.1f} ms a text")


def test_hostile_captions_come_back() -> None:
    chance = random.Random(f"captions of infotext {SEED}")
    for _ in range(share(2000, 50_000)):
        written = Infotext(
            caption=hostile(chance),
            negative_caption=chance.choice(["", hostile(chance)]),
            steps=chance.randrange(1, 151),
            sampler=chance.choice(["Euler", "DPM++ 2M", hostile(chance)]),
            guidance_scale=chance.choice([0.0, 7.5, 1e-300, 50.0, chance.uniform(0, 50)]),
            seed=chance.randrange(2**31),
            width=chance.choice([8, 512, 2**29]),
            height=128,
            model=chance.choice(["emoji", hostile(chance)]),
        )
        assert parse(str(written)) == written, repr(written)
        COUNTS["infotext: captions sent there and back"] += 1


@settings(settings.get_profile("fuzz"), max_examples=share(200, 10_000))
@given(st.text(), st.text())
def test_any_captions_come_back(positive: str, negative: str) -> None:
    written = Infotext(positive, negative, 20, "Euler", 7.5, 1, 128, 128, "emoji")
    assert parse(str(written)) == written
    COUNTS["infotext: captions sent there and back"] += 1
