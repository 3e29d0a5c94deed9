"""Seconds a picture of the full-size network: Easel, KerasCV in process, and diffusers on PyTorch."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from benchmarks import report
from benchmarks.drawing import Easel, served
from benchmarks.machine import resident_bytes
from benchmarks.peers.side import GUIDANCE_SCALE, STAGES, Order, Seconds, Side, SideProcess
from benchmarks.report import Report, Row, at_most, ratios
from benchmarks.turns import take_turns

FAMILY = "sd-v1"
EASEL = "Easel"
DIFFUSERS = "diffusers"
KERAS_CV = {"KerasCV": "xla", "KerasCV without XLA": "plain"}  # the first one is as it comes
TARGETS = {**dict.fromkeys(KERAS_CV, at_most(0.8)), DIFFUSERS: at_most(1.0)}  # Easel's seconds, of the peer's
DIFFERENCE = at_most(2)  # of 255, between Easel's pictures and KerasCV's
LONG = 50  # steps of a picture as people ask for it
WARM_STEPS = 2
CAPTION = "a caterpillar smoking a hookah while sitting on a mushroom"
PACKAGES = ("torch", "diffusers", "transformers")
_GIGABYTE = 1e9


@dataclass(frozen=True)
class Pair:
    """Easel beside one peer.

    easel, other: what each round took. differences: of their pictures of each round, at most, of 255.
    memory_bytes: resident at the end, of both.
    """

    peer: str
    easel: list[Seconds]
    other: list[Seconds]
    differences: list[float]
    memory_bytes: tuple[int, int]


def main(arguments: Sequence[str] | None = None) -> None:
    """Export if need be, measure pair by pair, because all sides together take too much memory, and report each."""
    options = _options(arguments)
    _export(options.models, options.size)
    further = {"versions": _versions(options.diffusers_python)} if DIFFUSERS in options.peers else {}
    title = f"sd-v1 with random weights, {options.size}, {options.steps} steps, {options.threads} threads"
    pairs: list[Pair] = []
    for peer in options.peers:
        pairs.append(_measure(peer, options))
        rows = [row for pair in pairs for row in _rows(pair, options.steps)]
        Report("peers", title, vars(options) | further, rows).publish(options.results, partial(_draw, pairs=pairs))


class Served:
    """Easel's side."""

    def __init__(self, easel: Easel) -> None:
        self.pids = [easel.stack.proxy.pid, easel.stack.model_server.pid]
        self._easel = easel

    def draw(self, order: Order) -> Seconds:
        """Put the picture into the order's file; the stages are the proxy's own count, `total` the client's."""
        picture = self._easel.draw(
            order.seed, caption=order.caption, steps=order.steps, guidance_scale=GUIDANCE_SCALE, sampler="ddim"
        )
        np.save(order.file, picture.pixels())
        return {**picture.stages, "total": picture.seconds}


def _start(peer: str, options: argparse.Namespace) -> SideProcess:
    arguments = (options.size, str(options.threads))
    if peer == DIFFUSERS:
        return SideProcess(options.diffusers_python, "benchmarks.peers.diffusers", *arguments)
    return SideProcess(Path(sys.executable), "benchmarks.peers.keras_cv", *arguments, KERAS_CV[peer])


@contextmanager
def _easel(options: argparse.Namespace) -> Iterator[Side]:
    flags = [f"--tensorflow_{kind}_op_parallelism={options.threads}" for kind in ("intra", "inter")]
    with served(options.models, FAMILY, model_server_flags=flags) as easel:
        yield Served(easel)


def _export(models: Path, size: str) -> None:
    """Write the network with random weights, unless it is there; in a process of its own, for the memory it takes."""
    command = [sys.executable, "-m", "export", FAMILY, "--weights", "random", "--size", size]
    subprocess.run([*command, "--output", str(models), "--if-missing"], check=True)  # noqa: S603


def _versions(python: Path) -> dict[str, str]:
    """What diffusers' side ran on; the report's own list is of this process's environment."""
    code = (
        f"import json; from importlib.metadata import version as v; print(json.dumps({{p: v(p) for p in {PACKAGES}}}))"
    )
    printed = subprocess.run([python, "-c", code], capture_output=True, check=True)  # noqa: S603
    versions: dict[str, str] = json.loads(printed.stdout)
    return versions


def _measure(peer: str, options: argparse.Namespace) -> Pair:
    with (
        tempfile.TemporaryDirectory(prefix="easel-") as folder,
        _easel(options) as easel,
        _start(peer, options) as other,
    ):
        sides: dict[str, Side] = {EASEL: easel, peer: other}

        def file(name: str, number: int) -> Path:
            return Path(folder) / f"{name}-{number}.npy"

        def draw(name: str, steps: int, number: int) -> Seconds:
            return sides[name].draw(Order(f"{CAPTION} {number}", steps, number, str(file(name, number))))

        for name in sides:
            draw(name, WARM_STEPS, options.rounds)  # after that all is compiled
        taken = take_turns({name: partial(draw, name, options.steps) for name in sides}, options.rounds)
        pictures = [[np.load(file(name, number)).astype(int) for name in sides] for number in range(options.rounds)]
        differences = [float(np.abs(ours - theirs).max()) for ours, theirs in pictures]
        ours, theirs = (sum(map(resident_bytes, side.pids)) for side in sides.values())
        return Pair(peer, taken[EASEL], taken[peer], differences, (ours, theirs))


def _rows(pair: Pair, steps: int) -> Iterator[Row]:
    ours, theirs = ([_parts(seconds, steps) for seconds in side] for side in (pair.easel, pair.other))
    for part in ours[0]:
        target = TARGETS[pair.peer] if part.startswith("picture") else None
        values = ratios([each[part] for each in ours], [each[part] for each in theirs])
        yield Row(f"Easel ÷ {pair.peer}: {part}", values, "", target)
    for name, parts in ((f"Easel beside {pair.peer}", ours), (pair.peer, theirs)):
        for part in parts[0]:
            yield Row(f"{name}: {part}", [each[part] for each in parts], "s")
    if pair.peer in KERAS_CV:
        yield Row(f"largest difference of pictures from {pair.peer}, of 255", [max(pair.differences)], "", DIFFERENCE)
    for name, size in zip((f"Easel beside {pair.peer}", pair.peer), pair.memory_bytes, strict=True):
        yield Row(f"{name}: resident memory", [size / _GIGABYTE], "GB")


def _parts(seconds: Seconds, steps: int) -> Seconds:
    """A round's figures by what they are called in the table."""
    step = seconds["diffusion_model"] / steps
    return {
        f"picture of {steps} steps": seconds["total"],
        f"picture of {LONG} steps, from its parts": seconds["total"] + (LONG - steps) * step,
        "captions": seconds["text_encoder"],
        "a step": step,
        "decoder": seconds["decoder"],
    }


def _draw(axes: Axes, pairs: Sequence[Pair]) -> None:
    sides = {EASEL: [seconds for pair in pairs for seconds in pair.easel], **{pair.peer: pair.other for pair in pairs}}
    left = np.zeros(len(sides))
    for stage in (*STAGES, "other"):
        values = [np.median([_stage(seconds, stage) for seconds in side]) for side in sides.values()]
        axes.barh(list(sides), values, left=left, label=stage.replace("_", " "))
        left += values
    axes.invert_yaxis()
    axes.set_xlabel("seconds")
    axes.legend()


def _stage(seconds: Seconds, stage: str) -> float:
    return seconds["total"] - sum(seconds[each] for each in STAGES) if stage == "other" else seconds[stage]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = report.parser("peers", __doc__)
    parser.add_argument(
        "--peers", nargs="+", choices=list(TARGETS), default=list(TARGETS), help="who draws beside Easel"
    )
    parser.add_argument("--size", default="512x512", metavar="WxH", help="picture size, in multiples of 64")
    parser.add_argument("--steps", type=int, default=5, help="denoising steps a picture")
    parser.add_argument("--rounds", type=int, default=3, help="pictures of each side")
    parser.add_argument("--threads", type=int, default=2, help="threads of each side")
    parser.add_argument("--models", type=Path, default=Path("benchmarks/models"), help="model repository to export to")
    parser.add_argument(
        "--diffusers-python", type=Path, default=Path(".venv-peers/bin/python"), help="Python that has diffusers"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
