"""Rules of TensorFlow Serving's REST API that no recorded exchange shows: its sources say so, or its libraries do."""

import gzip
import json
import socket
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model_server.server_process import Answer, ServerProcess

ELEMENT = "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: "
LINEAR = "/v1/models/linear:predict"


def post(server: ServerProcess, model: str, body: str) -> Answer:
    return server.request("POST", f"/v1/models/{model}:predict", body)


@pytest.mark.parametrize(
    ("model", "body", "answer"),
    [
        # Numbers lose digits without a word, and become infinite.
        (
            "linear",
            '{"inputs": [16777217, 1e39, 18446744073709551615]}',
            [8388610.0, float("inf"), pytest.approx(2.0**63)],
        ),
        ("linear", '{"inputs": [10e308, -0.0, 1e-400]}', [float("inf"), 2.0, 2.0]),
        # Shapes are those of the lists, whatever the signature says of one or two dimensions.
        ("linear", '{"instances": [[], []]}', [[], []]),
        ("linear", '{"inputs": [[[1, 2], [3, 4]]]}', [[[2.5, 3.0], [3.5, 4.0]]]),
        ("raw_bytes", '{"signature_name": "echo", "inputs": {"b64": "AA.="}}', {"b64": "AA=="}),
        ("half", '{"inputs": []}', []),
        ("brain", '{"instances": [[]]}', [[]]),
        # Names that come again, and names that nobody asked for.
        ("linear", '{"instances": [{"x": 1, "x": 2}, {"x": 3}]}', [2.5, 3.0]),
        ("linear", '{"instances": [1], "inputs_": [2], "instances": [2], "more": {"a": [[]]}}', [2.5]),
        ("linear", '{"inputs": {"x": [1.0], "y": "any"}}', [2.5]),
        ("linear", '{"signature_name": "", "inputs": [1.0]} \n\0 what follows', [2.5]),
        ("versions/versions/001", '{"inputs": [1.0]}', [11.0]),
    ],
)
def test_taken(server: ServerProcess, model: str, body: str, answer: Any) -> None:
    document = post(server, model, body).json
    assert list(document.values()) == [answer]


@pytest.mark.parametrize(
    ("model", "body", "status", "error"),
    [
        ("linear", "", 400, "JSON Parse error: The document is empty"),
        ("linear", " ", 400, "JSON Parse error: The document is empty. at offset: 1"),
        ("linear", "]", 400, "JSON Parse error: The document is empty. at offset: 0"),
        ("linear", '{"instances": [1.0]}x', 400, "JSON Parse error: The document root must not be followed by other"),
        (
            "linear",
            '{"instances": [1.0}',
            400,
            "JSON Parse error: Missing a comma or ']' after an array element. at offs",
        ),
        (
            "linear",
            '{"instances": [1e400]}',
            400,
            "JSON Parse error: Number too big to be stored in double. at offset: 15",
        ),
        ("linear", '{"inputs": ' + "[" * 20_000, 400, "JSON Parse error: Invalid value. at offset: 20011"),
        ("linear", '{"inputs": ' + "[" * 300 + "]" * 300 + "}", 400, "tensor parsing error: x"),
        ("linear", '{"inputs": {}}', 400, "Missing named input: x in 'inputs' object."),
        ("linear", '{"inputs": null}', 400, "JSON Value: null Type: Null is not of expected type: float"),
        (
            "linear",
            '{"inputs": [[], 1]}',
            400,
            "JSON Value: 1 found at incorrect level: 2 in the JSON DOM. Expected at",
        ),
        ("linear", '{"inputs": [1, []]}', 400, "Encountered list at unexpected level: 1 expected < 1"),
        ("linear", '{"inputs": [[], [1]]}', 400, "Encountered list at unexpected size: 1 at level: 1 expected size: 0"),
        ("linear", '{"instances": [{"b64": "AA=="}]}', 400, ELEMENT + "JSON Value: {"),
        ("linear", '{"signature_name": null, "inputs": 1}', 400, "JSON Value: {"),
        (
            "matrix",
            '{"signature_name": "__saved_model_init_op", "inputs": 1}',
            400,
            "Failed to get input map for signature",
        ),
        ("several", '{"inputs": [1]}', 400, "inputs is a plain value/list, but expecting an object as multiple input"),
        ("raw_bytes", '{"inputs": [{"b64": "__8="}]}', 400, "Unable to base64 decode"),
        ("raw_bytes", '{"inputs": [{"b64": "", "b64": ""}]}', 400, "JSON Value: {"),
        ("raw_bytes", '{"inputs": ["abc"]}', 400, "Input to DecodeRaw has length 3 that is not a multiple of 4"),
        (
            "half",
            '{"instances": [1]}',
            400,
            ELEMENT.replace("INVALID_ARGUMENT", "UNIMPLEMENTED") + "Conversion of JSON",
        ),
        ("nosuch", "{", 400, "JSON Parse error: Missing a name for object member. at offset: 1"),
        ("nosuch", "{}", 404, "Servable not found for request: Latest(nosuch)"),
        ("linear/versions/0", "{}", 404, "Servable not found for request: Specific(linear, 0)"),
        ("versions/labels/Stable", "{}", 400, "Unrecognized servable version label: Stable"),
    ],
)
def test_refused(server: ServerProcess, model: str, body: str, status: int, error: str) -> None:
    answer = post(server, model, body)
    assert answer.status == status
    assert answer.error.startswith(error)


@pytest.mark.parametrize(
    ("model", "body", "status", "error"),
    [
        ("linear:classify", "", 400, "JSON Parse error: The document is empty"),
        ("linear:classify", '{"examples": [1]}', 400, "Example must be JSON object but got JSON Number"),
        ("nosuch:regress", '{"examples": [{}]}', 404, "Servable not found for request: Latest(nosuch)"),
        ("linear:classify", '{"examples": [{}]}', 400, "No classification inputs found in SignatureDef: inputs {\n"),
        ("linear:regress", '{"examples": [{}]}', 400, "No regression inputs found in SignatureDef: inputs {\n"),
        ("several:classify", '{"examples": [{}]}', 400, "Expected one input Tensor."),
        ("raw_bytes:classify", '{"examples": [{}]}', 400, "Expected one or two output Tensors, found 3"),
        ("linear:regress", '{"signature_name": "s", "examples": [{}]}', 400, "No signature was found with the name: s"),
        ("scored:classify", '{"examples": [{}]}', 501, "This server does not support classify, only predict"),
    ],
)
def test_classify_and_regress(server: ServerProcess, model: str, body: str, status: int, error: str) -> None:
    """Everything that is wrong with a request is found before the server says that it only predicts."""
    answer = server.request("POST", f"/v1/models/{model}", body)
    assert answer.status == status
    assert answer.error.startswith(error)


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/v1/models/linear/versions/-1", 400, "Malformed request: GET /v1/models/linear/versions/-1"),
        ("/v1/models//metadata", 400, "Malformed request: GET /v1/models//metadata"),
        ("/v1/models/linear/versions/1/labels/a", 400, "Malformed request: GET /v1/models/linear/versions/1/labels/a"),
        ("/v1/models/linear#f?g", 404, "Could not find any versions of model linear#f?g"),
        ("http://elsewhere/v1/models/nosuch?x", 404, "Could not find any versions of model nosuch?x"),
        ("/v1/models/metadata", 404, "Could not find any versions of model metadata"),
        ("/v1/models/versions/versions/2", 404, "Could not find version 2 of model versions"),
        ("/v1/models/versions/versions/2/metadata", 404, "Servable not found for request: Specific(versions, 2)"),
    ],
)
def test_paths_that_find_nothing(server: ServerProcess, path: str, status: int, error: str) -> None:
    answer = server.get(path)
    assert (answer.status, answer.error) == (status, error)


@pytest.mark.parametrize("path", ["http://elsewhere/V1/MODELS/l%69near", "/v1/models/linear/METADATA"])
def test_paths_that_find_a_status(server: ServerProcess, path: str) -> None:
    assert server.get(path).json == server.get("/v1/models/linear").json


@pytest.mark.parametrize(
    ("method", "path", "status", "phrase"),
    [
        ("GET", "/v1/models/%zz", 400, "Bad Request"),
        ("GET", '/v1/models/"x"', 400, "Bad Request"),
        ("GET", "//v1/models/linear", 404, "Not Found"),
        ("OPTIONS", "*", 404, "Not Found"),
        ("TRACE", "/v1/models/linear", 501, "Not Implemented"),
        ("get", "/v1/models/%zz", 501, "Not Implemented"),
    ],
)
def test_pages_of_the_http_server(server: ServerProcess, method: str, path: str, status: int, phrase: str) -> None:
    """What libevent refuses is answered with a page of its own, and the connection closed."""
    answer = server.request(method, path)
    assert answer.status == status
    assert (answer.headers["Content-Type"], answer.headers["Connection"]) == ("text/html", "close")
    assert answer.body.decode() == (
        f"<HTML><HEAD>\n<TITLE>{status} {phrase}</TITLE>\n</HEAD><BODY>\n<H1>{phrase}</H1>\n</BODY></HTML>\n"
    )


def test_head_has_no_body(server: ServerProcess) -> None:
    answer = server.request("HEAD", "/v1/models/linear")
    assert (answer.status, answer.body) == (400, b"")


PACKED = gzip.compress(b'{"inputs": 1.0}', mtime=0)  # or the tests' names would change every second


@pytest.mark.parametrize(
    ("encoding", "body", "answer"),
    [
        ("x-gzip, identity", PACKED, {"outputs": 2.5}),
        ("deflate", b'{"inputs": 1.0}', {"outputs": 2.5}),
        ("GZIP", PACKED, {"error": "JSON Parse error: Invalid value. at offset: 0"}),
        ("gzip", PACKED + b"x", {"error": "JSON Parse error: The document is empty"}),
        ("gzip", PACKED + PACKED, {"error": "JSON Parse error: The document is empty"}),
        ("gzip", PACKED[:-8], {"error": "JSON Parse error: The document is empty"}),
        ("gzip", b"", {"error": "JSON Parse error: The document is empty"}),
    ],
)
def test_content_encoding(server: ServerProcess, encoding: str, body: bytes, answer: Any) -> None:
    """Whatever has "gzip" in its encoding is unpacked, if it is one whole gzip stream, and nothing else is."""
    assert server.request("POST", LINEAR, body, {"Content-Encoding": encoding}).json == answer


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(1000), b""))


def test_expect_continue(server: ServerProcess) -> None:
    """A client that waits for leave to send its body gets it."""
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=30)) as connection:
        headers = ["Host: x", "Connection: close", "Content-Length: 15", "Expect: 100-continue", "", ""]
        connection.sendall("\r\n".join([f"POST {LINEAR} HTTP/1.1", *headers]).encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b'{"inputs": 1.0}')
        assert read_all(connection).endswith(b'{"outputs":2.5}')


def test_http_1_0(server: ServerProcess) -> None:
    """An old client needs no Host, and sees the connection closed."""
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=30)) as connection:
        connection.sendall(b"GET /v1/models/nosuch HTTP/1.0\r\n\r\n")
        answer = read_all(connection)
    assert answer.endswith(b'{"error":"Could not find any versions of model nosuch"}')


MODELS = st.sampled_from(["linear", "several", "raw_bytes", "numbers", "unsigned", "half", "image", "matrix", "nosuch"])
NUMBERS = [0, 1, -1, 300, 1.5, 1e39, 2**31, 2**63, 2**64, -(2**63), float("nan"), float("inf")]
LEAVES = st.sampled_from([*NUMBERS, True, None, "", "é\0", "a:b", [], {}, {"b64": "AAAAAA=="}, {"b64": "@"}])
NAMES = st.sampled_from(
    ["x", "a", "n", "flag", "raw", "i8", "text", "u64", "h", "b64", "inputs", "instances", "\ud800"]
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner), max_leaves=8)
DOCUMENTS = st.fixed_dictionaries(
    {}, optional={"instances": VALUES, "inputs": VALUES, "examples": VALUES, "signature_name": LEAVES}
)
PATHS = st.text(st.sampled_from("/v1:models?#%20linear.versions-"), max_size=12).map(lambda tail: f"/v1/models/{tail}")


@settings(max_examples=300)
@given(MODELS, st.sampled_from(["predict", "classify", "regress"]), DOCUMENTS, st.integers(0, 3))
def test_no_document_breaks_the_server(
    server: ServerProcess, model: str, verb: str, document: dict[str, Any], cut: int
) -> None:
    """Whatever the body, whole or cut short, the answer is JSON, and a fault is the request's or the graph's."""
    body = json.dumps(document).encode()
    answer = server.request("POST", f"/v1/models/{model}:{verb}", body[: len(body) - cut])
    assert answer.status in (200, 400, 404, 501)
    assert len(json.loads(answer.body.decode("utf-8", "surrogateescape"))) == 1


@given(st.sampled_from(["GET", "POST", "HEAD", "PUT", "LINK"]), PATHS)
def test_no_path_breaks_the_server(server: ServerProcess, method: str, path: str) -> None:
    assert server.request(method, path).status in (200, 400, 404, 501)
