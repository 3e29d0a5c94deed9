"""The REST API: one request in, one response out, in the calling thread."""

import logging
import zlib
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import NoReturn

from model_server import examples, metadata, predict_request, predict_response, signatures
from model_server.errors import InternalError, InvalidArgumentError, ServingError, UnavailableError, UnimplementedError
from model_server.metrics import Stopwatch
from model_server.paths import PathError, Target, VersionTooLargeError, is_api_path, parse_path, path_of
from model_server.repository import Repository
from model_server.serving_metrics import ServingMetrics

_log = logging.getLogger(__name__)

_JSON = "application/json"
_TEXT_HEADERS = (("Content-Type", "text/plain"),)
_METHODS = ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH")
_CORS_HEADERS = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "POST, GET"),
    ("Access-Control-Allow-Headers", "Content-Type"),
)
LARGEST_BODY_BYTES = 100 * 1024 * 1024
"""As it comes, and unpacked. TensorFlow Serving refuses to unpack more, by answering as if the body were empty."""


@dataclass(frozen=True)
class Request:
    """A request as it came: `target` is what stands after the method, `body` is packed or not as `is_gzip` says.

    `id` is its client's, for the log.
    """

    method: str
    target: str
    body: bytes = b""
    is_gzip: bool = False
    id: str = ""


@dataclass(frozen=True)
class Response:
    """A response as it goes."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = field(default=(("Content-Type", _JSON),))


class RestApi:
    """TensorFlow Serving's REST API over a repository; `answer` may be called from many threads."""

    def __init__(
        self,
        repository: Repository,
        metrics: ServingMetrics,
        metrics_path: str | None = None,
        *,
        enable_cors: bool = False,
    ) -> None:
        """`metrics_path`: where to show the metrics, if anywhere."""
        self._repository = repository
        self._metrics = metrics
        self._metrics_path = metrics_path
        self._headers = (("Content-Type", _JSON), *(_CORS_HEADERS if enable_cors else ()))
        self._enable_cors = enable_cors

    @property
    def stopping(self) -> Response:
        """The answer to a request that the server does not wait for as it stops."""
        return self._failure(UnavailableError("The server is stopping"), "")

    @property
    def too_large(self) -> Response:
        """The answer to a request whose body is beyond LARGEST_BODY_BYTES."""
        body = _error_body(InvalidArgumentError(f"The body is larger than {LARGEST_BODY_BYTES} bytes"))
        return Response(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, body, (*self._headers, ("Connection", "close")))

    def answer(self, request: Request) -> Response:
        """Answer any request; errors become `{"error": ...}` with the status of their code."""
        path = path_of(request.target)
        if request.method not in _METHODS:
            return _error_page(HTTPStatus.NOT_IMPLEMENTED)
        if path is None:
            return _error_page(HTTPStatus.BAD_REQUEST)
        if path.split("?")[0] == self._metrics_path:
            return self._metrics_page(path)
        if not is_api_path(path):
            return _error_page(HTTPStatus.NOT_FOUND)
        watch = Stopwatch()
        if self._enable_cors and request.method == "OPTIONS":
            return self._success(b"", watch)
        try:
            target = parse_path(request.method, path)
        except PathError as error:
            return self._failure(error, error.model)
        try:
            body = self._dispatch(target, request)
        except ServingError as error:
            return self._failure(error, target.model)
        except Exception:
            _log.exception("Answering %s %s failed [%s]", request.method, request.target, request.id)
            return self._failure(InternalError("The request broke the server; its log says how"), target.model)
        return self._success(body, watch, target.model, target.verb if request.method == "POST" else "")

    def _success(self, body: bytes, watch: Stopwatch, model: str = "", api: str = "") -> Response:
        self._metrics.request_latency.observe(watch.microseconds, model, api, "REST")
        self._metrics.request_count.add(1, model, "OK")
        return Response(200, body, self._headers)

    def _failure(self, error: ServingError, model: str) -> Response:
        self._metrics.request_count.add(1, model, error.code)
        body = b"" if isinstance(error, VersionTooLargeError) else _error_body(error)
        return Response(error.http_status, body, self._headers)

    def _metrics_page(self, path: str) -> Response:
        if path == self._metrics_path:
            return Response(200, self._metrics.page(), _TEXT_HEADERS)
        complaint = f"Unexpected path: {path}. Should be {self._metrics_path}"
        return Response(400, complaint.encode("utf-8", "surrogateescape"), _TEXT_HEADERS)

    def _dispatch(self, target: Target, request: Request) -> bytes:
        if target.verb == "predict":
            return self._predict(target, _unpacked(request))
        if target.verb in ("classify", "regress"):
            self._refuse_examples(target, _unpacked(request))
        if not target.model:
            raise InvalidArgumentError("Missing model name in request.")
        if target.verb == "metadata":
            return self._metadata(target)
        return metadata.status_document(self._repository.statuses(target.model, target.version))

    def _metadata(self, target: Target) -> bytes:
        with self._repository.servable(target.model, target.version, target.label) as (number, servable):
            return metadata.metadata_document(target.model, number, servable.signature_protos)

    def _predict(self, target: Target, body: bytes) -> bytes:
        request = predict_request.read_request(body)
        with self._repository.servable(target.model, target.version, target.label) as (_, servable):
            signature = servable.signature(request.signature_name)
            inputs = predict_request.read_inputs(request, signature.input_types)
            watch = Stopwatch()
            outputs = servable.predict(signature, inputs.arrays)
            self._metrics.observe_run(watch.microseconds, target.model)
        return predict_response.write_response(outputs, signature.output_types, row_format=inputs.is_row_format)

    def _refuse_examples(self, target: Target, body: bytes) -> NoReturn:
        """Find what TensorFlow Serving would find wrong, before saying that nothing else is served."""
        name = examples.read_signature_name(body) or signatures.DEFAULT_SIGNATURE
        with self._repository.servable(target.model, target.version, target.label) as (_, servable):
            proto = servable.signature_protos.get(name)
        if proto is None:
            raise InvalidArgumentError(f"No signature was found with the name: {name}")
        check = signatures.check_classifies if target.verb == "classify" else signatures.check_regresses
        check(proto)
        raise UnimplementedError(f"This server does not support {target.verb}, only predict")


def _error_body(error: ServingError) -> bytes:
    """The JSON body of an error."""
    return b'{"error":' + predict_response.quote_string(str(error).encode("utf-8", "surrogateescape")) + b"}"


def _error_page(status: HTTPStatus) -> Response:
    """What libevent answers itself, before closing the connection."""
    head = f"<HTML><HEAD>\n<TITLE>{status} {status.phrase}</TITLE>\n</HEAD>"
    page = f"{head}<BODY>\n<H1>{status.phrase}</H1>\n</BODY></HTML>\n"
    return Response(status, page.encode(), (("Content-Type", "text/html"), ("Connection", "close")))


def _unpacked(request: Request) -> bytes:
    if not request.is_gzip:
        return request.body
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        body = unpacker.decompress(request.body, LARGEST_BODY_BYTES)
    except zlib.error:
        return b""
    return body if unpacker.eof and not unpacker.unused_data else b""
