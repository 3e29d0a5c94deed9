"""TensorFlow Serving's wire over small NumPy networks, for tests without TensorFlow."""

import contextlib
import json
import socket
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import numpy as np

WIDTH, SIDE = 8, 4
PIXELS = SIDE * 8


def text_encoder(tokens: np.ndarray) -> np.ndarray:
    """Tokens (B, 77) to context (B, 77, WIDTH) float32."""
    phase = tokens[..., None].astype(np.float32) * np.float32(0.01) + np.arange(WIDTH, dtype=np.float32)
    return np.sin(phase).astype(np.float32)


def timestep_embedding(timestep: int) -> np.ndarray:
    """(1, 320) float32, as KerasCV makes it."""
    frequencies = np.exp(-np.log(10000) * np.arange(160, dtype=np.float32) / 160)
    angles = np.float32(timestep) * frequencies
    return np.concatenate([np.cos(angles), np.sin(angles)])[None].astype(np.float32)


def diffusion_model(latent: np.ndarray, embedding: np.ndarray, context: np.ndarray) -> np.ndarray:
    """Some smooth function of all three: latent (B, h, w, 4), embedding (1, 320), context (B, 77, WIDTH)."""
    pull = context[:, :20].mean(axis=(1, 2)) + np.float32(0.1) * embedding[:, 150:].mean()
    return np.tanh(latent * np.float32(0.9) + pull[:, None, None, None]).astype(np.float32)


def decoder(latent: np.ndarray) -> np.ndarray:
    """Latent (B, h, w, 4) to pixels within -0.9..0.9, (B, 8h, 8w, 3).

    None is black, whatever the seed: a network that works draws no picture of zeros, which is what NaN becomes.
    """
    return (np.float32(0.9) * np.tanh(latent[..., :3])).repeat(8, axis=1).repeat(8, axis=2)


def tensor(dtype: str, *shape: int) -> dict[str, Any]:
    """A tensor in the metadata's words; TensorFlow Serving writes sizes as strings."""
    return {"name": "t:0", "dtype": dtype, "tensor_shape": {"dim": [{"size": str(s), "name": ""} for s in shape]}}


def signature(inputs: dict[str, Any], outputs: dict[str, Any]) -> dict[str, Any]:
    return {"inputs": inputs, "outputs": outputs, "method_name": "tensorflow/serving/predict", "defaults": {}}


class FakeModelServer:
    """Answers `(method, path, body)`. Tests change what it holds, or replace its answers.

    models: signatures by model name. versions: what status and metadata say. down: refuses connections.
    tamper: applied to every raw output's bytes, with the model's name. calls: every request, in order.
    heads: what headers came with each, names in lower case.
    """

    def __init__(self, family: str = "emoji", sizes: tuple[tuple[int, int], ...] = ((PIXELS, PIXELS),)) -> None:
        self.family = family
        self.models = models(family, sizes)
        self.versions = dict.fromkeys(self.models, "1")
        self.states = dict.fromkeys(self.models, "AVAILABLE")
        self.down = False
        self.tamper: Callable[[str, bytes], bytes] = lambda _, raw: raw
        self.override: Callable[[str, str], tuple[int, bytes] | None] = lambda _method, _path: None
        self.calls: list[tuple[str, str, Any]] = []
        self.heads: list[dict[str, str]] = []

    def transport(self) -> httpx.MockTransport:
        def handle(request: httpx.Request) -> httpx.Response:
            if self.down:
                raise httpx.ConnectError("connection refused", request=request)
            self.heads.append(dict(request.headers))
            status, body = self.answer(request.method, request.url.path, request.content)
            return httpx.Response(status, content=body, headers={"Content-Type": "application/json"})

        return httpx.MockTransport(handle)

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        self.calls.append((method, path, json.loads(body) if body else None))
        if (overridden := self.override(method, path)) is not None:
            return overridden
        model = path.removeprefix("/v1/models/").removesuffix("/metadata").removesuffix(":predict")
        if model not in self.models or (self.states[model] != "AVAILABLE" and path.endswith((":predict", "/metadata"))):
            return 404, json.dumps({"error": f"Servable not found for request: Latest({model})"}).encode()
        if path.endswith("/metadata"):
            spec = {"name": model, "version": self.versions[model], "signature_name": ""}
            return 200, json.dumps(
                {"model_spec": spec, "metadata": {"signature_def": {"signature_def": self.models[model]}}}
            ).encode()
        if path.endswith(":predict"):
            return self._predict(model, json.loads(body))
        status = {"error_code": "OK", "error_message": ""}
        entry = {"version": self.versions[model], "state": self.states[model], "status": status}
        return 200, json.dumps({"model_version_status": [entry]}).encode()

    def _predict(self, model: str, body: dict[str, Any]) -> tuple[int, bytes]:
        name = body["signature_name"]
        if name not in self.models[model]:
            return 400, json.dumps({"error": f'Serving signature name: "{name}" not found in signature def'}).encode()
        declared = self.models[model][name]["inputs"]
        if set(body["inputs"]) != set(declared):
            return 400, json.dumps({"error": "Missing named input"}).encode()
        inputs = {key: _values(rows, declared[key]) for key, rows in body["inputs"].items()}
        network = {"encode": _encode, "denoise": _denoise, "decode": _decode, "describe": _describe}[name.split("_")[0]]
        try:
            outputs = network(model, inputs, self.models[model])
        except ValueError as exc:
            return 400, json.dumps({"error": str(exc)}).encode()
        columns = {
            key: [
                {"b64": b64encode(self.tamper(model, row)).decode()} if isinstance(row, bytes) else row for row in rows
            ]
            for key, rows in outputs.items()
        }
        answer = columns if len(columns) > 1 else next(iter(columns.values()))
        return 200, json.dumps({"outputs": answer}, indent=4).encode()


def models(family: str, sizes: tuple[tuple[int, int], ...]) -> dict[str, Any]:
    """The signatures of a family's three models; sizes are (width, height) in pixels, the default first."""
    context, raw = tensor("DT_FLOAT", -1, 77, WIDTH), tensor("DT_STRING", -1)
    tokens = tensor("DT_INT32", -1, 77)
    state = {"latent_bytes": raw, "x0_bytes": raw}
    table = {"timesteps": tensor("DT_INT32", -1, -1), "coefficients": tensor("DT_FLOAT", -1, -1, 5)}
    guidance = dict.fromkeys(("context_bytes", "unconditional_context_bytes"), raw)
    guidance["guidance_scale"] = tensor("DT_FLOAT", -1)
    describe = {"describe": signature({"key": raw}, {"description": raw})}
    diffusion_model, decoder = dict(describe), dict(describe)
    for index, (width, height) in enumerate(sizes):
        suffix = f"_{width}x{height}" if index else ""
        serving = "serving" + (suffix or "_default")
        latent = tensor("DT_FLOAT", -1, height // 8, width // 8, 4)
        inputs = {"latent": latent, "timestep": tensor("DT_INT32", -1), "context": context}
        diffusion_model[serving] = signature(inputs, {"noise": latent})
        diffusion_model["denoise" + suffix] = signature({**state, **guidance, **table}, state)
        decoder[serving] = signature({"latent": latent}, {"image": tensor("DT_UINT8", -1, height, width, 3)})
        decoder["decode" + suffix] = signature({"latent_bytes": raw}, {"image_bytes": raw})
    init = {"inputs": {}, "outputs": {"op": {"tensor_shape": {"dim": [], "unknown_rank": True}}}, "method_name": ""}
    encoder = {
        "serving_default": signature({"tokens": tokens}, {"context": context}),
        "encode": signature({"tokens": tokens}, {"context_bytes": raw}),
        "__saved_model_init_op": init,
        **describe,
    }
    return {
        f"{family}_text_encoder": encoder,
        f"{family}_diffusion_model": diffusion_model,
        f"{family}_decoder": decoder,
    }


def _values(rows: list[Any], declared: dict[str, Any]) -> Any:
    dtype = {"DT_INT32": np.int32, "DT_FLOAT": np.float32}.get(declared["dtype"])
    if dtype is not None:
        return np.array(rows, dtype)
    return [b64decode(row["b64"]) if isinstance(row, dict) else row for row in rows]


def _floats(rows: list[bytes], shape: tuple[int, ...]) -> np.ndarray:
    return np.stack([np.frombuffer(row, "<f4").reshape(shape) for row in rows])


def _latent_shape(signatures: dict[str, Any], raw: bytes) -> tuple[int, ...]:
    for declared in signatures.values():
        if "latent" in declared["inputs"]:
            shape = tuple(int(d["size"]) for d in declared["inputs"]["latent"]["tensor_shape"]["dim"][1:])
            if 4 * np.prod(shape) == len(raw):
                return shape
    raise ValueError(f"no latent of {len(raw)} bytes")


def _encode(_: str, inputs: dict[str, Any], __: dict[str, Any]) -> dict[str, list[Any]]:
    return {"context_bytes": [row.astype("<f4").tobytes() for row in text_encoder(inputs["tokens"])]}


def _denoise(_: str, inputs: dict[str, Any], signatures: dict[str, Any]) -> dict[str, list[Any]]:
    shape = _latent_shape(signatures, inputs["latent_bytes"][0])
    x, x0 = (_floats(inputs[name], shape) for name in ("latent_bytes", "x0_bytes"))
    context, unconditional = (
        _floats(inputs[name], (77, WIDTH)) for name in ("context_bytes", "unconditional_context_bytes")
    )
    scale = inputs["guidance_scale"][:, None, None, None]
    for k in range(inputs["timesteps"].shape[1]):
        if not inputs["coefficients"][0, k].any():
            continue
        embedding = timestep_embedding(int(inputs["timesteps"][0, k]))
        plain = diffusion_model(x, embedding, unconditional)
        noise = plain + scale * (diffusion_model(x, embedding, context) - plain)
        p, q, a, b, c = inputs["coefficients"][:, k, :].T[:, :, None, None, None]
        new = p * x + q * noise
        x, x0 = a * x + b * new + c * x0, new
    return {"latent_bytes": [row.tobytes() for row in x], "x0_bytes": [row.tobytes() for row in x0]}


def _decode(_: str, inputs: dict[str, Any], signatures: dict[str, Any]) -> dict[str, list[Any]]:
    latent = _floats(inputs["latent_bytes"], _latent_shape(signatures, inputs["latent_bytes"][0]))
    pixels = np.clip((decoder(latent) + 1) / 2 * 255, 0, 255).astype(np.uint8)
    return {"image_bytes": [row.tobytes() for row in pixels]}


def _describe(model: str, inputs: dict[str, Any], _: dict[str, Any]) -> dict[str, list[Any]]:
    text = json.dumps({"family": model.split("_")[0], "parameters": 1000, "precision": "float32", "weights": "bundled"})
    return {"description": [text for _ in inputs["key"]]}


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
