"""`python -m tests.benchmarks.collected WAY FILE`: the proxy of a way, whose spans' names go to a file when it ends."""

import sys
from pathlib import Path

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from benchmarks.watched import WAYS
from proxy.__main__ import main

if __name__ == "__main__":
    way, file = sys.argv[1:]
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    WAYS[way]()
    try:
        main()
    finally:
        Path(file).write_text("\n".join(span.name for span in exporter.get_finished_spans()))
