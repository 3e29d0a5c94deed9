"""The exact JSON reader: RapidJSON's grammar, its leniencies, its error texts and offsets."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server import rapidjson
from model_server.errors import InvalidArgumentError
from model_server.json_text import parse_object

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
DOCUMENTS = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(DOCUMENTS, st.booleans())
def test_reads_what_python_writes(value: object, ascii_only: bool) -> None:
    """Any JSON document reads back as it was."""
    assert rapidjson.parse(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=30))
def test_any_bytes_parse_or_are_refused(body: bytes) -> None:
    """No bytes end in anything but a value or a refusal."""
    try:
        rapidjson.parse(body)
    except InvalidArgumentError as error:
        assert str(error).startswith("JSON Parse error: ")  # noqa: PT017 - both ways are fine


@pytest.mark.parametrize(
    ("body", "text", "offset"),
    [
        ("  ", "The document is empty.", 2),
        ("{} x", "The document root must not be followed by other values.", 3),
        ("[1, ", "Invalid value.", 4),
        ("[1, ]", "Invalid value.", 4),
        ("[nul]", "Invalid value.", 4),
        ("[tRue]", "Invalid value.", 2),
        ("[NaM]", "Invalid value.", 3),
        ("[Infinite]", "Invalid value.", 8),
        ("[1 2]", "Missing a comma or ] after an array element.", 3),
        ("[01]", "Missing a comma or ] after an array element.", 2),
        ("{1: 2}", "Missing a name for object member.", 1),
        ('{"a": 1,}', "Missing a name for object member.", 8),
        ('{"a" 1}', "Missing a colon after a name of object member.", 5),
        ('{"a": 1 "b"}', "Missing a comma or } after an object member.", 8),
        ('["a', "Missing a closing quotation mark in string.", 3),
        ('["a\tb"]', "Invalid encoding in string.", 3),
        ('["\\x"]', "Invalid escape character in string.", 2),
        ('["\\u12g4"]', "Incorrect hex digit after \\u escape in string.", 2),
        ('["\\ud800x"]', "The surrogate pair in string is invalid.", 2),
        ('["\\udc00"]', "The surrogate pair in string is invalid.", 2),
        ('["\\ud800\\u0041"]', "The surrogate pair in string is invalid.", 2),
        ("[1.]", "Miss fraction part in number.", 3),
        ("[1e]", "Miss exponent in number.", 3),
        ("[1e+]", "Miss exponent in number.", 4),
        ("[-]", "Invalid value.", 2),
        ("[1e999]", "Number too big to be stored in double.", 1),
    ],
)
def test_refusals_carry_text_and_offset(body: str, text: str, offset: int) -> None:
    """A syntax error is worded and placed as RapidJSON does it."""
    with pytest.raises(InvalidArgumentError) as refused:
        parse_object(body.encode())
    assert str(refused.value) == f"JSON Parse error: {text} at offset: {offset}"


def test_bare_tokens() -> None:
    """NaN, Inf and Infinity are numbers, with a minus sign too."""
    numbers = rapidjson.parse(b"[NaN, -NaN, Inf, -Inf, Infinity, -Infinity]")
    assert all(map(math.isnan, numbers[:2]))
    assert numbers[2:] == [math.inf, -math.inf, math.inf, -math.inf]


def test_integers_beyond_64_bits_become_floats() -> None:
    assert rapidjson.parse(b"[18446744073709551615, 18446744073709551616, -9223372036854775809]") == [
        2**64 - 1,
        2.0**64,
        -(2.0**63),
    ]
    assert isinstance(rapidjson.parse(b"123456789012345678901234567890"), float)


def test_first_of_equal_members_counts() -> None:
    """Of two members with one name the first is found, with the fast parser in front too."""
    assert parse_object(b'{"instances": [1], "instances": [2]}') == {"instances": [1]}


def test_bytes_that_are_not_utf8_pass_through() -> None:
    text = parse_object(b'{"inputs": "\xff\xfe"}')["inputs"]
    assert text.encode("utf-8", "surrogateescape") == b"\xff\xfe"


def test_byte_order_mark_is_skipped() -> None:
    assert parse_object(b"\xef\xbb\xbf{}") == {}


def test_deep_nesting_is_refused() -> None:
    """A document that would exhaust the stack is an error of its own, not a crash."""
    with pytest.raises(InvalidArgumentError, match="Nested too deeply"):
        parse_object(b"[" * 100_000)


def test_empty_body() -> None:
    with pytest.raises(InvalidArgumentError, match=r"^JSON Parse error: The document is empty$"):
        parse_object(b"")


@pytest.mark.parametrize(("body", "quoted"), [(b"[1, 2]", "[1, 2]"), (b'"x"', '"x"'), (b"1.5", "1.5"), (b"NaN", "NaN")])
def test_the_root_must_be_an_object(body: bytes, quoted: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        parse_object(body)
    assert str(refused.value) == f"JSON Value: {quoted} Is not object"
