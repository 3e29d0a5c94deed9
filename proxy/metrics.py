"""What the proxy counts, for Prometheus; as with loggers, whoever has something to count imports this."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from proxy.errors import (
    AbandonedError,
    DeadlineExceededError,
    EaselError,
    InvalidParametersError,
    ModelServerError,
    QueueFullError,
    StoppingError,
    TooManyRequestsError,
)

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180, 600)
_LAG_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)

disable_created_metrics()

REQUESTS = Counter("easel_requests", "HTTP requests, by the path's template.", ["method", "path", "status"])
REQUEST_SECONDS = Histogram(
    "easel_request_seconds", "From an HTTP request's head to its answer's end.", ["method", "path"], buckets=_SECONDS
)
DRAWINGS = Counter("easel_drawings", 'Orders for pictures: "drawn", or the type of the error they met.', ["outcome"])
STAGE_SECONDS = Histogram(
    "easel_stage_seconds", "What each stage of a drawing took; file: of its files.", ["stage"], buckets=_SECONDS
)
PICTURES = Counter("easel_pictures", "Pictures that were drawn.", ["family"])
STEPS = Counter("easel_steps", "Denoising steps that were done, of each picture.", ["family"])
CALLS = Counter(
    "easel_model_server_calls",
    'Calls of model servers: the status they answered with, "unreachable", "timeout", "broken_off", "given_up".',
    ["server", "model", "outcome"],
)
RETRIES = Counter("easel_model_server_retries", "Those of the calls that repeat one that failed.", ["server"])
ASIDE = Gauge(
    "easel_model_server_aside",
    "Whether the circuit breaker sets a server aside: 0 no, 1 because it fails, 2 because it hangs.",
    ["server"],
    multiprocess_mode="livemax",
)
WAITING = Gauge("easel_requests_waiting", "Requests in line.", multiprocess_mode="livesum")
RUNNING = Gauge("easel_requests_running", "Requests that are being drawn.", multiprocess_mode="livesum")
LAG_SECONDS = Histogram(
    "easel_event_loop_lag_seconds", "How late the event loop is for a timer of 20 ms.", buckets=_LAG_SECONDS
)
LARGEST_LAG_SECONDS = Gauge(
    "easel_event_loop_lag_largest_seconds",
    "The largest lag of the event loop in the last minute.",
    multiprocess_mode="livemax",
)

# What begins at 0, because a rate needs two values.
for _error in (
    AbandonedError,
    DeadlineExceededError,
    InvalidParametersError,
    ModelServerError,
    QueueFullError,
    StoppingError,
    TooManyRequestsError,
):
    for _kind in (_error, *_error.__subclasses__()):
        DRAWINGS.labels(_kind.kind)
DRAWINGS.labels("drawn")


@contextmanager
def drawing() -> Iterator[None]:
    """Count how the drawing of an order inside the block ends."""
    try:
        yield
        DRAWINGS.labels("drawn").inc()
    except EaselError as error:
        DRAWINGS.labels(error.kind).inc()
        raise
    except asyncio.CancelledError:  # nobody but the proxy itself does that, when it stops
        DRAWINGS.labels(StoppingError.kind).inc()
        raise
    except Exception:
        DRAWINGS.labels(EaselError.kind).inc()
        raise


def page() -> bytes:
    """Everything, as Prometheus reads it: of all workers if there are several."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if folder is None:
        return generate_latest(REGISTRY)
    _forget_the_dead(Path(folder))
    registry = CollectorRegistry()
    MultiProcessCollector(registry, folder)
    return generate_latest(registry)


def _forget_the_dead(folder: Path) -> None:
    """Take away what workers that are no more had in line; what they counted stays."""
    for pid in {int(file.stem.rsplit("_", 1)[1]) for file in folder.glob("gauge_live*.db")}:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid, folder)
