"""What a request at 512 × 512 pixels costs outside of TensorFlow: over graphs that do nothing with their inputs."""

import base64
import http.client
import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import numpy as np
import psutil
import pytest

from tests.model_server import saved_models
from tests.model_server.server_process import ServerProcess, send

REQUESTS = 100
MOST_SECONDS = 120  # within which even a busy machine has no other thing to do for some milliseconds
LATENT, CONTEXT = (64, 64, 4), (77, 768)


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    root = tmp_path_factory.mktemp("idle")
    saved_models.idle_diffusion_model(LATENT, CONTEXT).save(root / "m" / "1")
    with ServerProcess(root / "log", "--model_name=m", f"--model_base_path={root}/m") as process:
        yield process


def numbers(*shape: int) -> Any:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def raw(*shape: int) -> list[dict[str, str]]:
    return [{"b64": base64.b64encode(numbers(*shape).tobytes()).decode()}]


def raw_request() -> dict[str, Any]:
    """One denoising step as the proxy sends it."""
    return {
        "signature_name": "denoise",
        "inputs": {
            "latent_bytes": raw(*LATENT),
            "x0_bytes": raw(*LATENT),
            "context_bytes": raw(*CONTEXT),
            "unconditional_context_bytes": raw(*CONTEXT),
            "guidance_scale": [7.5],
            "timesteps": [[981]],
            "coefficients": [[[1.0, -0.5, 0.9, 0.1, 0.0]]],
        },
    }


def number_request() -> dict[str, Any]:
    """One call of the network as somebody with curl sends it: every number in as many digits as Python prints."""
    inputs = {"latent": numbers(1, *LATENT), "timestep": np.array([981]), "context": numbers(1, *CONTEXT)}
    return {"inputs": {name: array.tolist() for name, array in inputs.items()}}


@pytest.mark.parametrize(("document", "limit_ms", "parsed_ms"), [(raw_request, 10, 0.5), (number_request, 60, 17)])
def test_cost_outside_of_tensorflow(
    idle: ServerProcess, document: Callable[[], dict[str, Any]], limit_ms: float, parsed_ms: float
) -> None:
    """Processor time of the server a request, and the fastest round trip.

    Measured with two idle cores: raw 3.8 ms of the processor, 3.7 ms fastest, 3.8 ms median; numbers 11, 9 and 10 ms;
    and `parsed_ms` for Python to parse the body. Where that takes longer, so may the others; and where a round trip has
    to wait for the machine, there is another one.
    """
    body, parsed = json.dumps(document()).encode(), list[float]()
    server = psutil.Process(idle.process.pid)
    with closing(http.client.HTTPConnection("127.0.0.1", idle.port, timeout=60)) as connection:

        def round_trip_ms() -> float:
            before = time.process_time()
            json.loads(body)
            parsed.append(1000 * (time.process_time() - before))
            started = time.perf_counter()
            answer = send(connection, "POST", "/v1/models/m:predict", body)
            assert answer.status == 200
            return 1000 * (time.perf_counter() - started)

        for _ in range(10):
            round_trip_ms()
        before = server.cpu_times()
        round_trips = sorted(round_trip_ms() for _ in range(REQUESTS))
        after = server.cpu_times()
        limit_ms *= max(1, statistics.fmean(parsed) / parsed_ms)
        fastest, end = round_trips[0], time.monotonic() + MOST_SECONDS
        while fastest > limit_ms and time.monotonic() < end:
            fastest = min(fastest, round_trip_ms())
    processor_ms = 1000 * (after.user + after.system - before.user - before.system) / REQUESTS
    print(f"processor {processor_ms:.1f} ms, fastest {fastest:.1f}, median {round_trips[REQUESTS // 2]:.1f}")
    assert processor_ms <= limit_ms
    assert fastest <= limit_ms
