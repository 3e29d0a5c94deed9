"""How far from a 200-step DDIM picture each sampler ends, by its number of steps."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks import report
from benchmarks.report import Report, Row, Table, at_most, number
from benchmarks.sessions import SessionModels
from proxy import tokenizer
from proxy.api.parameters import Parameters
from proxy.generation import Guidance, denoise
from proxy.noise import initial_noise
from proxy.pace import MOST_STEPS_PER_CALL, FixedPace
from proxy.samplers import SAMPLERS

Choice = tuple[str, int]
"""A sampler and its number of steps."""

STEPS = (5, 10, 15, 20, 30, 50)
REFERENCE: Choice = ("ddim", 200)  # more steps than the API allows, hence the loop in this process
YARDSTICK: Choice = ("ddim", 50)
CAPTIONS = (
    "red heart",
    "octopus",
    "a picture of a pineapple",
    "show me a cat, please",
    "purple umbrella",
    "rocket",
    "draw me a dragon",
    "birthday cake",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    options = _options(arguments)
    errors = _measure(SessionModels(options.models, options.family), options)
    table = Table(
        "root mean square error of a picture's values (0 to 255): median, quartiles",
        ("sampler", "steps", "median", "lower quartile", "upper quartile"),
        [[sampler, str(steps), *np.quantile(values, (0.5, 0.25, 0.75))] for (sampler, steps), values in errors.items()],
    )

    def draw(axes: Axes) -> None:
        for sampler in SAMPLERS:
            values = np.array([np.quantile(errors[sampler, steps], (0.25, 0.5, 0.75)) for steps in options.step_counts])
            axes.plot(options.step_counts, values[:, 1], "o-", label=sampler)
            axes.fill_between(options.step_counts, values[:, 0], values[:, 2], alpha=0.15)
        axes.axhline(float(np.median(errors[YARDSTICK])), color="grey", linestyle=":", label=_name(YARDSTICK))
        axes.set(xlabel="steps", ylabel=f"error against {_name(REFERENCE)}", xscale="log", yscale="log")
        axes.set_xticks(options.step_counts, list(map(str, options.step_counts)))
        axes.set_xticks([], minor=True)
        axes.legend()

    title = f"error of {len(CAPTIONS[: options.captions])} captions, {options.seeds} seeds each, {options.family}"
    Report("samplers", title, vars(options), list(_rows(errors)), [table]).publish(options.results, draw)


def cheapest(errors: Mapping[Choice, NDArray[np.float64]]) -> Choice:
    """The choice of fewest steps whose median error is at most the yardstick's; of two, the more exact one."""
    medians = {choice: float(np.median(values)) for choice, values in errors.items()}
    fitting = [choice for choice in errors if medians[choice] <= medians[YARDSTICK]]
    return min(fitting, key=lambda choice: (choice[1], medians[choice]))


def default() -> Choice:
    """What the API takes if a request does not say."""
    fields = Parameters.model_fields
    return fields["sampler"].default, fields["steps"].default


def _measure(models: SessionModels, options: argparse.Namespace) -> dict[Choice, NDArray[np.float64]]:
    """The error of each picture, by choice."""
    asked = [(sampler, steps) for sampler in SAMPLERS for steps in options.step_counts]
    choices = list(dict.fromkeys([*asked, YARDSTICK, default()]))
    errors: dict[Choice, list[float]] = {choice: [] for choice in choices}
    captions = CAPTIONS[: options.captions]
    with asyncio.Runner() as runner, tqdm(total=len(captions) * (1 + len(choices)), disable=None) as bar:
        for caption in captions:
            reference, *pictures = (
                runner.run(_draw(models, caption, options.seeds, choice, bar)) for choice in [REFERENCE, *choices]
            )
            for choice, drawn in zip(choices, pictures, strict=True):
                errors[choice] += np.sqrt(((drawn - reference) ** 2).mean(axis=(1, 2, 3))).tolist()
    return {choice: np.array(values) for choice, values in errors.items()}


async def _draw(
    models: SessionModels, caption: str, seeds: int, choice: Choice, bar: tqdm[None]
) -> NDArray[np.float64]:
    """Pictures (seeds, H, W, 3) of the same noise for every choice: each sampler's table scales it as it needs."""
    parameters = Parameters.model_validate({"caption": caption})
    tokens = tokenizer.bundled()
    guidance = Guidance(
        await models.encode(tokens(parameters.caption).values),
        await models.encode(tokens(parameters.negative_caption).values),
        parameters.guidance_scale,
    )
    sampler, steps = choice

    async def advance(*_: object) -> None:
        bar.set_description(f"{caption}: {_name(choice)}")

    noise = initial_noise(range(seeds), models.latent_shape)
    latent = await denoise(models, noise, guidance, SAMPLERS[sampler](steps), FixedPace(MOST_STEPS_PER_CALL), advance)
    bar.update()
    return (await models.decode(latent)).astype(np.float64)


def _rows(errors: Mapping[Choice, NDArray[np.float64]]) -> Iterator[Row]:
    chosen, best = default(), cheapest(errors)
    yardstick = float(np.median(errors[YARDSTICK]))
    error = float(np.median(errors[chosen]))
    steps = [chosen[1] / best[1]]
    yield Row(f"steps of the default, {_name(chosen)}, ÷ those of {_name(best)}", steps, "", at_most(1))
    yield Row(f"the default's error ÷ that of {_name(YARDSTICK)}", [error / yardstick], "", at_most(1))
    yield Row(f"error of {_name(YARDSTICK)}", errors[YARDSTICK].tolist())
    yield Row(f"error of {_name(best)}, the cheapest below", errors[best].tolist())


def _name(choice: Choice) -> str:
    sampler, steps = choice
    return f"{sampler} of {number(steps)} steps"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = report.parser("samplers", __doc__)
    parser.add_argument("--models", type=Path, default=Path("serving_models"), help="model repository")
    parser.add_argument("--family", default="emoji", help="family of that repository")
    parser.add_argument("--step-counts", type=int, nargs="+", default=STEPS, help="steps to try")
    parser.add_argument("--captions", type=int, default=len(CAPTIONS), help="how many of the captions to draw")
    parser.add_argument("--seeds", type=int, default=8, help="pictures of each caption")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
