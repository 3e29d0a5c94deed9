"""What a real proxy refuses before it is a request has an id, a line in the log, and a place in the metrics."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from proxy.api.arrival import LARGEST_HEAD_BYTES
from tests.proxy.fake_model_server import FakeModelServer, running
from tests.proxy.proxy_process import START_SECONDS, running_proxy
from tests.proxy.raw import exchange

LATE, LONG = b"x" * 100, b"x" * LARGEST_HEAD_BYTES
BODY = b" HTTP/1.1\r\nHost: easel\r\nX-Request-ID: own-%d\r\nContent-Length: 100\r\n\r\n{"
CHUNK = b" HTTP/1.1\r\nHost: easel\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n"


@dataclass(frozen=True)
class Refusal:
    """A request, the status of its answer, and as what it is logged and counted."""

    sent: bytes
    status: int
    method: str = "other"
    path: str = "unmatched"


REFUSALS = {
    "no HTTP": Refusal(b"?\r\n\r\n", 400),
    "a bad header": Refusal(b"GET /generate HTTP/1.1\r\nHost\r\n\r\n", 400),
    "half a line": Refusal(b"GET /gen", 408),
    "half a head": Refusal(b"GET /generate HTTP/1.1\r\nHost: easel\r\n", 408),
    "a long head": Refusal(b"GET /generate?caption=" + LONG, 431),
    "half a body": Refusal(b"POST /generate" + BODY % 1, 408, "POST", "/generate"),
    "half a body of another API": Refusal(
        b"POST /v1/images/generations" + BODY % 2, 408, "POST", "/v1/images/generations"
    ),
    "a bad chunk": Refusal(b"POST /sdapi/v1/txt2img" + CHUNK, 400, "POST", "/sdapi/v1/txt2img"),
    "a bad chunk of nothing": Refusal(b"HEAD /generate" + CHUNK, 400, "HEAD", "/generate"),
    "a chunk with a long name": Refusal(b"POST /generate" + CHUNK[:-10] + b"5;" + LONG, 431, "POST", "/generate"),
}


@pytest.fixture(scope="module")
def proxy() -> Iterator[tuple[httpx.Client, list[str]]]:
    """A proxy that waits a second, and what it logs."""
    with running(FakeModelServer()) as server:
        with (
            running_proxy(server.url, read_seconds=1, log_format="json") as (url, _, log),
            httpx.Client(base_url=url) as client,
        ):
            yield client, log
        assert not any("Traceback" in line or "Fatal error" in line for line in log)


def counted(client: httpx.Client) -> dict[str, int]:
    """Requests by their labels, but those that ask for this."""
    lines = client.get("/metrics").text.splitlines()
    counts = (line.rsplit(" ", 1) for line in lines if line.startswith("easel_requests_total"))
    return {labels: int(float(count)) for labels, count in counts if '"/metrics"' not in labels}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_is_told_logged_and_counted_once(proxy: tuple[httpx.Client, list[str]], refusal: Refusal) -> None:
    """With one id and one status, whether or not the application was at the request already."""
    client, log = proxy
    before = counted(client)
    head, _ = exchange(str(client.base_url), refusal.sent)
    assert int(head[0].split()[1]) == refusal.status
    (own_id,) = (line.split()[1].decode() for line in head if line.lower().startswith(b"x-request-id: "))
    sent = re.search(rb"own-\d", refusal.sent)
    assert own_id == sent[0].decode() if sent else re.fullmatch("[0-9a-f]{16}", own_id)
    entries: list[dict[str, Any]] = []
    deadline = time.monotonic() + START_SECONDS
    while not entries:
        assert time.monotonic() < deadline
        time.sleep(0.05)
        entries = [json.loads(line) for line in list(log) if own_id in line]
    (entry,) = entries
    labels = {"method": refusal.method, "path": refusal.path, "status": refusal.status}
    assert {name: entry[name] for name in labels} == labels
    assert entry["caller"] == "127.0.0.1"
    assert 0 <= entry["seconds"] < START_SECONDS
    name = "easel_requests_total{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"
    after = counted(client)
    assert {key: count - before.get(key, 0) for key, count in after.items() if count != before.get(key)} == {name: 1}


@pytest.mark.parametrize("rest", [b" HTTP/1.1\r\nHost", b"?prompt=" + LONG, CHUNK], ids=["late", "long", "broken"])
def test_each_api_hears_it_in_its_shape(proxy: tuple[httpx.Client, list[str]], rest: bytes) -> None:
    """As soon as the path is known."""
    url = str(proxy[0].base_url)
    paths = (b"/generate", b"/v1/images/generations", b"/sdapi/v1/txt2img")
    said = [json.loads(exchange(url, b"POST " + path + rest)[1]) for path in paths]
    assert {*said[0]["error"]} == {"type", "message", "details"}
    assert {*said[1]["error"]} == {"type", "message", "code", "param"}
    assert {*said[2]} == {"error", "detail", "details", "body", "errors"}


def test_the_answer_to_head_has_no_body(proxy: tuple[httpx.Client, list[str]]) -> None:
    assert exchange(str(proxy[0].base_url), b"HEAD /generate" + CHUNK)[1] == b""
