"""python -m proxy as a process of its own, over a real socket."""

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from tests.proxy.event_stream import Gate, at_work, calls, ended, slow, until, wait_until, watching
from tests.proxy.fake_model_server import FakeModelServer, running
from tests.proxy.proxy_process import ROOT, running_proxy
from tests.proxy.raw import asking

LARGEST_RESIDENT_KILOBYTES = 150_000


@pytest.fixture
def fake() -> FakeModelServer:
    return FakeModelServer()


@pytest.fixture
def model_server(fake: FakeModelServer) -> Iterator[str]:
    with running(fake) as server:
        yield server.url


def resident_kilobytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1])


def test_it_draws_stays_small_never_imports_tensorflow_and_stops_cleanly(model_server: str) -> None:
    with running_proxy(model_server, "-X", "importtime") as (url, pid, log):
        assert httpx.get(f"{url}/readyz").json() == {"status": "ready"}
        for file_format in ("png", "jpeg", "webp"):
            asked = {"caption": "red heart", "n": 4, "steps": 20, "format": file_format}
            assert httpx.get(f"{url}/generate", params=asked, timeout=60).status_code == 200
        assert httpx.post(f"{url}/generate", json={"caption": "a", "n": 16}, timeout=60).status_code == 200
        assert resident_kilobytes(pid) <= LARGEST_RESIDENT_KILOBYTES
    imported = {line.rsplit("|", 1)[1].strip() for line in log if line.startswith("import time:")}
    assert "proxy.service" in imported
    assert [name for name in imported if re.match(r"(tensorflow|keras|keras_cv|export)(\.|$)", name)] == []
    assert any("Application shutdown complete" in line for line in log)
    assert not any("Traceback" in line for line in log)


def test_what_is_there_from_the_start_is_not_looked_through_again() -> None:
    """Python's full collections, in which nobody is answered, see next to none of a worker's objects."""
    code = (
        "import gc; from proxy.app import worker; app = worker(); print(len(gc.get_objects()), gc.get_freeze_count())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    seen, frozen = map(int, done.stdout.split())
    assert seen < frozen / 100


def test_every_worker_answers_and_all_stop(model_server: str) -> None:
    """Each draws while the others are halted, and none outlives SIGTERM."""
    with running_proxy(model_server, workers=2) as (url, pid, log):
        wait_until(lambda: sum("Application startup complete" in line for line in log) == 2)
        workers = [child for child in psutil.Process(pid).children() if "spawn_main" in " ".join(child.cmdline())]
        assert len(workers) == 2
        pictures = []
        for halted in workers:
            halted.suspend()
            pictures.append(httpx.get(f"{url}/generate", params={"caption": "a", "seed": 1}, timeout=60))
            halted.resume()
        assert [picture.status_code for picture in pictures] == [200, 200]
        assert pictures[0].content == pictures[1].content
        assert all(worker.is_running() for worker in workers)
    assert not any(worker.is_running() for worker in workers)
    assert sum("Application shutdown complete" in line for line in log) == 2
    assert not any("Traceback" in line for line in log)


def test_a_client_that_hangs_up_stops_the_work(model_server: str, fake: FakeModelServer) -> None:
    """Of 150 denoising calls, those after the hang-up are never made."""
    gate = Gate(fake)
    with running_proxy(model_server) as (url, _, log):
        with ended(url, "abandoned"):
            with asking(url, "GET", "/generate", params={"caption": "a", "steps": 150, "steps_per_call": 1}):
                wait_until(lambda: calls(fake, "diffusion_model") == 1)
            time.sleep(0.5)  # until the proxy knows; if that takes longer, it makes some calls more
            gate.let()
        assert calls(fake, "diffusion_model") < 150
        assert calls(fake, "decoder") == 0
        fake.override = lambda _method, _path: None
        assert httpx.get(f"{url}/generate", params={"caption": "a"}, timeout=60).status_code == 200
    assert not any("Traceback" in line for line in log)


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_lets_work_finish_and_nothing_new_begin(model_server: str, fake: FakeModelServer, workers: int) -> None:
    """A picture that is waited for, one that is watched, and one in line, all to the end; others are refused."""
    asked = {"caption": "red heart", "steps": 10, "steps_per_call": 1, "seed": 7}
    settings = {"workers": workers, "concurrent_requests": 1}
    with running_proxy(model_server, **settings) as (url, pid, log), ThreadPoolExecutor(3) as pool:
        right = httpx.post(f"{url}/generate", json=asked).json()["pictures"]
        gate = Gate(fake)
        with watching(url, **asked) as events:
            until(events, "progress")
            waited = [pool.submit(httpx.post, f"{url}/generate", json=asked) for _ in range(2)]
            wait_until(lambda: sum(at_work(url)) == 3)
            psutil.Process(pid).terminate()
            wait_until(lambda: is_refused(url))
            assert not any(answer.done() for answer in waited)
            gate.let()
            assert until(events, "result").data["pictures"] == right
        assert [answer.result().json()["pictures"] for answer in waited] == [right, right]
    assert sum("Application shutdown complete" in line for line in log) == workers
    assert not any("Traceback" in line for line in log)


def is_refused(url: str) -> bool:
    try:
        httpx.get(f"{url}/readyz")
    except httpx.ConnectError:
        return True
    except httpx.TransportError:  # the door was shut behind it
        return False
    return False


def test_work_that_does_not_end_is_ended(model_server: str, fake: FakeModelServer) -> None:
    """SIGTERM gives it EASEL_SHUTDOWN_SECONDS; then no work goes on, and who waits is told."""
    slow(fake, 0.2)
    with (
        running_proxy(model_server, shutdown_seconds=2) as (url, pid, log),
        watching(url, steps=150, steps_per_call=1) as events,
        ThreadPoolExecutor(1) as pool,
    ):
        until(events, "progress")
        asked = {"caption": "a", "steps": 150, "steps_per_call": 1}
        waited = pool.submit(httpx.get, f"{url}/generate", params=asked)
        wait_until(lambda: sum(at_work(url)) == 2)
        start = time.monotonic()
        psutil.Process(pid).terminate()
        with contextlib.suppress(httpx.RemoteProtocolError):
            list(events)
        assert 1.9 < time.monotonic() - start < 20, "all 150 steps take longer"
        assert waited.result().status_code == 503
        assert waited.result().json()["error"]["type"] == "stopping"
        assert int(waited.result().headers["Retry-After"]) > 0
    assert any("Application shutdown complete" in line for line in log)
    assert not any("never retrieved" in line or "was destroyed" in line for line in log)
    made = len(fake.calls)
    time.sleep(0.5)
    assert len(fake.calls) == made
    assert calls(fake, "decoder") == 0
