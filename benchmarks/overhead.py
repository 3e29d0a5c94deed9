"""Seconds a picture through proxy and model server, against the same graphs called in this process."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks import report
from benchmarks.drawing import Easel, add_options, request, served
from benchmarks.replay import seconds_without_model_server
from benchmarks.report import Report, Row, at_most, ratios
from benchmarks.sessions import SessionModels
from benchmarks.turns import take_turns
from proxy import tokenizer
from proxy.api.parameters import Parameters
from proxy.families import NETWORKS, model_name
from proxy.generation import Progress, Recipe, generate
from proxy.pace import FixedPace, LearnedPace, Pace
from proxy.pictures import Format, encode
from proxy.samplers import SAMPLERS
from proxy.settings import Settings

RATIO = at_most(1.05)
LARGEST_DIFFERENCE = 2  # of 255

Seconds = dict[str, float]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    options = _options(arguments)
    # Without a memory of contexts, which would spare the served side the negative caption's graph.
    models = SessionModels(options.models, options.family)
    if options.steps_per_call is None:
        options.steps_per_call = _learned(models, options.steps)
    environment = {"EASEL_STEPS_PER_CALL": str(options.steps_per_call), "EASEL_CONTEXT_CACHE_BYTES": "0"}
    with served(options.models, options.family, environment=environment) as easel:
        sides = Sides(easel, models, options)
        sides.check()
        taken = take_turns(
            {"served": sides.served, "in process": sides.in_process, "around": sides.around}, options.rounds
        )
    rows = _rows(taken, sides.calls)
    title = f"one user, {options.family}, {options.steps} steps: what serving adds to the graphs"
    parts = [row for row in rows if row.unit == "ms"]
    Report("overhead", title, vars(options), rows).publish(options.results, report.bars(parts))


class Sides:
    """The ways to draw a picture; each gives seconds by name. calls: of the model server, for one picture."""

    def __init__(self, easel: Easel, models: SessionModels, options: argparse.Namespace) -> None:
        self._easel, self._models, self._options = easel, models, options
        self._settings = Settings(
            model_server_urls=(easel.stack.model_server_url,),
            families=(options.family,),
            steps_per_call=options.steps_per_call,
        )

    @property
    def calls(self) -> int:
        """Calls of the graphs, and so of the model server, for the picture that was drawn last."""
        return self._models.calls

    def check(self) -> None:
        """Warm both sides with a picture that is not counted. Raises RuntimeError if they draw different ones."""
        number = self._options.rounds
        served = self._easel.draw(number, steps=self._options.steps).pixels()
        difference = np.abs(served.astype(int) - self._draw(number)).max()
        if difference > LARGEST_DIFFERENCE:
            raise RuntimeError(f"Served and in process, the same picture differs by {difference} of 255.")

    def served(self, number: int) -> Seconds:
        """Picture `number` through proxy and model server."""
        picture = self._easel.draw(number, steps=self._options.steps)
        return {"served": picture.seconds, **picture.stages}

    def in_process(self, number: int) -> Seconds:
        """Picture `number` here: its graphs, and its file."""
        self._models.reset()
        pixels = self._draw(number)
        png = _seconds(lambda: encode(pixels, Format.PNG, request(number)))
        return {**self._models.seconds, "graphs": sum(self._models.seconds.values()), "png": png}

    def around(self, number: int) -> Seconds:
        """What there is beside the graphs, each part alone."""
        parameters = {**request(number), "steps": self._options.steps}
        status = f"{self._easel.stack.model_server_url}/v1/models/{model_name(self._options.family, NETWORKS[0])}"
        return {
            "proxy": asyncio.run(seconds_without_model_server(self._settings, parameters)),
            "to proxy": _seconds(lambda: self._easel.client.get("/healthz")),
            "to model server": self.calls * _seconds(lambda: self._easel.client.get(status)),
        }

    def _draw(self, number: int) -> NDArray[np.uint8]:
        """Picture `number` (H, W, 3), drawn by the proxy's own loop over the graphs in this process."""
        return _draw(self._models, number, self._options.steps, FixedPace(self._options.steps_per_call))


def _draw(models: SessionModels, number: int, steps: int, pace: Pace) -> NDArray[np.uint8]:
    parameters = Parameters.model_validate({**request(number), "steps": steps})
    tokens = tokenizer.bundled()
    recipe = Recipe(
        tokens(parameters.caption).values,
        tokens(parameters.negative_caption).values,
        [number],
        SAMPLERS[parameters.sampler](parameters.steps),
        parameters.guidance_scale,
        models.latent_shape,
    )

    async def proceed(_: Progress) -> None:
        """Nobody can leave."""

    drawing = generate(models, recipe, pace=pace, rows_per_call=1, checkpoint=proceed)
    picture: NDArray[np.uint8] = asyncio.run(drawing).pictures[0]
    return picture


def _learned(models: SessionModels, steps: int) -> int:
    """Steps of a call as the proxy would find them, for all sides to have the same."""
    pace = LearnedPace()
    for number in range(3):
        _draw(models, number, steps, pace)
    return pace.steps(1, steps)


def _rows(taken: Mapping[str, Sequence[Seconds]], calls: int) -> list[Row]:
    def column(side: str, name: str) -> NDArray[np.float64]:
        return np.array([seconds[name] for seconds in taken[side]])

    served, graphs, proxy = column("served", "served"), column("in process", "graphs"), column("around", "proxy")
    to_proxy, to_model_server = column("around", "to proxy"), column("around", "to model server")
    parts = {
        "served": served,
        "the graphs, in process": graphs,
        "beyond the graphs": served - graphs,
        "— the proxy's own work": proxy,
        "—— the PNG file": column("in process", "png"),
        "— an empty request to the proxy": to_proxy,
        f"— {calls} empty requests to the model server": to_model_server,
        "— the model server's own work, larger bodies": served - graphs - proxy - to_proxy - to_model_server,
    }
    for network in NETWORKS:
        stage = column("served", network) - column("in process", network)
        parts[f"as the proxy sees it: {network} beyond its graph"] = stage
    ratio = Row("served ÷ in process", ratios(served.tolist(), graphs.tolist()), "", RATIO)
    return [ratio, *(Row(what, (1000 * values).tolist(), "ms") for what, values in parts.items())]


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = report.parser("overhead", __doc__)
    add_options(parser)
    parser.add_argument("--rounds", type=int, default=30, help="pictures of each side")
    parser.add_argument(
        "--steps-per-call", type=int, help="denoising steps in one call, by default what the proxy finds"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
