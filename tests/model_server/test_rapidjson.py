"""The exact JSON reader: RapidJSON's grammar, leniencies, error texts and offsets, as found with its version 1.1.0."""

import json
import math
import tracemalloc

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
    """Any JSON document reads back as it was, with the fast parser in front too."""
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert rapidjson.parse(body) == value
    assert parse_object(b'{"value": ' + body + b"}") == {"value": value}


@given(st.lists(DOCUMENTS) | st.dictionaries(st.text(), DOCUMENTS), st.data())
def test_a_document_that_breaks_off_is_refused_at_its_end(value: object, data: st.DataObject) -> None:
    body = json.dumps(value).encode()
    end = data.draw(st.integers(0, len(body) - 1))
    with pytest.raises(InvalidArgumentError, match=r"^JSON Parse error: ") as refused:
        rapidjson.parse(body[:end])
    assert int(str(refused.value).rsplit(" ", 1)[1]) <= end


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
        ("}", "The document is empty.", 0),
        (" ,1", "The document is empty.", 1),
        ("{} x", "The document root must not be followed by other values.", 3),
        ("[1, ", "Invalid value.", 4),
        ("[1, ]", "Invalid value.", 4),
        ("[nul]", "Invalid value.", 4),
        ("[tRue]", "Invalid value.", 2),
        ("[NaM]", "Invalid value.", 3),
        ("[-Inx]", "Invalid value.", 4),
        ("[NaN.]", "Miss fraction part in number.", 5),
        ("[+1]", "Invalid value.", 1),
        ("[.5]", "Invalid value.", 1),
        ("['a']", "Invalid value.", 1),
        ("// c\n{}", "Invalid value.", 0),
        ('{"a": }', "Invalid value.", 6),
        ("[[[", "Invalid value.", 3),
        ("[Infinite]", "Invalid value.", 8),
        ("[1 2]", "Missing a comma or ']' after an array element.", 3),
        ("[01]", "Missing a comma or ']' after an array element.", 2),
        ("{1: 2}", "Missing a name for object member.", 1),
        ('{"a": 1,}', "Missing a name for object member.", 8),
        ('{"a" 1}', "Missing a colon after a name of object member.", 5),
        ('{"a": 1 "b"}', "Missing a comma or '}' after an object member.", 8),
        ('["a', "Missing a closing quotation mark in string.", 3),
        ('["a\tb"]', "Invalid escape character in string.", 3),
        ('["\\x"]', "Invalid escape character in string.", 2),
        ('["\\u12g4"]', "Incorrect hex digit after \\u escape in string.", 2),
        ('["\\ud800x"]', "The surrogate pair in string is invalid.", 2),
        ('["\\ud800\\u0041"]', "The surrogate pair in string is invalid.", 2),
        ("[1.]", "Miss fraction part in number.", 3),
        ("[1e]", "Miss exponent in number.", 3),
        ("[1e+]", "Miss exponent in number.", 4),
        ("[-]", "Invalid value.", 2),
        ("[1e999]", "Number too big to be stored in double.", 1),
        (f"[{'9' * 400}]", "Number too big to be stored in double.", 1),
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


def test_numbers_that_only_the_parts_tell_too_big_pass() -> None:
    """10e308 is an infinity to RapidJSON, and tiny numbers are zero."""
    assert rapidjson.parse(b"[10e308, 0.0e309, 1e-400, -0, NaN.5e1]") == [math.inf, 0, 0, 0, 5]


@pytest.mark.parametrize("body", [b'{"a": 1, "a": 2}', b'{"x": "a: b", "a": 1, "a" : 2}', b'{"a": 1, "\\u0061": 2}'])
def test_first_of_equal_members_counts(body: bytes) -> None:
    """Of members with one name the first is found, and all are known, with the fast parser in front too."""
    value = parse_object(body)
    assert value["a"] == 1
    assert [member for member in rapidjson.members(value) if member[0] == "a"] == [("a", 1), ("a", 2)]


def test_equal_members_are_found_at_any_depth() -> None:
    rows = parse_object(b'{"instances": [1, {"x": [[{"b64": "", "b64": ""}]]}]}')["instances"]
    assert len(rapidjson.members(rows[1]["x"][0][0])) == 2


def test_a_colon_in_a_string_needs_no_exact_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a repeated name takes the slow way, whatever the strings hold."""
    monkeypatch.setattr(rapidjson, "parse", lambda body: pytest.fail(f"{body!r} read the slow way"))
    body = b'{"a" : "x: \\": y", "b\\"": [{"c": 1.5}, {"c": "::"}], "d": [[1, 2], []]}'
    assert parse_object(body) == json.loads(body)


def test_bytes_that_are_not_utf8_pass_through() -> None:
    text = parse_object(b'{"inputs": "\xff\xfe"}')["inputs"]
    assert text.encode("utf-8", "surrogateescape") == b"\xff\xfe"


def test_a_low_surrogate_alone_becomes_three_bytes() -> None:
    text = parse_object(b'{"inputs": "\\udc00"}')["inputs"]
    assert text.encode("utf-8", "surrogateescape") == b"\xed\xb0\x80"


@pytest.mark.parametrize("body", [b"\xef\xbb\xbf{}", b"\xbb{}", b"\xef{}", b"{}\0 what comes after a zero byte"])
def test_ends_of_a_document_that_do_not_matter(body: bytes) -> None:
    """A byte order mark is skipped, or any part of one, and a zero byte is an end."""
    assert parse_object(body) == {}


def test_any_depth_is_read() -> None:
    """No depth exhausts the stack, and the offset of an error is right at any."""
    depth = 100_000
    value = parse_object(b'{"a": ' + b"[" * depth + b"]" * depth + b"}")["a"]
    for _ in range(depth - 1):
        (value,) = value
    assert value == []
    with pytest.raises(InvalidArgumentError, match=f"Invalid value. at offset: {depth}$"):
        parse_object(b"[" * depth)


@pytest.mark.parametrize("depth", [500, 980, 1000, 1020, 1100, 5000])
@pytest.mark.parametrize("level", [b'{"a":', b'{"a":1,"b":', b'[{"a":'])
def test_objects_of_any_depth_are_read(level: bytes, depth: int) -> None:
    """Also where the fast parser reads deeper than Python's own stack reaches."""
    end = b"]" if level.startswith(b"[") else b""
    value = parse_object(b'{"a":' + level * depth + b"1" + (b"}" + end) * depth + b"}")
    assert value.keys() == {"a"}


def test_a_depth_that_nobody_can_mean_is_refused_before_it_takes_the_memory() -> None:
    tracemalloc.start()
    with pytest.raises(InvalidArgumentError, match=r"More than 131072 levels\. at offset: 131073$"):
        parse_object(b"[" * 1_000_000)
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()


def test_what_only_the_exact_reader_could_read_is_refused_if_it_is_long() -> None:
    """It would take minutes; plain JSON of that length is read."""
    plain = b'{"inputs": "' + b"x" * (17 << 20) + b'"}'
    assert len(parse_object(plain)["inputs"]) == 17 << 20
    for body in (plain[:-1], plain[:-1] + b', "inputs": 1}'):
        with pytest.raises(InvalidArgumentError, match=rf"of {len(body)} bytes .* allowed are 16777216$"):
            parse_object(body)


def test_empty_body() -> None:
    with pytest.raises(InvalidArgumentError, match=r"^JSON Parse error: The document is empty$"):
        parse_object(b"")


@pytest.mark.parametrize(("body", "quoted"), [(b"[1, 2]", "[1, 2]"), (b'"x"', '"x"'), (b"1.5", "1.5"), (b"NaN", "NaN")])
def test_the_root_must_be_an_object(body: bytes, quoted: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        parse_object(body)
    assert str(refused.value) == f"JSON Value: {quoted} Is not object"
