"""The stages of a request: each is timed, counted and traced where it happens."""

import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager

from proxy import metrics
from proxy.tracing import span


@contextmanager
def stage(name: str, seconds: MutableMapping[str, float] | None = None) -> Iterator[None]:
    """Count what the block takes as a stage's, and add it to the stage's `seconds`."""
    start = time.perf_counter()
    try:
        with span(name):
            yield
    finally:
        took = time.perf_counter() - start
        metrics.STAGE_SECONDS.labels(name).observe(took)
        if seconds is not None:
            seconds[name] = seconds.get(name, 0.0) + took
