"""AUTOMATIC1111's text in pictures: what is written is what is read, whatever a caption looks like."""

import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.infotext import Infotext, fields
from tests.proxy.infotexts import parse

PLAIN = Infotext("red heart", "blurry", 20, "Euler", 7.5, 1, 128, 128, "emoji")

hostile = st.one_of(
    st.text(),
    st.lists(
        st.sampled_from(
            [
                "\n",
                " ",
                "Negative prompt:",
                "Steps: 3, ",
                "Seed: 4",
                "Size: 1x2",
                ",",
                '"',
                "\\",
                "Model: ",
                "\r",
                "心",
                "a",
                'Easel caption: "b"',
                "Easel negative caption: ",
                "\x00",
                "\u2028",
                "\x85",
                "&lt;",
            ]
        )
    ).map("".join),
)


def test_it_is_written_as_automatic1111_writes_it() -> None:
    assert str(PLAIN) == (
        "red heart\nNegative prompt: blurry\n"
        "Steps: 20, Sampler: Euler, CFG scale: 7.5, Seed: 1, Size: 128x128, Model: emoji"
    )


@given(
    st.builds(
        Infotext,
        caption=hostile,
        negative_caption=hostile,
        steps=st.integers(1, 150),
        sampler=st.sampled_from(["Euler", "DPM++ 2M", "DDIM"]) | hostile,
        guidance_scale=st.floats(0, 50),
        seed=st.integers(0, 2**31),
        width=st.integers(1, 99_999),
        height=st.integers(1, 99_999),
        model=st.sampled_from(["emoji", "12x12", "sd-v1"]) | hostile,
    )
)
@example(Infotext("a\nNegative prompt: b\nSteps: 3, Seed: 4, Size: 1x2", "c\n\n", 1, "Euler", 0.1, 0, 8, 8, "m, n: o"))
@example(Infotext("a", "b", 1, "4x5", 7.0, 0, 8, 8, "12x12"))
@example(Infotext("", "", 1, "", 1e-7, 0, 8, 8, ""))
def test_what_is_written_is_what_is_read(infotext: Infotext) -> None:
    assert parse(str(infotext)) == infotext


@given(hostile)
def test_any_text_has_fields_that_are_text(text: str) -> None:
    found = fields(text)
    assert {"Prompt", "Negative prompt"} <= found.keys()
    assert all(value.encode() is not None for value in found.values())


def test_the_text_of_another_program_is_read() -> None:
    """As its own documentation has it, with a quoted field and a size."""
    text = (
        "girl with a beret, (detailed:1.2)\nby someone\nNegative prompt: ugly, [blurry]\nbad\n"
        'Steps: 20, Sampler: Euler a, CFG scale: 7, Size: 512x768, Lora hashes: "a: 1, b: 2", Version: v1.9.0'
    )
    assert fields(text) == {
        "Prompt": "girl with a beret, (detailed:1.2)\nby someone",
        "Negative prompt": "ugly, [blurry]\nbad",
        "Steps": "20",
        "Sampler": "Euler a",
        "CFG scale": "7",
        "Size-1": "512",
        "Size-2": "768",
        "Lora hashes": "a: 1, b: 2",
        "Version": "v1.9.0",
    }


def test_a_caption_alone_is_no_field() -> None:
    assert fields("a cat, style: oil") == {"Prompt": "a cat, style: oil", "Negative prompt": ""}


def test_a_long_quoted_value_takes_little_memory() -> None:
    """A megabyte of escapes took 120, for ways to read them again."""
    text = 'a: 1, b: 2, c: "' + '\\"' * 500_000 + '"'
    tracemalloc.start()
    assert fields(text)["c"] == '"' * 500_000
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("part", ["a", "a:", ' "', '\\"', 'a: "', " ", 'a: "x", ', 'a:"\\",', ",", "- /"])
def test_a_megabyte_of_anything_is_read_in_time(part: str) -> None:
    fields(part * (1_000_000 // len(part)))
