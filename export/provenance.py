"""Records what a version was exported from, so that a later export can tell whether it would write the same."""

from __future__ import annotations

import hashlib
import json
from importlib import metadata
from pathlib import Path
from typing import Any

from export.families import Family, Network
from export.networks import PictureSize
from export.repository import versions
from export.weights import Weights, identity

PROVENANCE_FILE = Path("assets.extra") / "export.json"
_PACKAGES = ("tensorflow", "keras", "keras-cv", "numpy")


def provenance(
    family: Family, weights: Weights, sizes: tuple[PictureSize, ...], precision: str, optimizations: tuple[str, ...]
) -> dict[str, Any]:
    """Return everything that an export depends on: weights, choices, this code, and the packages' versions."""
    return {
        "family": family.name,
        "weights": weights.kind,
        "sources": identity(family, weights),
        "sizes": [str(size) for size in sizes],
        "precision": precision,
        "optimizations": sorted(optimizations),
        "code": _code(),
        "packages": {name: metadata.version(name) for name in _PACKAGES},
    }


def write(path: Path, record: dict[str, Any]) -> None:
    """Put the record into the SavedModel at `path`, where servers ignore it."""
    file = path / PROVENANCE_FILE
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def current_version(output: Path, family: Family, record: dict[str, Any]) -> int | None:
    """Return the newest version if every network has it, exported from just what `record` says; else None."""
    newest = {_newest(output, family, network, record) for network in family.networks}
    return newest.pop() if len(newest) == 1 else None


def _newest(output: Path, family: Family, network: Network, record: dict[str, Any]) -> int | None:
    folder = output / family.name / network.role
    numbers = versions(folder)
    if not numbers:
        return None
    try:
        found = json.loads((folder / str(numbers[-1]) / PROVENANCE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return numbers[-1] if found == record else None


def _code() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
