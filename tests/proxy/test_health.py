"""What /healthz and /readyz say of a real proxy, and what they cost its model server."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from proxy.families import NETWORKS
from tests.proxy.event_stream import PATIENCE_SECONDS, wait_until
from tests.proxy.fake_model_server import FakeModelServer, running
from tests.proxy.proxy_process import running_proxy

ASKED = 100
KEPT_SECONDS = 1.1


def test_readiness_is_the_truth_of_the_last_second(url: str, served: FakeModelServer) -> None:
    """503 when one model is missing, with its name; 200 when it is back; health is another matter."""
    assert httpx.get(f"{url}/readyz").status_code == 200
    served.states["emoji_decoder"] = "UNLOADING"
    time.sleep(KEPT_SECONDS)
    answer = httpx.get(f"{url}/readyz")
    assert (answer.status_code, answer.json()["error"]["details"][0]["model"]) == (503, "emoji_decoder")
    assert httpx.get(f"{url}/healthz").status_code == 200
    served.states["emoji_decoder"] = "AVAILABLE"
    time.sleep(KEPT_SECONDS)
    assert httpx.get(f"{url}/readyz").status_code == 200


def test_health_asks_nobody(url: str, served: FakeModelServer) -> None:
    """Not one call of a model server."""
    for _ in range(20):
        assert httpx.get(f"{url}/healthz").status_code == 200
    assert served.calls == []


def test_a_flood_is_one_question_a_second(url: str, served: FakeModelServer) -> None:
    """Many at once, and one after the other; of models that are not there, each is asked again by itself."""
    for state in ("AVAILABLE", "UNLOADING"):
        served.states["emoji_decoder"] = state
        time.sleep(KEPT_SECONDS)
        served.calls.clear()
        started = time.monotonic()
        with ThreadPoolExecutor(10) as pool, httpx.Client() as client:
            answers = list(pool.map(lambda _: client.get(f"{url}/readyz", timeout=30).status_code, range(ASKED)))
        assert answers == [200 if state == "AVAILABLE" else 503] * ASKED
        rounds = 1 if state == "AVAILABLE" else 2
        assert len(served.calls) <= rounds * len(NETWORKS) * (1 + (time.monotonic() - started) // 1)
    served.states["emoji_decoder"] = "AVAILABLE"


def test_readiness_does_not_wait_for_a_server_that_hangs() -> None:
    """503 while it hangs, and nothing of it is left when the server goes on."""
    fake = FakeModelServer()
    with running(fake) as server, running_proxy(server.url) as (url, _, _log):
        goes_on = threading.Event()
        fake.override = lambda _, __: goes_on.wait(PATIENCE_SECONDS) and None
        answer = httpx.get(f"{url}/readyz", timeout=PATIENCE_SECONDS)
        assert (answer.status_code, answer.json()["error"]["type"]) == (503, "not_ready")
        assert answer.json()["error"]["message"] == "the model server did not answer within 3 s"
        goes_on.set()
        wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 200)
