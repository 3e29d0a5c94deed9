"""`python -m benchmarks.watched WAY`: the proxy as it is, with nothing that watches it, or with collected spans.

What it logs goes to a file that is forgotten.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from prometheus_client.metrics import MetricWrapperBase

import proxy.app  # noqa: F401 - all modules that use what is taken away
from proxy import calls, metrics, stages, tracing
from proxy.__main__ import main
from proxy.api.watching import Watching


class _Nothing:
    """A metric that counts nothing."""

    def labels(self, *_: str) -> _Nothing:
        """The same for all."""
        return self

    def inc(self, _: float = 1) -> None:
        """Count nothing."""

    observe = set = inc


@contextmanager
def _timed(name: str, seconds: MutableMapping[str, float] | None = None) -> Iterator[None]:
    """What a stage was when nobody watched: the answer tells its seconds."""
    start = time.perf_counter()
    yield
    if seconds is not None:
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start


@contextmanager
def _plain_call(_server: str, _path: str) -> Iterator[calls.Call]:
    yield calls.Call()


@contextmanager
def _plain(**_: object) -> Iterator[None]:
    yield


def unwatched() -> None:
    """Take everything away that watches, wherever it was imported."""
    replaced: list[tuple[object, object]] = [
        (stages.stage, _timed),
        (calls.watched, _plain_call),
        (tracing.described, _plain),
        (metrics.drawing, _plain),
        (Watching, lambda application: application),
    ]
    replaced += [(value, _Nothing()) for value in vars(metrics).values() if isinstance(value, MetricWrapperBase)]
    new = {id(old): value for old, value in replaced}
    for module in [module for name, module in sys.modules.items() if name.split(".")[0] == "proxy"]:
        for name, value in list(vars(module).items()):
            setattr(module, name, new.get(id(value), value))
    os.environ.update(EASEL_METRICS="false", EASEL_LOG_LEVEL="warning")


class _Forgetful(SpanExporter):
    def export(self, _: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send nothing anywhere."""
        return SpanExportResult.SUCCESS


def traced() -> None:
    """Collect spans as for a server that takes them."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(_Forgetful()))
    trace.set_tracer_provider(provider)


def watched() -> None:
    """Leave everything as it is."""


WAYS: dict[str, Callable[[], None]] = {way.__name__: way for way in (watched, unwatched, traced)}


if __name__ == "__main__":
    os.environ.update(EASEL_METRICS="true", EASEL_LOG_LEVEL="info", EASEL_LOG_FORMAT="json")
    WAYS[sys.argv[1]]()
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), sys.stderr.fileno())
        sys.exit(main())
