"""The command line of `python -m export`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from export import models_config, provenance, repository, weights
from export.errors import ChoiceError, ExportError
from export.families import FAMILIES, Family, model_name
from export.interruption import Interrupted, raising
from export.networks import OPTIMIZATIONS, PRECISIONS, PictureSize
from export.weights import Weights

_RANDOM_WARNING = """\
***********************************************************************
*  RANDOM WEIGHTS: this model has learned nothing and makes noise.     *
*  It is good for measuring speed and memory, and for nothing else.    *
***********************************************************************"""


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; `arguments` are those of the process by default."""
    parser = argparse.ArgumentParser(
        prog="python -m export",
        description="Write a family's networks as SavedModels for TensorFlow Serving or `python -m model_server`.",
    )
    add = parser.add_argument
    add("family", metavar="FAMILY", help=f"one of {', '.join(FAMILIES)}")
    add("--output", type=Path, default=Path("serving_models"), help="model repository (default: %(default)s)")
    add("--weights", choices=("bundled", "pretrained", "random"), help="default: the family's own weights")
    add("--weights-dir", type=Path, metavar="DIR", help="folder with KerasCV's weight files, instead of a download")
    add("--size", nargs="+", action="extend", metavar="WxH", help="picture sizes in pixels; the first is the default")
    add("--version", type=int, metavar="N", help="default: one more than the newest")
    add("--precision", choices=PRECISIONS, default="float32", help="of weights and arithmetic (default: %(default)s)")
    add(
        "--optimize",
        nargs="+",
        choices=(*OPTIMIZATIONS, "none"),
        metavar="NAME",
        help=f"cheaper arithmetic for CPUs with the same results: none, or some of {', '.join(OPTIMIZATIONS)} "
        "(default: all in float32, none in float16, which is for GPUs)",
    )
    add(
        "--base-path",
        default="/models",
        metavar="PREFIX",
        help="the repository's folder as the server sees it, for models.config (default: %(default)s)",
    )
    add("--if-missing", action="store_true", help="do nothing if the newest version is from the same inputs and code")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run an export and return the process's exit status; errors go to standard error in one line."""
    options = parse(arguments)
    try:
        with raising():
            _run(options)
    except (ExportError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Interrupted as interruption:
        print(f"stopped by {interruption}; nothing unfinished is left in {options.output}", file=sys.stderr)
        return 128 + interruption.number
    return 0


def _run(options: argparse.Namespace) -> None:
    family = _family(options.family)
    sizes = tuple(PictureSize.parse(text) for text in options.size or [str(family.default_size)])
    family.check_sizes(sizes)
    chosen = weights.choose(family, options.weights, options.weights_dir)
    options.optimize = optimizations(options)
    if options.version is not None and options.version < 1:
        raise ChoiceError(f"--version {options.version}: versions are numbered from 1")
    weights.check(family, chosen)
    with repository.exclusive(options.output):
        models_config.read(options.output / models_config.CONFIG_FILE)
        if options.if_missing and _is_current(options, family, chosen, sizes):
            return
        version = repository.choose_version(options.output, family, options.version)
        _export(options, family, chosen, sizes, version)


def _family(name: str) -> Family:
    if name not in FAMILIES:
        raise ChoiceError(f"there is no family {name!r}; there are {', '.join(FAMILIES)}")
    return FAMILIES[name]


def optimizations(options: argparse.Namespace) -> tuple[str, ...]:
    """Return what the command line asks for by name, or the precision's default. Raises ChoiceError."""
    if options.optimize is None:
        return OPTIMIZATIONS if options.precision == "float32" else ()
    names = set(options.optimize)
    if "none" in names and len(names) > 1:
        raise ChoiceError(f"--optimize {' '.join(options.optimize)}: none goes with no other")
    return tuple(name for name in OPTIMIZATIONS if name in names)


def _is_current(options: argparse.Namespace, family: Family, chosen: Weights, sizes: tuple[PictureSize, ...]) -> bool:
    record = provenance.provenance(family, chosen, sizes, options.precision, options.optimize)
    version = provenance.current_version(options.output, family, record)
    if version is None or options.version not in (None, version):
        return False
    repository.register(options.output, family, options.base_path)
    print(f"{family.name}: version {version} in {options.output} is up to date.")
    return True


def _export(
    options: argparse.Namespace,
    family: Family,
    chosen: Weights,
    sizes: tuple[PictureSize, ...],
    version: int,
) -> None:
    if chosen.kind == "random":
        print(_RANDOM_WARNING, file=sys.stderr, flush=True)
    else:
        print(f"Weights of {family.name}: {family.licence}.", flush=True)
    _prepare_tensorflow()
    from export.pipeline import Export, export_family

    export = Export(
        family, chosen, sizes, options.precision, options.output, version, options.base_path, options.optimize
    )
    for network in export_family(export):
        print(
            f"{network.name}: {network.parameters:,} parameters, {network.bytes / 1e6:,.1f} MB, "
            f"largest difference from Keras {network.difference:.1e}"
        )
    names = ", ".join(model_name(family.name, network.role) for network in family.networks)
    print(f"Version {version} of {names} is in {options.output}.")


def _prepare_tensorflow() -> None:
    """Choose the backend and keep TensorFlow's notices off the terminal, before its first import."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
