"""A call of a model server on its way: counted, traced, and with the request's id in its head."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from proxy import metrics
from proxy.logs import REQUEST_ID, REQUEST_ID_HEADER
from proxy.tracing import description, is_repeated, span

_CONTEXT = TraceContextTextMapPropagator()


@dataclass
class Call:
    """headers: to send. status: what came back, once it did."""

    headers: dict[str, str] = field(default_factory=dict)
    status: int | None = None


@contextmanager
def watched(server: str, path: str) -> Iterator[Call]:
    """Watch the call of a server that is made inside the block."""
    model = path.split("/")[3].partition(":")[0]
    call = Call()
    if request_id := REQUEST_ID.get():
        call.headers[REQUEST_ID_HEADER] = request_id
    attributes = {"server": server, "model": model, **description()}
    if is_repeated():
        metrics.RETRIES.labels(server).inc()
    outcome = "given_up"
    with span("call", kind=SpanKind.CLIENT, attributes=attributes) as current:
        _CONTEXT.inject(call.headers)
        try:
            yield call
            outcome = str(call.status)
            if call.status is None or call.status >= httpx.codes.BAD_REQUEST:
                current.set_status(StatusCode.ERROR)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            outcome = "unreachable"
            raise
        except (httpx.TimeoutException, TimeoutError):
            outcome = "timeout"
            raise
        except asyncio.CancelledError:
            raise
        except Exception:
            outcome = "broken_off"
            raise
        finally:
            current.set_attribute("outcome", outcome)
            metrics.CALLS.labels(server, model, outcome).inc()
