"""TensorFlow Serving's wire over small NumPy networks, for tests without TensorFlow."""

import contextlib
import json
import socket
import threading
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import numpy as np

from tests.proxy.fake_networks import NETWORKS, PIXELS, models, values


class FakeModelServer:
    """Answers `(method, path, body)`. Tests change what it holds, or replace its answers.

    models: signatures by model name. versions: what status and metadata say, and what answers calls; `old_versions` do
    so, too. drift: by how much a version's latents differ from those of the version before. down: refuses connections.
    tamper: applied to every raw output's bytes, with the model's name. calls: every request, in order.
    heads: what headers came with each, names in lower case.
    """

    def __init__(self, family: str = "emoji", sizes: tuple[tuple[int, int], ...] = ((PIXELS, PIXELS),)) -> None:
        self.family = family
        self.models = models(family, sizes)
        self.versions = dict.fromkeys(self.models, "1")
        self.old_versions: set[str] = set()
        self.drift = 0.0
        self.states = dict.fromkeys(self.models, "AVAILABLE")
        self.down = False
        self.tamper: Callable[[str, bytes], bytes] = lambda _, raw: raw
        self.override: Callable[[str, str], tuple[int, bytes] | None] = lambda _method, _path: None
        self.calls: list[tuple[str, str, Any]] = []
        self.versions_asked: list[tuple[str, str]] = []
        self.heads: list[dict[str, str]] = []

    def transport(self, before: Callable[[str], Awaitable[None]] | None = None) -> httpx.MockTransport:
        """The way to it without a network. before: awaited before a request is looked at, with its path."""

        async def wait(request: httpx.Request) -> httpx.Response:
            assert before is not None
            await before(without_version(request.url.path)[0])
            return handle(request)

        def handle(request: httpx.Request) -> httpx.Response:
            if self.down:
                raise httpx.ConnectError("connection refused", request=request)
            self.heads.append(dict(request.headers))
            status, body = self.answer(request.method, request.url.path, request.content)
            return httpx.Response(status, content=body, headers={"Content-Type": "application/json"})

        return httpx.MockTransport(wait if before else handle)

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        path, version = without_version(path)
        self.calls.append((method, path, json.loads(body) if body else None))
        if (overridden := self.override(method, path)) is not None:
            return overridden
        model = path.removeprefix("/v1/models/").removesuffix("/metadata").removesuffix(":predict")
        if model not in self.models or (self.states[model] != "AVAILABLE" and path.endswith((":predict", "/metadata"))):
            return 404, json.dumps({"error": f"Servable not found for request: Latest({model})"}).encode()
        if version is not None:
            self.versions_asked.append((model, version))
            if version not in {self.versions[model], *self.old_versions}:
                return 404, json.dumps(
                    {"error": f"Servable not found for request: Specific({model}, {version})"}
                ).encode()
        if path.endswith("/metadata"):
            spec = {"name": model, "version": self.versions[model], "signature_name": ""}
            return 200, json.dumps(
                {"model_spec": spec, "metadata": {"signature_def": {"signature_def": self.models[model]}}}
            ).encode()
        if path.endswith(":predict"):
            return self._predict(model, version or self.versions[model], json.loads(body))
        status = {"error_code": "OK", "error_message": ""}
        entry = {"version": self.versions[model], "state": self.states[model], "status": status}
        return 200, json.dumps({"model_version_status": [entry]}).encode()

    def _predict(self, model: str, version: str, body: dict[str, Any]) -> tuple[int, bytes]:
        name = body["signature_name"]
        if name not in self.models[model]:
            return 400, json.dumps({"error": f'Serving signature name: "{name}" not found in signature def'}).encode()
        declared = self.models[model][name]["inputs"]
        if set(body["inputs"]) != set(declared):
            return 400, json.dumps({"error": "Missing named input"}).encode()
        inputs = {key: values(rows, declared[key]) for key, rows in body["inputs"].items()}
        network = NETWORKS[name.split("_")[0]]
        try:
            outputs = network(model, inputs, self.models[model])
        except ValueError as exc:
            return 400, json.dumps({"error": str(exc)}).encode()
        if self.drift and name.startswith("denoise"):
            latents = (np.frombuffer(row, np.float32) for row in outputs["latent_bytes"])
            outputs["latent_bytes"] = [(latent + np.float32(self.drift * int(version))).tobytes() for latent in latents]
        columns = {
            key: [
                {"b64": b64encode(self.tamper(model, row)).decode()} if isinstance(row, bytes) else row for row in rows
            ]
            for key, rows in outputs.items()
        }
        answer = columns if len(columns) > 1 else next(iter(columns.values()))
        return 200, json.dumps({"outputs": answer}, indent=4).encode()


def without_version(path: str) -> tuple[str, str | None]:
    """A path that names a version, without it, and the version."""
    before, found, after = path.partition("/versions/")
    version, colon, action = after.partition(":")
    return (f"{before}{colon}{action}", version) if found else (path, None)


class Server(ThreadingHTTPServer):
    """An HTTP server that can be killed.

    connections: every one that was ever made.
    """

    request_queue_size = 128

    def __init__(self, *args: Any) -> None:
        self.connections: list[socket.socket] = []
        super().__init__(*args)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.connections.append(connection)
        return connection, address

    def handle_error(self, *_: object) -> None:
        """Say nothing of connections that were cut."""

    def kill(self) -> None:
        """Stop listening and cut all connections, as a process that is killed does."""
        self.shutdown()
        self.server_close()
        for connection in self.connections:
            with contextlib.suppress(OSError):  # closed by the client already
                connection.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def running(fake: FakeModelServer, port: int = 0) -> Iterator[Server]:
    """The fake on a real socket, killed at the end if it was not before."""
    server = serve(fake, port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.kill()
        thread.join()


def serve(fake: FakeModelServer, port: int = 0) -> Server:
    """The fake on a real socket; the caller runs `serve_forever` in a thread."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet an answer, or delayed acknowledgement costs 40 ms each

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            fake.heads.append({name.lower(): value for name, value in self.headers.items()})
            status, answer = fake.answer(self.command, self.path, body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = _answer  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Server(("127.0.0.1", port), Handler)


if __name__ == "__main__":
    serve(FakeModelServer(), 8599).serve_forever()
