"""The client of TensorFlow Serving: what it asks, and what it makes of every kind of answer."""

import json
from collections.abc import Callable

import httpx
import pytest

from proxy.errors import (
    BadModelAnswerError,
    ModelServerError,
    ModelUnavailableError,
    RefusedCallError,
    UnreachableError,
)
from proxy.families import Version, parse_model
from proxy.model_server import ModelServer
from tests.proxy.fake_model_server import FakeModelServer
from tests.proxy.fleet import servers_of


def server(handler: Callable[[httpx.Request], httpx.Response]) -> ModelServer:
    return ModelServer(servers_of([httpx.AsyncClient(transport=httpx.MockTransport(handler), base_url="http://tf")]))


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_body_that_cannot_be_decompressed_is_a_bad_answer(encoding: str) -> None:
    """As it comes over the network: not read yet when the response begins."""

    def handle(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=httpx.ByteStream(b"garbage"), headers={"Content-Encoding": encoding})

    with pytest.raises(BadModelAnswerError, match="model m: its answer cannot be read"):
        await server(handle).predict("m", "1", "s", dict, ["y"], dict)
    with pytest.raises(BadModelAnswerError, match="model m: its answer cannot be read"):
        await server(handle).available_versions("m")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RefusedCallError),
        (404, ModelUnavailableError),
        (412, RefusedCallError),
        (429, ModelUnavailableError),
        (500, RefusedCallError),
        (502, UnreachableError),
        (503, UnreachableError),
        (504, UnreachableError),
    ],
)
async def test_every_refusal_names_the_model_and_hides_the_servers_words(
    status: int, error: type[ModelServerError], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(error, match="emoji_decoder") as caught:
        await server(lambda _: httpx.Response(status, json={"error": "/secret/path: node DecodeRaw"})).predict(
            "emoji_decoder", "1", "decode", dict, ["image_bytes"], dict
        )
    assert type(caught.value) is error
    assert "secret" not in str(caught.value)
    assert "secret" in caplog.text


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (httpx.ConnectError, "cannot be reached"),
        (httpx.ReadError, "cannot be reached"),
        (httpx.ConnectTimeout, "cannot be reached"),
        (httpx.ReadTimeout, "did not answer in time"),
    ],
)
async def test_a_server_that_is_down_or_silent_is_told_apart(broken: type[httpx.TransportError], reason: str) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise broken("broken", request=request)

    with pytest.raises(UnreachableError, match=f"model m: .*{reason}"):
        await server(fail).predict("m", "1", "s", dict, ["y"], dict)


@pytest.mark.parametrize("status", [404, 429, 503])
async def test_what_one_server_does_not_have_now_is_looked_for_at_the_others(status: int) -> None:
    """Status, metadata and calls alike; a server whose version is loading has the model's status, and not the model."""
    lacking, loading, whole = FakeModelServer(), FakeModelServer(), FakeModelServer()
    lacking.override = lambda _method, _path: (status, b"{}")
    loading.states = dict.fromkeys(loading.states, "LOADING")
    clients = [
        httpx.AsyncClient(transport=fake.transport(), base_url="http://tf") for fake in (lacking, loading, whole)
    ]
    asked = ModelServer(servers_of(clients))
    for _ in range(3):
        assert await asked.available_versions("emoji_decoder") == [Version("1")]
        assert (await asked.metadata("emoji_decoder"))[0]["model_spec"]["version"] == "1"
        await asked.predict("emoji_decoder", "1", "describe", lambda: {"key": [""]}, ["description"], dict)
    whole.override = lacking.override
    with pytest.raises(ModelUnavailableError):
        await asked.metadata("emoji_decoder")


def statuses(*versions: tuple[str, str]) -> httpx.Response:
    return httpx.Response(
        200, json={"model_version_status": [{"version": number, "state": word} for number, word in versions]}
    )


async def test_the_highest_loaded_version_answers() -> None:
    answer = statuses(("10", "UNLOADING"), ("9", "AVAILABLE"), ("2", "AVAILABLE"), ("1", "END"))
    assert await server(lambda _: answer).available_versions("m") == [Version("9")]


@pytest.mark.parametrize("state", ["START", "LOADING"])
async def test_a_version_that_is_coming_is_told(state: str) -> None:
    answer = statuses(("10", state), ("9", "AVAILABLE"))
    assert await server(lambda _: answer).available_versions("m") == [Version("9", is_changing=True)]


@pytest.mark.parametrize(
    ("versions", "error"),
    [
        ((), ModelUnavailableError),
        ((("1", "UNLOADING"), ("2", "END")), ModelUnavailableError),
        ((("1", "LOADING"),), UnreachableError),
        ((("2", "END"), ("3", "START")), UnreachableError),
    ],
)
async def test_a_model_without_a_loaded_version_is_unavailable(
    versions: tuple[tuple[str, str], ...], error: type[ModelUnavailableError]
) -> None:
    """It may soon be there if one is being loaded."""
    with pytest.raises(ModelUnavailableError, match="no loaded version") as caught:
        await server(lambda _: statuses(*versions)).available_versions("m")
    assert type(caught.value) is error


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"model_version_status": [5]}', b"\xff"])
async def test_a_status_of_another_kind_is_a_bad_answer(body: bytes) -> None:
    with pytest.raises(BadModelAnswerError):
        await server(lambda _: httpx.Response(200, content=body)).available_versions("m")


async def test_metadata_as_tensorflow_serving_writes_it_is_understood() -> None:
    """Sizes are strings, and there is an initialiser without a shape."""
    (metadata,) = await server(lambda _: httpx.Response(200, content=METADATA)).metadata("raw_bytes")
    model = parse_model("raw_bytes", metadata)
    assert model.version == "1"
    assert model.signatures["serving_default"].inputs == {"raw": (-1,)}
    assert model.signatures["serving_default"].outputs == {"values": (-1, 2), "echo_bytes": (-1,)}
    assert model.signatures["__saved_model_init_op"].outputs == {"__saved_model_init_op": ()}


METADATA = b"""{
"model_spec":{
 "name": "raw_bytes",
 "version": "1",
 "signature_name": ""
}
,
"metadata": {"signature_def": {
 "signature_def": {
  "serving_default": {
   "inputs": {
    "raw": {
     "name": "serving_default_raw:0",
     "dtype": "DT_STRING",
     "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": false}
    }
   },
   "outputs": {
    "values": {
     "name": "PartitionedCall_1:2",
     "dtype": "DT_FLOAT",
     "tensor_shape": {"dim": [{"size": "-1", "name": ""}, {"size": "2", "name": ""}], "unknown_rank": false}
    },
    "echo_bytes": {
     "name": "PartitionedCall_1:0",
     "dtype": "DT_STRING",
     "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": false}
    }
   },
   "method_name": "tensorflow/serving/predict",
   "defaults": {}
  },
  "__saved_model_init_op": {
   "inputs": {},
   "outputs": {
    "__saved_model_init_op": {
     "name": "NoOp", "dtype": "DT_INVALID", "tensor_shape": {"dim": [], "unknown_rank": true}
    }
   },
   "method_name": "",
   "defaults": {}
  }
 }
}
}
}
"""


async def test_a_single_output_of_a_real_tensorflow_serving_is_understood() -> None:
    """Recorded: one output comes without its key."""
    recorded = b'{\n    "outputs": [\n        {\n            "b64": "AACAPwAAAEA="\n        }\n    ]\n}'
    answer = await server(lambda _: httpx.Response(200, content=recorded)).predict(
        "raw_bytes", "1", "echo", dict, ["echo"], dict
    )
    assert json.dumps(answer) == '{"echo": [{"b64": "AACAPwAAAEA="}]}'


async def test_what_several_models_have_is_asked_of_one_server() -> None:
    """While a new version is loaded by one server after the other, a set of versions is one server's."""
    fakes = [FakeModelServer(), FakeModelServer()]
    fakes[1].versions = dict.fromkeys(fakes[1].versions, "2")
    clients = [httpx.AsyncClient(transport=fake.transport(), base_url="http://tf") for fake in fakes]
    asked = ModelServer(servers_of(clients))
    for _ in range(4):
        assert len(set(await asked.available_versions(*fakes[0].models))) == 1
        described = await asked.metadata(*fakes[0].models)
        assert len({each["model_spec"]["version"] for each in described}) == 1
