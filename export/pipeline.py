"""Exports a family: builds, writes, verifies each network in a temporary folder, then publishes all three."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from tqdm import tqdm

from export import provenance, repository, weights
from export.errors import WriteError
from export.families import TEXT_ENCODER, Family, Network, model_name
from export.networks import OPTIMIZATIONS, KerasModel, PictureSize
from export.optimize import optimized
from export.probes import Arrays, probes
from export.saved_model import stored_bytes, weight_bytes, write_saved_model
from export.signatures import build_signatures
from export.verify import TOLERANCES, Expectation, verify
from export.warmup import write_warmup
from export.weights import Weights

# A SavedModel is its weights and a graph of at most a few megabytes.
_GRAPH_BYTES = 16_000_000


@dataclass(frozen=True)
class Export:
    """What to export and where to.

    Attributes:
        family: the family.
        weights: where its weights come from.
        sizes: picture sizes, the default first.
        precision: float32 or float16.
        output: the model repository.
        version: version to write.
        base_path: the repository's folder as the server sees it.
        optimizations: what the graphs compute by cheaper arithmetic than Keras, of `OPTIMIZATIONS`.
    """

    family: Family
    weights: Weights
    sizes: tuple[PictureSize, ...]
    precision: str
    output: Path
    version: int
    base_path: str
    optimizations: tuple[str, ...] = OPTIMIZATIONS


@dataclass(frozen=True)
class Exported:
    """One network as it was written: parameters, bytes on disk, largest relative difference from the Keras network."""

    name: str
    parameters: int
    bytes: int
    difference: float


def export_family(export: Export) -> list[Exported]:
    """Export all networks of a family; the caller holds `repository.exclusive`.

    Raises:
        ExportError: the export failed; nothing of it is left.
    """
    record = provenance.provenance(export.family, export.weights, export.sizes, export.precision, export.optimizations)
    networks = export.family.networks
    with repository.staging(export.output) as folder, tqdm(total=sum(map(_count_steps(export), networks))) as bar:
        exported = []
        for network in networks:
            path = folder / network.role
            exported.append(_export_network(export, network, path, bar))
            provenance.write(path, record)
        staged = {network.role: folder / network.role for network in networks}
        repository.publish(export.output, export.family, export.version, staged, export.base_path)
    return exported


def _count_steps(export: Export) -> Callable[[Network], int]:
    # Each network is built and written; each of its two signatures a size is computed and verified.
    return lambda network: 2 + 4 * (1 if network.role == TEXT_ENCODER else len(export.sizes))


def _export_network(export: Export, network: Network, path: Path, bar: Any) -> Exported:
    name = model_name(export.family.name, network.role)
    bar.set_description(f"{name}: build")
    model = weights.build(network, export.weights, export.sizes[0], export.precision)
    bar.update()
    description: dict[str, Any] = {
        "family": export.family.name,
        "network": network.role,
        "parameters": int(model.count_params()),
        "precision": export.precision,
        "weights": export.weights.kind,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
    }
    if network.role == TEXT_ENCODER:
        description["examples"] = list(export.family.examples)
    expectations, requests = _probe(export, network, model, bar, name)
    bar.set_description(f"{name}: write")
    _write(export, network, model, path, description, requests)
    bar.update()
    # The network is not needed beside the copy of it that verification loads.
    del model
    gc.collect()
    bar.set_description(f"{name}: verify")
    difference = verify(path, expectations, description, TOLERANCES[export.precision], lambda _: bar.update())
    return Exported(name, description["parameters"], stored_bytes(path), difference)


def _probe(
    export: Export, network: Network, model: KerasModel, bar: Any, name: str
) -> tuple[list[Expectation], dict[str, Arrays]]:
    expectations, requests = [], {}
    for probe in probes(network.role, model, export.family.context_width, export.sizes):
        bar.set_description(f"{name}: compute {probe.signature}")
        expectations.append(Expectation(probe.signature, probe.inputs, probe.compute()))
        if probe.raw:
            requests[probe.signature] = probe.inputs
        bar.update()
    return expectations, requests


def _write(
    export: Export,
    network: Network,
    model: KerasModel,
    path: Path,
    description: dict[str, Any],
    requests: dict[str, Arrays],
) -> None:
    repository.require_space(export.output, weight_bytes(model) + _GRAPH_BYTES)
    with optimized(model, export.optimizations):
        signatures = build_signatures(network.role, model, export.family.context_width, export.sizes, description)
    try:
        write_saved_model(path, model, signatures)
        write_warmup(path, model_name(export.family.name, network.role), requests)
    except (OSError, tf.errors.OpError) as error:
        raise WriteError(f"{network.role} could not be written to {export.output}: {error}") from error
