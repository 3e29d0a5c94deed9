"""Clients that stall: the connection is cut in time, and nobody else's is."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
import uvicorn

from model_server.application import Message, Receive, Send
from model_server.listener import Protocol, bind

PATIENCE_SECONDS = 0.4
MOST_SECONDS = 30  # half of what is usual; a busy machine takes less than that
REQUEST = b"POST / HTTP/1.1\r\nHost: e\r\nContent-Length: 3\r\n\r\nabc"
LARGE = 50_000_000


class Hurried(Protocol):
    patience_seconds = PATIENCE_SECONDS
    closed = threading.Semaphore(0)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.closed.release()


async def application(scope: Message, receive: Receive, send: Send) -> None:
    """Reads the body, waits if the path says so, and answers with as many bytes as the path says."""
    while (message := await receive())["type"] == "http.request" and message["more_body"]:
        pass
    size = LARGE if scope["path"] == "/large" else 2
    await asyncio.sleep(3 * PATIENCE_SECONDS if scope["path"] == "/slow" else 0)
    headers = [(b"content-length", str(size).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"x" * size})


class Unhurried(Protocol):
    patience_seconds = MOST_SECONDS


@pytest.fixture(scope="module", params=[Hurried])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    config = uvicorn.Config(application, http=request.param, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    with closing(bind("127.0.0.1", 0)) as bound:
        thread = threading.Thread(target=server.run, args=([bound],))
        thread.start()
        yield bound.getsockname()[1]
        server.should_exit = True
        thread.join()


def rest_of(connection: socket.socket) -> bytes:
    """What still comes until the other side closes."""
    parts = []
    try:
        while part := connection.recv(1 << 20):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


@pytest.mark.parametrize("sent", [b"", b"GET", REQUEST[:-4], REQUEST[:-1], REQUEST * 2 + REQUEST[:-1]])
def test_a_request_that_does_not_go_on_is_cut(port: int, sent: bytes) -> None:
    """Requests before it, which were whole, have their answers."""
    start = time.monotonic()
    with closing(socket.create_connection(("127.0.0.1", port), timeout=MOST_SECONDS)) as connection:
        connection.sendall(sent)
        assert rest_of(connection).count(b"200 OK") == sent.count(REQUEST)
        assert time.monotonic() - start > PATIENCE_SECONDS / 2  # uvloop counts in whole milliseconds


@pytest.mark.parametrize("whole", [b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 1000, REQUEST[:-3].replace(b"3", b"9999")])
def test_a_request_that_drips_is_cut(port: int, whole: bytes) -> None:
    """However often a byte comes: what counts is when the request began."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=MOST_SECONDS)) as connection:
        start = time.monotonic()
        connection.sendall(whole)
        with pytest.raises(ConnectionError):
            drip(connection, start + MOST_SECONDS)


def drip(connection: socket.socket, end: float) -> None:
    while time.monotonic() < end:
        connection.sendall(b"A")
        time.sleep(PATIENCE_SECONDS / 10)


def test_an_answer_that_nobody_takes_is_cut(port: int) -> None:
    with closing(socket.create_connection(("127.0.0.1", port), timeout=MOST_SECONDS)) as connection:
        while Hurried.closed.acquire(blocking=False):
            """Those of the tests before."""
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: e\r\n\r\n")
        assert Hurried.closed.acquire(timeout=MOST_SECONDS)
        assert len(rest_of(connection)) < LARGE


@pytest.mark.parametrize("port", [Unhurried], indirect=True)
def test_a_large_answer_that_is_taken_is_whole(port: int) -> None:
    with closing(socket.create_connection(("127.0.0.1", port), timeout=MOST_SECONDS)) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: e\r\nConnection: close\r\n\r\n")
        assert len(rest_of(connection)) > LARGE


def test_idle_connections_and_slow_answers_are_not_cut(port: int) -> None:
    with closing(socket.create_connection(("127.0.0.1", port), timeout=MOST_SECONDS)) as connection:
        for path in (b"/", b"/slow"):
            connection.sendall(REQUEST.replace(b"/ ", path + b" "))
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
            time.sleep(PATIENCE_SECONDS * 3)
