"""Milliseconds a denoising step outside of the network at 512 x 512: numbers as JSON, against raw bytes."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson
from numpy.typing import NDArray

from benchmarks import report
from benchmarks.drawing import PICTURE_SECONDS
from benchmarks.report import Report, Row, at_most
from benchmarks.turns import take_turns
from local.stack import running_stack
from proxy import tokenizer
from proxy.catalogue import Catalogue
from proxy.contexts import Contexts
from proxy.families import Family
from proxy.generation import Guidance, State
from proxy.model_server import ModelServer
from proxy.samplers import ddim
from proxy.served_models import ServedModels
from proxy.servers import Servers
from proxy.wire import raw

FAMILY = "stand-in"
GUIDANCE_SCALE = 7.5
TARGETS = {1: at_most(20), 5: at_most(8)}  # milliseconds a step, by the steps of a call
_TIMEOUT_SECONDS = 300


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report; or, with --write-model, write what is to be served."""
    options = _options(arguments)
    if options.write_model:
        _write_family(options.write_model)
        print(f"A model server finds the stand-in by --model_config_file={options.write_model}/models.config")
        return
    with _server(options.url) as url:
        rows = _measure(url, options.rounds)
    title = "a step at 512 x 512 outside of the network, one user"
    Report("wire", title, vars(options), rows).publish(options.results, report.bars(rows))


def _measure(url: str, rounds: int) -> list[Row]:
    with asyncio.Runner() as runner:
        client = httpx.AsyncClient(base_url=url, timeout=_TIMEOUT_SECONDS, trust_env=False)
        family = runner.run(_family(client))
        steps = Steps(client, family)

        def timed(step: Callable[[], Any], count: int = 1) -> Callable[[int], float]:
            def milliseconds(_: int) -> float:
                started = time.perf_counter()
                runner.run(step())
                return 1000 * (time.perf_counter() - started) / count

            return milliseconds

        sides = {
            "JSON, columns": timed(steps.columns),
            "JSON, rows": timed(steps.rows),
            **{f"raw, {k} a call": timed(partial(steps.raw, k), k) for k in TARGETS},
        }
        take_turns(sides, 1)  # warm
        taken = take_turns(sides, rounds)
        runner.run(client.aclose())
    targets = {f"raw, {k} a call": target for k, target in TARGETS.items()}
    return [Row(name, values, "ms", targets.get(name)) for name, values in taken.items()]


def _model_server(client: httpx.AsyncClient) -> ModelServer:
    return ModelServer(Servers([client], call_seconds=PICTURE_SECONDS, probe_path=f"/v1/models/{FAMILY}_decoder"))


async def _family(client: httpx.AsyncClient) -> Family:
    return await Catalogue(_model_server(client), [FAMILY], tokenizer.LENGTH).family(FAMILY)


class Steps:
    """One state of one picture, and the ways to have the next one from the server."""

    def __init__(self, client: httpx.AsyncClient, family: Family) -> None:
        """Draw a state and two contexts of the family's default size by chance."""
        chance = np.random.default_rng(0)
        size = family.sizes[0]
        latent = chance.standard_normal((1, *size.latent_shape), np.float32)
        contexts = chance.standard_normal((2, family.token_length, family.context_width), np.float32)
        self._state = State(latent, np.zeros_like(latent))
        self._guidance = Guidance(raw(contexts[0]), raw(contexts[1]), GUIDANCE_SCALE)
        self._table = ddim(max(TARGETS))
        self._both = {
            "latent": np.concatenate([latent, latent]),
            "timestep": np.repeat(self._table.timesteps[:1], 2),
            "context": contexts,
        }
        self._client, self._path = client, f"/v1/models/{family.diffusion_model}:predict"
        self._models = ServedModels(_model_server(client), family, size, Contexts(0))

    async def columns(self) -> None:
        """One call of `serving_default` on both contexts, a column for each input, and the step itself here."""
        self._step((await self._post({"inputs": self._both}))["outputs"])

    async def rows(self) -> None:
        """The same with an instance for each context."""
        instances = [
            {name: values[row] for name, values in self._both.items()} for row in range(len(self._both["context"]))
        ]
        self._step((await self._post({"instances": instances}))["predictions"])

    async def raw(self, k: int) -> None:
        """k steps in one call of `denoise`, by the proxy's own client."""
        await self._models.denoise(self._state, self._guidance, self._table.timesteps[:k], self._table.coefficients[:k])

    async def _post(self, body: object) -> dict[str, Any]:
        # A library faster than Python's own, at whose speed the two JSON sides would be slower still.
        content = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
        response = (await self._client.post(self._path, content=content)).raise_for_status()
        answer: dict[str, Any] = orjson.loads(response.content)
        return answer

    def _step(self, noises: object) -> NDArray[np.float32]:
        conditional, unconditional = np.asarray(noises, np.float32)
        noise = unconditional + GUIDANCE_SCALE * (conditional - unconditional)
        p, q, a, b, _ = self._table.coefficients[0]
        latent: NDArray[np.float32] = a * self._state.latent + b * (p * self._state.latent + q * noise)
        return latent


@contextmanager
def _server(url: str | None) -> Iterator[str]:
    """The address of a server of the stand-in: `url`, or an embedded one for the length of the block."""
    if url:
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="easel-") as folder:
        _write_family(Path(folder))
        with running_stack(Path(folder), FAMILY, environment={"EASEL_LOG_LEVEL": "warning"}) as stack:
            yield stack.model_server_url


def _write_family(repository: Path) -> None:
    from benchmarks import stand_in  # TensorFlow takes seconds to import, and --url does without

    stand_in.write_family(repository)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = report.parser("wire", __doc__)
    parser.add_argument("--rounds", type=int, default=30, help="calls of each kind")
    parser.add_argument("--url", help="a running server of the stand-in; without it, the embedded one is started")
    parser.add_argument("--write-model", type=Path, metavar="DIR", help="write the stand-in for a server, and stop")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
