"""Exports the small family once for all tests of the export."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from export import weights
from export.families import FAMILIES, Family
from export.networks import OPTIMIZATIONS
from export.pipeline import Export, Exported, export_family
from export.repository import exclusive
from export.weights import Weights
from tests.export.served import ServedModel
from tests.export.small import OTHER_SIZE, SIZE, SMALL

SIZES = (SIZE, OTHER_SIZE)


@dataclass(frozen=True)
class SmallExport:
    """The exported small family: where it lies, what the export reported, and the same networks as Keras models."""

    output: Path
    exported: dict[str, Exported]
    keras: dict[str, Any]

    def path(self, role: str) -> Path:
        """Return the folder of the exported version of a network."""
        return self.output / "small" / role / "1"


@pytest.fixture(scope="session")
def small_export(tmp_path_factory: pytest.TempPathFactory) -> SmallExport:
    """The small family with random weights, exported at two sizes."""
    output = tmp_path_factory.mktemp("small") / "serving_models"
    random = Weights("random")
    with exclusive(output):
        # Its weights stay variables, as a large network's do.
        optimizations = tuple(name for name in OPTIMIZATIONS if name != "constants")
        reports = export_family(Export(SMALL, random, SIZES, "float32", output, 1, "/models", optimizations))
    networks = {network.role: weights.build(network, random, SIZE, "float32") for network in SMALL.networks}
    return SmallExport(output, dict(zip(networks, reports, strict=True)), networks)


@pytest.fixture(scope="session")
def served(small_export: SmallExport) -> Iterator[dict[str, ServedModel]]:
    """The exported networks, each loaded in a session, by role."""
    models = {network.role: ServedModel(small_export.path(network.role)) for network in SMALL.networks}
    yield models
    for model in models.values():
        model.close()


@pytest.fixture
def small_family(monkeypatch: pytest.MonkeyPatch) -> Family:
    """The small family, entered into the table of families for one test."""
    monkeypatch.setitem(FAMILIES, SMALL.name, SMALL)
    return SMALL
