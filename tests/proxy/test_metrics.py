"""What a real proxy shows at /metrics, as Prometheus's own parser reads it."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from local.stack import free_port
from tests.proxy.event_stream import Gate, until, watching
from tests.proxy.fake_model_server import FakeModelServer, running
from tests.proxy.proxy_process import START_SECONDS, running_proxy

Samples = dict[str, float]


def samples(url: str) -> Samples:
    """Values by name and labels, such as `easel_pictures_total{family=emoji}`."""
    text = httpx.get(f"{url}/metrics").raise_for_status().text
    return {
        sample.name
        + "{"
        + ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
        + "}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def grown(before: Samples, after: Samples) -> Samples:
    """What has changed, and by how much."""
    return {name: value - before.get(name, 0) for name, value in after.items() if value != before.get(name, 0)}


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_picture_is_counted_from_its_request_to_its_file(url: str) -> None:
    """Requests, seconds of all five stages, calls by model, steps and pictures: as many as there were."""
    httpx.get(f"{url}/generate", params={"caption": "warm"}).raise_for_status()
    before = samples(url)
    asked = {"caption": "a secret", "n": 2, "steps": 6, "steps_per_call": 3}
    httpx.get(f"{url}/generate", params=asked).raise_for_status()
    change = grown(before, samples(url))
    labels = "{method=GET,path=/generate"
    assert change[f"easel_requests_total{labels},status=200}}"] == 1
    assert change[f"easel_request_seconds_count{labels}}}"] == 1
    seconds = change[f"easel_request_seconds_sum{labels}}}"]
    stages = ["queue", "text_encoder", "diffusion_model", "decoder", "file"]
    assert [change[f"easel_stage_seconds_count{{stage={stage}}}"] for stage in stages] == [1] * 5
    assert 0 < sum(change[f"easel_stage_seconds_sum{{stage={stage}}}"] for stage in stages) < seconds < 60
    server = {name: value for name, value in change.items() if "server_calls" in name and "outcome=200" in name}
    counts = {
        network: value for name, value in server.items() for network in ("encoder", "diffusion") if network in name
    }
    assert counts == {"encoder": 1, "diffusion": 2}
    assert change["easel_steps_total{family=emoji}"] == 12
    assert change["easel_pictures_total{family=emoji}"] == 2
    assert change["easel_drawings_total{outcome=drawn}"] == 1


def test_nothing_that_was_asked_for_is_shown(url: str) -> None:
    """Captions, keys, made-up methods and made-up paths leave no trace, and no series of their own."""
    for number in range(5):
        httpx.get(f"{url}/generate", params={"caption": f"secret{number}"}, headers={"Authorization": "Bearer secret"})
        httpx.get(f"{url}/secret{number}")
        httpx.request(f"SECRET{number}", f"{url}/v1/models/secret{number}")
        httpx.get(f"{url}/static/secret{number}")
        httpx.get(f"{url}/v1/models/secret{number}")
    text = httpx.get(f"{url}/metrics").text
    assert "secret" not in text.lower()
    found = {name for name in samples(url) if name.startswith("easel_requests_total")}
    for labels in (
        "method=GET,path=unmatched,status=404",
        "method=other,path=/v1/models/{model},status=405",
        "method=GET,path=/static,status=404",
        "method=GET,path=/v1/models/{model},status=404",
    ):
        assert f"easel_requests_total{{{labels}}}" in found


def test_the_line_is_shown(url: str, served: FakeModelServer) -> None:
    """One is drawn, two wait; afterwards none."""
    gate = Gate(served)
    with ExitStack() as stack:
        events = [stack.enter_context(watching(url, steps=1)) for _ in range(3)]
        until(events[0], "progress")

        def line() -> list[float]:
            shown = samples(url)
            return [shown["easel_requests_running{}"], shown["easel_requests_waiting{}"]]

        wait_until(lambda: line() == [1, 2])
        gate.let()
        for one in events:
            until(one, "result")
    wait_until(lambda: line() == [0, 0])


def test_how_drawings_end_is_counted(url: str, served: FakeModelServer) -> None:
    """Cancelled, too late, and refused by a model: each under the type of its error."""
    before = samples(url)
    gate = Gate(served)
    with watching(url, steps=2, steps_per_call=1) as events:
        job = until(events, "progress").data["job"]
        httpx.get(f"{url}/generate/cancel", params={"job": job}).raise_for_status()
        gate.let()
        until(events, "error")
    late = {"caption": "x", "deadline_seconds": 0.3, "steps": 1}
    Gate(served)
    assert httpx.get(f"{url}/generate", params=late).status_code == 504
    served.override = lambda _, path: (400, b"{}") if path.endswith("decoder:predict") else None
    assert httpx.get(f"{url}/generate", params={"caption": "x"}).status_code == 502
    change = grown(before, samples(url))
    for outcome in ("abandoned", "deadline_exceeded", "bad_model_answer"):
        assert change[f"easel_drawings_total{{outcome={outcome}}}"] == 1
    assert "easel_drawings_total{outcome=drawn}" not in change
    assert change["easel_requests_total{method=GET,path=/generate,status=504}"] == 1


def test_an_event_loop_that_stood_still_is_seen(url: str) -> None:
    """The process is stopped for 0.3 s, which is the largest lag of the next minute."""
    connections = psutil.net_connections("tcp")
    pid = next(c.pid for c in connections if c.status == "LISTEN" and url.endswith(f":{c.laddr.port}"))
    os.kill(pid, signal.SIGSTOP)
    time.sleep(0.3)
    os.kill(pid, signal.SIGCONT)
    wait_until(lambda: samples(url)["easel_event_loop_lag_largest_seconds{}"] > 0.25)
    shown = samples(url)
    assert shown["easel_event_loop_lag_largest_seconds{}"] < START_SECONDS
    assert shown["easel_event_loop_lag_seconds_count{}"] > shown["easel_event_loop_lag_seconds_bucket{le=0.25}"]


@pytest.fixture
def two_servers() -> Iterator[tuple[str, str]]:
    """Addresses of a model server that answers, and of one that is away."""
    with running(FakeModelServer()) as well:
        yield well.url, f"http://127.0.0.1:{free_port()}"


def test_a_server_that_is_away_is_seen(two_servers: tuple[str, str]) -> None:
    """Its calls are unreachable, those that follow elsewhere are retries, and it is set aside."""
    well, away = (url.removeprefix("http://") for url in two_servers)
    with running_proxy(",".join(two_servers)) as (url, _, _log):
        for number in range(4):
            httpx.get(f"{url}/generate", params={"caption": str(number)}).raise_for_status()
        wait_until(lambda: samples(url).get(f"easel_model_server_aside{{server={away}}}") == 1)
        shown = samples(url)
    assert shown[f"easel_model_server_aside{{server={well}}}"] == 0
    outcomes = {
        (server, outcome): sum(
            value
            for name, value in shown.items()
            if name.startswith("easel_model_server_calls") and f"outcome={outcome}" in name and server in name
        )
        for server in (well, away)
        for outcome in ("200", "unreachable")
    }
    assert outcomes[well, "200"] >= 4
    assert outcomes[away, "unreachable"] >= 1
    assert outcomes[well, "unreachable"] == outcomes[away, "200"] == 0
    assert shown[f"easel_model_server_retries_total{{server={well}}}"] >= 1


def test_workers_add_up_and_the_dead_are_forgotten(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every worker shows all pictures; what was killed draws nothing any more; the folder goes with the proxy."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    fake = FakeModelServer()
    with running(fake) as server, running_proxy(server.url, workers=2, concurrent_requests=1) as (url, pid, log):
        wait_until(lambda: sum("Application startup complete" in line for line in log) == 2)
        workers = [child for child in psutil.Process(pid).children() if "spawn_main" in " ".join(child.cmdline())]
        for halted in workers:
            halted.suspend()
            httpx.get(f"{url}/generate", params={"caption": "a"}).raise_for_status()
            halted.resume()
        wait_until(lambda: samples(url)["easel_pictures_total{family=emoji}"] == 2)
        Gate(fake)
        with watching(url, steps=1) as events:
            until(events, "progress")
            wait_until(lambda: samples(url)["easel_requests_running{}"] == 1)
            for worker in workers:
                worker.kill()
        wait_until(lambda: sum("Application startup complete" in line for line in log) == 4)
        wait_until(lambda: samples(url)["easel_requests_running{}"] == 0)
        assert samples(url)["easel_pictures_total{family=emoji}"] == 2
        assert len(list(tmp_path.glob("easel-metrics-*"))) == 1
    assert list(tmp_path.glob("easel-metrics-*")) == []


def test_what_is_cut_off_when_the_proxy_stops_is_counted_as_such(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not as if its client had gone: of a picture that is waited for, and of one that is watched."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))  # what is there outlives the proxy
    fake = FakeModelServer()
    gate = Gate(fake)
    with (
        running(fake) as server,
        running_proxy(server.url, shutdown_seconds=1) as (url, pid, _log),
        watching(url) as events,
        ThreadPoolExecutor(1) as pool,
    ):
        until(events, "progress")
        waited = pool.submit(httpx.get, f"{url}/generate", params={"caption": "a"}, timeout=START_SECONDS)
        wait_until(lambda: samples(url)["easel_requests_running{}"] == 2)
        psutil.Process(pid).terminate()
        assert waited.result().status_code == 503
        gate.let()
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(tmp_path))
    assert registry.get_sample_value("easel_drawings_total", {"outcome": "stopping"}) == 2
    assert registry.get_sample_value("easel_drawings_total", {"outcome": "abandoned"}) == 0


def test_the_page_can_be_closed() -> None:
    """With EASEL_METRICS=false there is no such path."""
    with running(FakeModelServer()) as server, running_proxy(server.url, metrics="false") as (url, _, _log):
        assert httpx.get(f"{url}/metrics").status_code == 404
