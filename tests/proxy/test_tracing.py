"""Spans, as OpenTelemetry's SDK collects them in memory."""

import contextlib
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from proxy.app import create_app
from proxy.settings import Settings
from tests.proxy.conftest import Connect
from tests.proxy.fake_model_server import FakeModelServer

STAGES = ["queue", "text_encoder", "diffusion_model", "decoder", "file"]
TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture(scope="module")
def exporter() -> Iterator[InMemorySpanExporter]:
    """Of the only provider that a process can have; after this module it collects nothing more."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    yield exporter
    provider.shutdown()


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> InMemorySpanExporter:
    exporter.clear()
    return exporter


def named(spans: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.name == name]


async def test_a_picture_is_a_span_a_stage_and_a_span_a_call(spans: InMemorySpanExporter, connect: Connect) -> None:
    """The calls below their stages, these below the request; each call says what it was, and of whom."""
    async with connect() as client:
        await client.get("/readyz")
        spans.clear()
        asked = {"caption": "a", "n": 2, "steps": 6, "steps_per_call": 4}
        (await client.get("/generate", params=asked)).raise_for_status()
    [request] = named(spans, "GET /generate")
    stages = {name: named(spans, name) for name in STAGES}
    assert [len(found) for found in stages.values()] == [1] * 5
    assert all(span.parent.span_id == request.context.span_id for [span] in stages.values())
    calls = named(spans, "call")
    assert all(call.kind is SpanKind.CLIENT for call in calls)
    own = {"server": "127.0.0.1:8501", "attempt": 1, "round": 1, "outcome": "200"}
    denoise = {**own, "model": "emoji_diffusion_model", "signature": "denoise", "rows": 2}
    assert [dict(call.attributes) for call in calls if call.parent.span_id == id_of(stages["diffusion_model"])] == [
        {**denoise, "steps": 4},
        {**denoise, "steps": 2},
    ]
    encode = {**own, "model": "emoji_text_encoder", "signature": "encode"}
    assert [dict(c.attributes) for c in calls if c.parent.span_id == id_of(stages["text_encoder"])] == [encode] * 2
    decode = {**own, "model": "emoji_decoder", "signature": "decode", "rows": 2}
    assert [dict(c.attributes) for c in calls if c.parent.span_id == id_of(stages["decoder"])] == [decode]


def id_of(found: list[ReadableSpan]) -> int:
    return found[0].context.span_id


async def test_the_trace_goes_from_the_client_to_the_model_server(
    spans: InMemorySpanExporter, connect: Connect, fake: FakeModelServer
) -> None:
    """One trace id from the client's traceparent to each call's, which names the call's own span."""
    async with connect() as client:
        head = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01"}
        (await client.get("/generate?caption=a", headers=head)).raise_for_status()
    assert {f"{span.context.trace_id:032x}" for span in spans.get_finished_spans()} == {TRACE_ID}
    [request] = named(spans, "GET /generate")
    assert f"{request.parent.span_id:016x}" == PARENT_ID
    sent = sorted(head["traceparent"] for head in fake.heads)
    assert sent == sorted(f"00-{TRACE_ID}-{call.context.span_id:016x}-01" for call in named(spans, "call"))


async def test_a_job_stays_in_the_trace_of_its_request(spans: InMemorySpanExporter, connect: Connect) -> None:
    """Though it is drawn by a task of its own."""
    async with connect() as client:
        (await client.get("/generate/events?caption=a")).raise_for_status()
    [request] = named(spans, "GET /generate/events")
    for name in ("text_encoder", "diffusion_model", "decoder", "call"):
        assert {span.context.trace_id for span in named(spans, name)} == {request.context.trace_id}


async def test_no_caption_is_in_a_span(spans: InMemorySpanExporter, connect: Connect) -> None:
    """Not in attributes, events or names: of a picture, of a refusal, of a mistake."""
    async with connect() as client:
        for query in ("caption=secret", "caption=secret&steps=0", "secret=1"):
            await client.get(f"/generate?{query}")
            await client.get(f"/generate/events?{query}")
    assert spans.get_finished_spans()
    assert not any("secret" in span.to_json() for span in spans.get_finished_spans())


@contextlib.asynccontextmanager
async def two_servers(fake: FakeModelServer) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a proxy of two model servers, of which the first cannot be reached."""

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.host == "away":
            raise httpx.ConnectError("refused", request=request)
        return fake.transport().handle_request(request)

    settings = Settings(model_server_urls="http://away:1,http://well:2")
    app = create_app(settings, httpx.MockTransport(handle))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://e") as client,
    ):
        yield client


async def test_a_call_that_is_made_again_has_a_span_each_time(
    spans: InMemorySpanExporter, fake: FakeModelServer
) -> None:
    """The one that failed is an error, and has the server's name; the next one is the second attempt elsewhere."""
    async with two_servers(fake) as client:
        (await client.get("/generate?caption=a")).raise_for_status()
    calls = named(spans, "call")
    failed = [call for call in calls if call.attributes["server"] == "away:1"]
    assert failed
    assert {(call.attributes["outcome"], call.status.status_code) for call in failed} == {
        ("unreachable", StatusCode.ERROR)
    }
    again = [call for call in calls if call.attributes["attempt"] == 2]
    assert len(again) == len(failed)
    assert {call.attributes["server"] for call in again} == {"well:2"}
