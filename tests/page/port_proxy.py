"""A notebook's port proxy: another path, GET alone, and connections that may break."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from urllib.parse import urlsplit

import httpx

PREFIX = "/proxy/5000"
_HOP_BY_HOP = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}


class PortProxy(ThreadingHTTPServer):
    """Passes GET requests below PREFIX on, and answers everything else with an error."""

    daemon_threads = True

    def __init__(self, target: str) -> None:
        """target: the address of what is behind it."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = target
        self.refused: list[str] = []
        self.breaks: list[int] = []

    @property
    def url(self) -> str:
        """Where what is behind it is found, without a slash at the end."""
        return f"http://127.0.0.1:{self.server_port}{PREFIX}"

    def break_next_stream(self, pieces: int = 1) -> None:
        """Break the next stream of events after its headers and so many pieces."""
        self.breaks.append(pieces)


class _Handler(BaseHTTPRequestHandler):
    server: PortProxy

    def do_GET(self) -> None:
        if not self.path.startswith(f"{PREFIX}/"):
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        asked = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
        with (
            httpx.Client(trust_env=False, timeout=60) as client,
            client.stream("GET", self.server.target + self.path.removeprefix(PREFIX), headers=asked) as answer,
            suppress(BrokenPipeError, ConnectionResetError),
        ):
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name not in _HOP_BY_HOP:
                    self.send_header(name, value)
            self.end_headers()
            for piece in islice(answer.iter_raw(), self._most_pieces()):
                self.wfile.write(piece)

    def _most_pieces(self) -> int | None:
        is_breaking = self.server.breaks and urlsplit(self.path).path.endswith("/events")
        return self.server.breaks.pop() if is_breaking else None

    def _refuse(self, status: HTTPStatus = HTTPStatus.METHOD_NOT_ALLOWED) -> None:
        self.server.refused.append(f"{self.command} {self.path}")
        self.send_error(status)

    def __getattr__(self, name: str) -> Callable[[], None]:
        """What the server calls for the other methods."""
        if name.startswith("do_"):
            return self._refuse
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def port_proxy(target: str) -> Iterator[PortProxy]:
    """Run one inside a `with` block."""
    with PortProxy(target) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
