"""The bundled family behind a model server that batches: rows of several users at different steps share runs."""

import time
from base64 import b64decode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from local.stack import Stack
from proxy import wire
from proxy.pace import MOST_STEPS_PER_CALL
from tests.model_server.server_process import ServerProcess

PREDICT = "/v1/models/emoji_diffusion_model:predict"
MAX_BATCH_SIZE = 4
# What is answered sooner ran because its batch was full.
PATIENCE_SECONDS = 25


@pytest.fixture(scope="module")
def batching(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("batching")
    parameters = folder / "batching"
    parameters.write_text(
        f"max_batch_size {{ value: {MAX_BATCH_SIZE} }} batch_timeout_micros {{ value: {PATIENCE_SECONDS * 1_000_000} }}"
    )
    flags = ("--enable_batching", f"--batching_parameters_file={parameters}", "--rest_api_num_threads=16")
    # A warm-up record would wait for others.
    model = ("--model_name=emoji_diffusion_model", f"--model_base_path={models}/emoji/diffusion_model")
    with ServerProcess(folder / "log", *flags, *model, "--enable_model_warmup=false") as process:
        yield process


@pytest.fixture(scope="module")
def row_shapes(stack: Stack) -> dict[str, list[int]]:
    metadata = httpx.get(f"{stack.model_server_url}/v1/models/emoji_diffusion_model/metadata", trust_env=False).json()
    inputs = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]["inputs"]
    return {
        name: [int(dimension["size"]) for dimension in entry["tensor_shape"]["dim"]][1:]
        for name, entry in inputs.items()
    }


def user(seed: int, rows: int, steps: int, row_shapes: dict[str, list[int]], width: int | None = None) -> bytes:
    """A `denoise` call of a user with tensors, steps and a guidance scale of their own, in tables of `width` steps."""
    rng = np.random.default_rng(seed)

    def raw(name: str) -> list[wire.Row]:
        return [wire.raw(rng.standard_normal(row_shapes[name]).astype(np.float32)) for _ in range(rows)]

    def table(values: np.ndarray) -> np.ndarray:
        filled = np.zeros((rows, width or steps, *values.shape[2:]), values.dtype)
        filled[:, :steps] = values
        return filled

    return wire.request(
        "denoise",
        {
            "latent_bytes": raw("latent"),
            "x0_bytes": raw("latent"),
            "context_bytes": raw("context"),
            "unconditional_context_bytes": raw("context"),
            "guidance_scale": rng.uniform(1, 9, rows).tolist(),
            "timesteps": table(rng.integers(0, 1000, (rows, steps)).astype(np.int32)),
            "coefficients": table(rng.uniform(0.1, 0.9, (rows, steps, 5)).astype(np.float32)),
        },
    )


def state(answer: dict[str, Any]) -> Any:
    """The rows of both outputs as numbers."""
    columns = [answer["outputs"][name] for name in ("latent_bytes", "x0_bytes")]
    return np.array([[np.frombuffer(b64decode(row["b64"]), np.float32) for row in column] for column in columns])


def test_calls_of_different_lengths_share_a_run(
    batching: ServerProcess, stack: Stack, row_shapes: dict[str, list[int]]
) -> None:
    """In the proxy's tables, 1, 5 and 20 steps at any timesteps fill one batch, and each gets what it gets alone."""
    lengths = [(1, 1), (2, 5), (1, 20)]
    assert sum(rows for rows, _ in lengths) == MAX_BATCH_SIZE
    share(
        batching,
        stack,
        [user(seed, rows, steps, row_shapes, MOST_STEPS_PER_CALL) for seed, (rows, steps) in enumerate(lengths)],
        [user(seed, rows, steps, row_shapes) for seed, (rows, steps) in enumerate(lengths)],
    )


def test_tables_of_other_shapes_do_not_spoil_a_run(
    batching: ServerProcess, stack: Stack, row_shapes: dict[str, list[int]]
) -> None:
    """Clients other than the proxy may send short tables: those of one step and of five go to runs of their own."""
    rows_and_steps = [(1, 1), (2, 1), (1, 1), (1, 5), (2, 5), (1, 5)]  # so that each of two batches is full
    users = [user(seed, rows, steps, row_shapes) for seed, (rows, steps) in enumerate(rows_and_steps)]
    share(batching, stack, users, users)


def share(batching: ServerProcess, stack: Stack, together: list[bytes], alone: list[bytes]) -> None:
    """Send the first bodies at once; nobody waits for more rows, and each is answered as the second body alone is."""
    begun = time.monotonic()
    with ThreadPoolExecutor(len(together)) as pool:
        answers = list(pool.map(lambda body: batching.request("POST", PREDICT, body), together))
    assert time.monotonic() - begun < PATIENCE_SECONDS
    for body, answer in zip(alone, answers, strict=True):
        assert answer.status == 200, answer.body
        expected = state(httpx.post(f"{stack.model_server_url}{PREDICT}", content=body, trust_env=False).json())
        assert np.abs(state(answer.json) - expected).max() <= 1e-5 * np.abs(expected).max()
