"""Over a real proxy process: clients that send slowly, send too much, or do not read."""

import contextlib
import json
import random
import select
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import httpx
import psutil
import pytest

from proxy.api.arrival import LARGEST_HEAD_BYTES
from proxy.api.parameters import LONGEST_CAPTION, MOST_CAPTION_BYTES
from tests.proxy.fake_model_server import FakeModelServer, running
from tests.proxy.proxy_process import running_proxy
from tests.proxy.raw import connection, get, rest

READ_SECONDS = 1
MOST_SECONDS = 15  # less than is usual; a busy machine takes less than that
WAITED = b"HTTP/1.1 408 Request Timeout\r\n"
POST = b"POST /generate HTTP/1.1\r\nHost: easel\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
ORDER = json.dumps({"caption": "red heart", "steps": 2}).encode()


@pytest.fixture(scope="module", params=[READ_SECONDS])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A proxy that waits for a second, or as long as a test says, and draws one request at a time."""
    with running(FakeModelServer()) as server:
        with running_proxy(server.url, read_seconds=request.param, concurrent_requests=1) as (address, _, log):
            yield address
        assert not any("Traceback" in line or "Fatal error" in line for line in log)


# Where nobody is to be cut off, however long the machine stands still.
PATIENT = pytest.mark.parametrize("url", [60], indirect=True)


@pytest.mark.parametrize(
    "sent",
    [
        b"G",
        b"GET /healthz HTTP/1.1\r\nHost: easel\r\n",
        POST % 100,
        POST % 100 + b"{",
        b"GET /healthz HTTP/1.1\r\nHost: easel\r\n\r\nGET /healthz",
        b"POST /generate HTTP/1.1\r\nHost: easel\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
    ],
)
def test_who_stops_in_the_middle_of_a_request_is_told_and_closed(url: str, sent: bytes) -> None:
    """With 408 and JSON, at the settings' time; also in the second request of a connection."""
    start = time.monotonic()
    with connection(url) as opened:
        opened.sendall(sent)
        said = rest(opened)
        assert 0.9 * READ_SECONDS < time.monotonic() - start < MOST_SECONDS
    head, _, body = said[said.index(WAITED) :].partition(b"\r\n\r\n")
    assert json.loads(body)["error"]["type"] == "request_timeout"
    assert b"x-content-type-options: nosniff" in head


def test_who_says_nothing_is_closed(url: str) -> None:
    """Without an answer, which a browser would take for that to its first request."""
    start = time.monotonic()
    with connection(url) as opened:
        assert rest(opened) == b""
        assert 0.9 * READ_SECONDS < time.monotonic() - start < MOST_SECONDS


@pytest.mark.parametrize("begun", [b"GET /", POST % 1000])
def test_a_byte_now_and_then_does_not_help(url: str, begun: bytes) -> None:
    """The time is that of the whole request."""
    with connection(url) as opened:
        opened.sendall(begun)
        start = time.monotonic()
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            while time.monotonic() < start + MOST_SECONDS:
                opened.sendall(b"x")
                time.sleep(0.1)
        assert time.monotonic() - start < MOST_SECONDS


def test_a_large_body_may_take_longer(url: str) -> None:
    """As long as it comes at more than 10 kB a second."""
    body = ORDER + b" " * 200_000
    with connection(url) as opened:
        opened.sendall(POST % len(body) + body[:-1])
        time.sleep(2 * READ_SECONDS)  # of the 20 that it may take longer
        opened.sendall(body[-1:])
        assert opened.recv(1 << 16).startswith(b"HTTP/1.1 200 ")


def test_waiting_for_an_answer_is_not_slow(url: str) -> None:
    """Nor is coming back on a connection that was idle for longer."""
    with connection(url) as opened:
        for _ in range(3):
            opened.sendall(b"GET /healthz HTTP/1.1\r\nHost: easel\r\n\r\n")
            answer = b""
            while not answer.endswith(b"}"):
                answer += opened.recv(1 << 16)
            assert answer.startswith(b"HTTP/1.1 200 ")
            time.sleep(READ_SECONDS * 1.5)


def test_a_slow_picture_is_not_a_slow_client() -> None:
    """A request that arrived may be drawn for longer than requests may take to arrive."""
    fake = FakeModelServer()
    fake.override = lambda _, path: time.sleep(4) if path.endswith("diffusion_model:predict") else None
    with running(fake) as server, running_proxy(server.url, read_seconds=3) as (address, _, _log):
        asked = {"caption": "x", "steps": 1}
        with ThreadPoolExecutor(3) as pool:
            got = [pool.submit(httpx.get, address + path, params=asked) for path in ("/generate", "/generate/events")]
            posted = pool.submit(httpx.post, f"{address}/generate", json=asked)
        assert [answer.result().status_code for answer in (*got, posted)] == [200] * 3


@PATIENT
def test_many_slow_clients_hold_up_nobody(url: str) -> None:
    """A picture is drawn while all of them are there."""
    with httpx.Client(base_url=url) as client:
        opened = [socket.create_connection(("127.0.0.1", httpx.URL(url).port)) for _ in range(200)]
        try:
            for each in opened:
                each.sendall(POST % 100)
            assert client.get("/generate", params={"caption": "x", "steps": 2}).status_code == 200
            assert select.select(opened, [], [], 0)[0] == [], "nobody was told or closed"
        finally:
            for each in opened:
                each.close()


def noisy() -> FakeModelServer:
    """A model server whose pictures no file format makes small: sixteen of them are 17 MB of JSON."""
    fake = FakeModelServer(sizes=((512, 512),))
    fake.tamper = lambda model, raw: random.Random(0).randbytes(len(raw)) if model.endswith("decoder") else raw  # noqa: S311
    return fake


def test_who_does_not_read_holds_no_place_and_is_cut_off() -> None:
    """The next request is drawn at once though only one may be, and the answer's memory is freed after a while."""
    with (
        running(noisy()) as server,
        running_proxy(server.url, read_seconds=5, concurrent_requests=1) as (url, pid, _),
        socket.socket() as unread,
    ):
        unread.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        unread.connect(("127.0.0.1", httpx.URL(url).port))
        order = json.dumps({"caption": "x", "steps": 1, "n": 16}).encode()
        unread.sendall(POST % len(order) + order)
        process = psutil.Process(pid)
        assert unread.recv(1) == b"H"  # the picture is done
        assert httpx.get(f"{url}/generate", params={"caption": "x", "steps": 1}).status_code == 200
        assert _connections(process) == 1
        deadline = time.monotonic() + 60
        while _connections(process):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def _connections(process: psutil.Process) -> int:
    """Those that clients made, and that are open."""
    port = next(found.laddr.port for found in process.net_connections() if found.status == psutil.CONN_LISTEN)
    states = [found.status for found in process.net_connections() if found.laddr.port == port]
    return sum(status == psutil.CONN_ESTABLISHED for status in states)


def test_who_reads_slowly_gets_all_of_it() -> None:
    """A client that takes enough now and then is not cut off."""
    with (
        running(noisy()) as server,
        running_proxy(server.url, read_seconds=3) as (url, _, _log),
        socket.socket() as slow,
    ):
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        slow.connect(("127.0.0.1", httpx.URL(url).port))
        order = json.dumps({"caption": "x", "steps": 1, "n": 16}).encode()
        slow.sendall((POST % len(order)).replace(b"Host", b"Connection: close\r\nHost") + order)
        said, start = b"", time.monotonic()
        while part := slow.recv(1 << 19):
            said += part
            if time.monotonic() - start < 4:
                time.sleep(0.1)
        head, _, body = said.partition(b"\r\n\r\n")
        assert len(said) > 16_000_000
        assert time.monotonic() - start > 3
        assert len(json.loads(body)["pictures"]) == 16
        assert head.startswith(b"HTTP/1.1 200")


@PATIENT
@pytest.mark.parametrize("character", ["心", "ø", "\N{DUCK}"])
def test_the_longest_captions_fit_into_a_link(url: str, character: str) -> None:
    """Both of them, percent-encoded in UTF-8."""
    caption = quote(character * min(LONGEST_CAPTION, MOST_CAPTION_BYTES // len(character.encode())))
    line = f"GET /generate?steps=1&caption={caption}&negative_caption={caption} HTTP/1.1\r\n"
    with connection(url) as opened:
        opened.sendall(line.encode())
        time.sleep(0.1)  # so that it is read in parts, as over a network
        opened.sendall(b"Host: easel\r\nConnection: close\r\nCookie: " + b"x" * 8_000 + b"\r\n\r\n")
        head, _, body = rest(opened).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert body.startswith(b"\x89PNG")


@PATIENT
@pytest.mark.parametrize("extra", [b"", b"X-Large: " + b"x" * LARGEST_HEAD_BYTES])
def test_a_head_beyond_the_limit_is_refused(url: str, extra: bytes) -> None:
    """With 431 and JSON that says how much is allowed; whether the address is too long or a header."""
    target = b"/healthz" if extra else b"/tokens?caption=" + b"x" * LARGEST_HEAD_BYTES
    head, body = get(url, target, *([extra] if extra else []))
    assert head[0].startswith(b"HTTP/1.1 431 ")
    assert json.loads(body)["error"]["type"] == "request_header_fields_too_large"
    assert str(LARGEST_HEAD_BYTES) in json.loads(body)["error"]["message"]


@PATIENT
def test_what_is_not_http_is_refused(url: str) -> None:
    with connection(url) as opened:
        opened.sendall(b"\x16\x03\x01\x02\x00\r\n\r\n")
        assert rest(opened).startswith(b"HTTP/1.1 400 ")


@PATIENT
def test_nobody_is_closed_twice(url: str) -> None:
    """Garbage after a request whose answer is under way ends the connection, and leaves no trace in the log."""
    for garbage in (b"\0\0\r\n\r\n", b"x" * 100_000):
        with connection(url) as opened:
            opened.sendall(
                b"GET /generate?caption=x&steps=20 HTTP/1.1\r\nHost: e\r\nContent-Length: 3\r\n\r\n" + garbage
            )
            rest(opened)
    begun = b"GET /generate/events?caption=x&steps=150 HTTP/1.1\r\nHost: e\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connection(url) as opened:
        opened.sendall(begun)
        assert opened.recv(1 << 16).startswith(b"HTTP/1.1 200")
        opened.sendall(b"no chunk\r\n")
        assert b"HTTP/1.1 400" not in rest(opened)
    assert httpx.get(f"{url}/healthz").status_code == 200
