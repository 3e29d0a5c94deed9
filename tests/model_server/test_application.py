"""What the ASGI application takes from a request for the log."""

import logging
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from model_server.application import Application
from model_server.rest import RestApi
from model_server.serving_metrics import ServingMetrics


@pytest.mark.parametrize(
    ("sent", "logged"), [("client-1", "[client-1]"), ("a b", "[]"), ("\u00e9", "[]"), ("a" * 65, "[]")]
)
async def test_a_request_that_breaks_the_server_is_logged_with_its_id(
    caplog: pytest.LogCaptureFixture, sent: str, logged: str
) -> None:
    """If it has one that can do no harm there."""
    api = RestApi(None, ServingMetrics())  # type: ignore[arg-type]
    with ThreadPoolExecutor(1) as threads, caplog.at_level(logging.ERROR):
        transport = httpx.ASGITransport(Application(api, threads))
        async with httpx.AsyncClient(transport=transport, base_url="http://m") as client:
            answer = await client.get("/v1/models/x", headers={b"X-Request-ID": sent.encode()})
    assert answer.status_code == 500
    assert caplog.messages == [f"Answering GET /v1/models/x failed {logged}"]
