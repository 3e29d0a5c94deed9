"""Over a real proxy process with keys: whose work it is, and how much of it."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.proxy.event_stream import Gate, read
from tests.proxy.guarded import Guarded, guarded

QUICK = {"caption": "red heart", "steps": 2, "seed": 1}


@pytest.fixture(scope="module")
def shut(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    yield from guarded(tmp_path_factory.mktemp("keys"))


def test_a_key_has_its_own_number_of_requests_under_way(shut: Guarded) -> None:
    gate = Gate(shut.fake)
    try:
        with shut.client("narrow") as client, client.stream("GET", "/generate/events", params=QUICK) as first:
            next(first.iter_bytes())
            refused = client.get("/generate", params=QUICK)
            with shut.client("alice") as alice, alice.stream("GET", "/generate/events", params=QUICK) as other:
                assert other.status_code == 200
    finally:
        gate.let()
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["error"]["message"].startswith("1 requests of this caller")


def test_one_keys_work_is_not_anothers(shut: Guarded) -> None:
    """Who learns a job's name can neither watch nor end it."""
    gate = Gate(shut.fake)
    asked = {**QUICK, "steps": 50, "steps_per_call": 1}
    try:
        with (
            shut.client("alice") as alice,
            shut.client("bob") as bob,
            alice.stream("GET", "/generate/events", params=asked) as answer,
        ):
            job = next(read(answer.iter_lines())).data["job"]
            assert bob.get("/generate/cancel", params={"job": job}).status_code == 404
            watched = bob.get("/generate/events", params=asked, headers={"Last-Event-ID": f"{job}.0"})
            assert watched.status_code == 204
            assert alice.get("/generate/cancel", params={"job": job}).status_code == 200
    finally:
        gate.let()


def test_progress_is_of_the_same_key(shut: Guarded) -> None:
    """AUTOMATIC1111's progress and interrupt reach the work of their own key only."""
    gate = Gate(shut.fake)
    asked = {"prompt": "x", "steps": 5}
    try:
        with shut.client("alice") as alice, shut.client("bob") as bob, ThreadPoolExecutor() as pool:
            drawn = pool.submit(alice.post, "/sdapi/v1/txt2img", json=asked)
            deadline = time.monotonic() + 60
            while not alice.get("/sdapi/v1/progress").json()["state"]["job_count"]:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert bob.get("/sdapi/v1/progress").json()["state"]["job_count"] == 0
            assert bob.post("/sdapi/v1/interrupt").status_code == 200
            gate.let()
            assert drawn.result().status_code == 200
    finally:
        gate.let()


def test_who_has_no_requests_left_may_end_work(shut: Guarded) -> None:
    with shut.client("hasty") as client:
        while client.get("/models").status_code != 429:
            pass
        assert client.get("/generate/cancel?job=x").status_code == 404
        assert client.get("/sdapi/v1/progress").status_code == 200
