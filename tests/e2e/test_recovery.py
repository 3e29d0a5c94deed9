"""The proxy says what is missing while the model server is away, and goes on when it is back."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from local.stack import model_server_process, running_stack
from tests.proxy.event_stream import until, watching

REQUEST = {"caption": "rocket", "steps": 5, "seed": 1}
RECOVERY_SECONDS = 500


def test_a_killed_model_server_is_named_and_its_return_is_noticed(models: Path) -> None:
    """503 with the model's name while it is away; the same picture as before when it is back, also for who waited."""
    with running_stack(models) as stack, httpx.Client(base_url=stack.url, timeout=RECOVERY_SECONDS) as client:
        before = client.get("/generate", params=REQUEST).raise_for_status().content
        stack.model_server.kill()
        stack.model_server.wait()

        time.sleep(1.1)  # readiness is what it was a second ago
        unready = client.get("/readyz")
        assert unready.status_code == 503
        assert "emoji_text_encoder" in unready.text
        assert client.get("/healthz").status_code == 200
        refused = client.get("/generate", params=REQUEST)
        assert refused.status_code == 503
        assert "emoji_" in refused.json()["error"]["message"]
        assert refused.headers["Retry-After"]

        with model_server_process(models, "emoji", urlsplit(stack.model_server_url).port or 0):
            _wait_until_ready(client)
            assert client.get("/generate", params=REQUEST).raise_for_status().content == before


def test_who_draws_while_the_model_server_is_killed_gets_the_same_picture(models: Path) -> None:
    """The request waits for its return, and goes on where it was."""
    request = {**REQUEST, "steps": 150, "steps_per_call": 1}
    with running_stack(models) as stack, httpx.Client(base_url=stack.url, timeout=RECOVERY_SECONDS) as client:
        before = client.get("/generate", params=request).raise_for_status().content
        with ThreadPoolExecutor(1) as pool:
            drawn = pool.submit(client.get, "/generate", params=request)
            with watching(stack.url, **request) as events:
                while until(events, "progress").data["step"] < 10:
                    pass
                stack.model_server.kill()
                stack.model_server.wait()
            time.sleep(1)
            assert not drawn.done()
            with model_server_process(models, "emoji", urlsplit(stack.model_server_url).port or 0):
                assert drawn.result().raise_for_status().content == before


def _wait_until_ready(client: httpx.Client) -> None:
    deadline = time.monotonic() + RECOVERY_SECONDS
    while client.get("/readyz").status_code != 200:
        assert time.monotonic() < deadline, "the proxy did not notice that the model server is back"
        time.sleep(0.2)
