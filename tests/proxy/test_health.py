"""What /healthz and /readyz say of a real proxy, and what they cost its model server."""

import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.proxy.fake_model_server import FakeModelServer, running
from tests.proxy.proxy_process import running_proxy

ASKED = 60


def test_readiness_is_the_truth_of_this_moment(url: str, served: FakeModelServer) -> None:
    """503 as soon as one model is missing, with its name; 200 as soon as it is back; health is another matter."""
    assert httpx.get(f"{url}/readyz").status_code == 200
    served.states["emoji_decoder"] = "UNLOADING"
    answer = httpx.get(f"{url}/readyz")
    assert (answer.status_code, answer.json()["error"]["details"][0]["model"]) == (503, "emoji_decoder")
    assert httpx.get(f"{url}/healthz").status_code == 200
    served.states["emoji_decoder"] = "AVAILABLE"
    assert httpx.get(f"{url}/readyz").status_code == 200


def test_health_asks_nobody(url: str, served: FakeModelServer) -> None:
    """Not one call of a model server."""
    for _ in range(20):
        assert httpx.get(f"{url}/healthz").status_code == 200
    assert served.calls == []


def test_many_who_ask_share_one_answer(url: str, served: FakeModelServer) -> None:
    """Sixty at once lead to a few calls, not to three each."""
    served.override = lambda _, __: time.sleep(0.1)
    with ThreadPoolExecutor(ASKED) as pool, httpx.Client() as client:
        answers = list(pool.map(lambda _: client.get(f"{url}/readyz", timeout=30).status_code, range(ASKED)))
    assert answers == [200] * ASKED
    assert len(served.calls) <= ASKED


def test_readiness_does_not_wait_for_a_server_that_hangs() -> None:
    """503 within the time that those who ask usually have, and nothing of it is left when the server goes on."""
    fake = FakeModelServer()
    with running(fake) as server, running_proxy(server.url) as (url, _, _log):
        fake.override = lambda _, __: time.sleep(6)
        started = time.monotonic()
        answer = httpx.get(f"{url}/readyz", timeout=30)
        assert time.monotonic() - started < 5
        assert (answer.status_code, answer.json()["error"]["type"]) == (503, "not_ready")
        fake.override = lambda _, __: None
        time.sleep(4)
        assert httpx.get(f"{url}/readyz", timeout=30).status_code == 200
