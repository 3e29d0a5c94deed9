"""The server process from outside: HTTP, tensors of all kinds, threads."""

import base64
import contextlib
import gzip
import http.client
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from tests.model_server.server_process import ServerProcess, send

PREDICT = "/v1/models/linear:predict"


def test_headers(server: ServerProcess) -> None:
    """JSON says so, has a date and a length, and is never compressed."""
    answer = server.request("GET", "/v1/models/linear", headers={"Accept-Encoding": "gzip"})
    lower = {name.lower(): value for name, value in answer.headers.items()}
    assert lower.keys() == {"content-type", "content-length", "date"}
    assert lower["content-type"] == "application/json"
    assert int(lower["content-length"]) == len(answer.body)


def test_one_connection_carries_many_requests(server: ServerProcess) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        connection.connect()
        first = connection.sock
        for number in range(50):
            answer = send(connection, "POST", PREDICT, json.dumps({"inputs": [float(number)]}))
            assert answer.json == {"outputs": [number / 2 + 2]}
            assert connection.sock is first


def test_chunked_request_body(server: ServerProcess) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        connection.request("POST", PREDICT, iter([b'{"inputs":', b" [1.0]}"]), encode_chunked=True)
        assert json.loads(connection.getresponse().read()) == {"outputs": [2.5]}


def test_gzip_request_body(server: ServerProcess) -> None:
    """A gzip body is unpacked; a damaged one counts as empty."""
    body, headers = gzip.compress(b'{"inputs": [1.0]}'), {"Content-Encoding": "gzip"}
    assert server.request("POST", PREDICT, body, headers).json == {"outputs": [2.5]}
    for damaged in (body[:-9], b"no gzip"):
        answer = server.request("POST", PREDICT, damaged, headers)
        assert (answer.status, answer.error) == (400, "JSON Parse error: The document is empty")


def test_a_body_without_an_end_is_refused_when_it_is_too_large(server: ServerProcess) -> None:
    """The answer comes while the client still sends, and then the connection ends."""
    piece = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
    received = b""
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=30)) as connection:
        connection.sendall(f"POST {PREDICT} HTTP/1.1\r\nHost: e\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        with contextlib.suppress(ConnectionError):
            for _ in range(200):
                connection.sendall(piece)
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(1 << 16):
                received += part
    assert not received or received.startswith(b"HTTP/1.1 413")
    assert server.predict("linear", {"inputs": [1.0]}).json == {"outputs": [2.5]}


@pytest.mark.parametrize(("size", "status"), [(100 << 20, 400), ((100 << 20) + 1, 413)])
def test_a_body_of_100_mb_is_the_largest(server: ServerProcess, size: int, status: int) -> None:
    answer = server.request("POST", PREDICT, b" " * size)
    assert answer.status == status
    assert "error" in answer.json


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/models/linear", "/monitoring/prometheus/metrics"])
def test_paths_outside_the_api_are_pages_not_found(server: ServerProcess, path: str) -> None:
    answer = server.get(path)
    assert answer.status == 404
    assert answer.headers["Content-Type"] == "text/html"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_malformed(server: ServerProcess, method: str) -> None:
    answer = server.request(method, "/v1/models/linear")
    assert (answer.status, answer.error) == (400, f"Malformed request: {method} /v1/models/linear")


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/v1/models/linear/versions/7", 404, "Could not find version 7 of model linear"),
        ("/v1/models/linear/labels/x/metadata", 400, "Unrecognized servable version label: x"),
        ("/v1/models/a%22%C3%A9%FF", 404, 'Could not find any versions of model a"é\udcff'),
    ],
)
def test_errors_of_get(server: ServerProcess, path: str, status: int, error: str) -> None:
    answer = server.get(path)
    assert answer.status == status
    assert json.loads(answer.body.decode("utf-8", "surrogateescape")) == {"error": error}


def test_a_version_beyond_64_bits_has_an_empty_body(server: ServerProcess) -> None:
    answer = server.get(f"/v1/models/linear/versions/{2**63}")
    assert (answer.status, answer.body) == (400, b"")


@pytest.mark.parametrize(
    ("model", "status", "error"),
    [
        ("half:predict", 501, "Conversion of JSON Value: 1 to type: half"),
        ("brain:predict", 501, "Conversion of JSON Value: 1 to type: bfloat16"),
        ("short:predict", 501, "Conversion of JSON Value: 1 to type: uint16"),
        ("complex:predict", 501, "Conversion of JSON Value: 1 to type: complex64"),
    ],
)
def test_what_cannot_be_done(server: ServerProcess, model: str, status: int, error: str) -> None:
    answer = server.request("POST", f"/v1/models/{model}", b'{"inputs": [1]}')
    assert (answer.status, answer.error) == (status, error)


def test_the_init_signature_has_no_inputs(server: ServerProcess) -> None:
    answer = server.predict("matrix", {"signature_name": "__saved_model_init_op", "inputs": 1})
    assert (answer.status, answer.error) == (400, "Failed to get input map for signature: __saved_model_init_op")


@pytest.mark.parametrize("value", ["text", [], [[]], [["a", "é"], ["", "d"]], [{"b64": "AAA="}], {"b64": "YQAA"}])
def test_strings_of_any_shape(server: ServerProcess, value: Any) -> None:
    """A string tensor may be a scalar, empty, or of higher rank than the signature says."""
    answer = server.predict("raw_bytes", {"signature_name": "echo", "inputs": value})
    assert answer.json == {"outputs": _encoded(value)}


@pytest.mark.parametrize(("dimensions", "status"), [(32, 200), (33, 400), (64, 400)])
def test_strings_of_so_many_dimensions_that_tensorflow_would_end_are_refused(
    server: ServerProcess, dimensions: int, status: int
) -> None:
    value: Any = "text"
    for _ in range(dimensions):
        value = [value]
    answer = server.predict("raw_bytes", {"signature_name": "echo", "inputs": value})
    assert answer.status == status
    assert answer.json == ({"outputs": _encoded(value)} if status == 200 else {"error": "tensor parsing error: raw"})


def _encoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_encoded(item) for item in value]
    return value if isinstance(value, dict) else {"b64": base64.b64encode(value.encode()).decode()}


@pytest.mark.parametrize("shape", [(), (0,), (2,), (1, 3), (4, 4, 3), (1, 4, 4, 4), (1, 4, 0, 3), (1, 1, 4, 4, 3)])
def test_a_shape_that_kernels_would_end_the_process_over_is_refused(server: ServerProcess, shape: list[int]) -> None:
    """Of three dimensions and more; a batch may have any number of rows."""
    answer = server.predict("convolution", {"inputs": np.ones(shape).tolist()})
    given = [list(shape)] if 0 not in shape else [list(shape), [1, 4, 0]]
    allowed = ", allowed is [?,4,4,3]"
    assert answer.status == 400
    assert answer.error in [f"input tensor x has the shape {str(one).replace(' ', '')}{allowed}" for one in given]
    for rows in (1, 3):
        assert len(server.predict("convolution", {"inputs": np.ones((rows, 4, 4, 3)).tolist()}).json["outputs"]) == rows


def test_unsigned_and_short_integers(server: ServerProcess) -> None:
    document = {"inputs": {"u32": [2**32 - 1], "u64": [2**64 - 1], "i16": [-5]}}
    assert server.predict("unsigned", document).json["outputs"] == document["inputs"]


def test_labels_choose_versions(server: ServerProcess) -> None:
    for label, answer in (("stable", 11.0), ("canary", 33.0)):
        path = f"/v1/models/versions/labels/{label}:predict"
        assert server.request("POST", path, b'{"inputs": [1.0]}').json == {"outputs": [answer]}
    metadata = server.get("/v1/models/versions/labels/stable/metadata").json
    assert metadata["model_spec"] == {"name": "versions", "signature_name": "", "version": "1"}


def test_many_threads_get_their_own_answers(server: ServerProcess) -> None:
    def ask(number: int) -> bool:
        return bool(server.predict("linear", {"inputs": [float(number)]}).json == {"outputs": [number / 2 + 2]})

    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(ask, range(600)))
