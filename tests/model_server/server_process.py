"""A model server as a process of its own, on a free port."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from local.stack import free_port

ROOT = Path(__file__).parents[2]
_START_SECONDS = 300


class Answer(NamedTuple):
    """An HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return str(self.json["error"])


class ServerProcess:
    """`python -m model_server` with these flags; as a context, waits until it listens and ends it afterwards."""

    def __init__(self, log: Path, *flags: str, environment: dict[str, str] | None = None) -> None:
        self.port = free_port()
        self._log = log
        command = [sys.executable, "-m", "model_server", f"--rest_api_port={self.port}"]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, "--tensorflow_intra_op_parallelism=1", *flags],
                cwd=ROOT,
                env={**os.environ, **(environment or {})},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def __enter__(self) -> Self:
        deadline = time.monotonic() + _START_SECONDS
        while not self.is_listening():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"The server does not listen:\n{self.log}")
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def is_listening(self) -> bool:
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(120)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def request(
        self, method: str, path: str, body: bytes | str | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """One request over a connection of its own."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)) as connection:
            return send(connection, method, path, body, headers)

    @contextmanager
    def begun(self, model: str, document: Any) -> Iterator[Callable[[], Answer]]:
        """A prediction that the server has begun with; in the block, a call waits for its answer."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)) as connection:
            connection.request("POST", f"/v1/models/{model}:predict", json.dumps(document))
            self.get(f"/v1/models/{model}")  # which it reads, and answers, after what came before

            def answer() -> Answer:
                response = connection.getresponse()
                return Answer(response.status, dict(response.getheaders()), response.read())

            yield answer

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    def predict(self, model: str, document: Any) -> Answer:
        return self.request("POST", f"/v1/models/{model}:predict", json.dumps(document))


def send(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | str | None = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """One request over an open connection."""
    data = body.encode() if isinstance(body, str) else body
    connection.request(method, path, data, headers or {})
    response = connection.getresponse()
    return Answer(response.status, dict(response.getheaders()), response.read())
