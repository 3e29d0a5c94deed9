"""OpenTelemetry's spans: of stages and of calls. Without its SDK they are nothing, and cost next to nothing.

FastAPI makes the span of the request, and sends all of them where OTEL_EXPORTER_OTLP_ENDPOINT says.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

from fastapi.telemetry import TelemetryConfig
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind

TELEMETRY: TelemetryConfig = {"metrics": False, "logs": False, "operation_spans": False, "auto_configure": True}
"""FastAPI's part: it knows of proxy.metrics and proxy.logs as little as they of it."""

_tracer = trace.get_tracer("easel")

_description: ContextVar[dict[str, str | int]] = ContextVar("description", default={})  # noqa: B039 - never changed


def span(
    name: str, *, kind: SpanKind = SpanKind.INTERNAL, attributes: Mapping[str, str | int] | None = None
) -> AbstractContextManager[Span]:
    """A span around the block. Without the SDK it is not made the current one, which is most of what it would cost."""
    begun = _tracer.start_span(name, kind=kind, attributes=attributes)
    return trace.use_span(begun, end_on_exit=True) if begun.get_span_context().is_valid else nullcontext(begun)


@contextmanager
def described(**attributes: str | int) -> Iterator[None]:
    """Give these attributes to the spans of the calls that are made inside the block."""
    token = _description.set({**_description.get(), **attributes})
    try:
        yield
    finally:
        _description.reset(token)


def description() -> dict[str, str | int]:
    """What is known of the call that is about to be made."""
    return _description.get()


def is_repeated() -> bool:
    """Whether the call was made before: of another server, or in an earlier round."""
    return any(_description.get().get(number, 1) != 1 for number in ("attempt", "round"))


def conceal_query() -> None:
    """Take the captions out of the request's span, where FastAPI puts the whole query string."""
    current = trace.get_current_span()
    if current.is_recording():
        current.set_attribute("url.query", "")
