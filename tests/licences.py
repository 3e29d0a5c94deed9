"""The licences of what the containers that serve have in them: python -m tests.licences prints a table."""

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOMS = ("proxy", "model_server")
ALLOWED = {
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "CNRI-Python",
    "MIT",
    "MIT-0",
    "MIT-CMU",
    "MPL-2.0",
    "PSF-2.0",
    "Zlib",
}
# What packages write that do not know SPDX's names.
_SPDX = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD 3-Clause": "BSD-3-Clause",
    "MIT License": "MIT",
}
# What packages do not say at all, and their repositories do.
_UNSAID = {"namex": "Apache-2.0"}


def pinned(room: str) -> Iterator[str]:
    """The names of the packages that a room's requirements.txt installs here."""
    text = Path(room, "requirements.txt").read_text()
    for line in re.findall(r"^[A-Za-z0-9][^\\\n#]*", text, re.MULTILINE):
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate():
            yield requirement.name


def licence(package: str) -> str:
    """In SPDX's words; as the package says it, if it says something else."""
    said = metadata.metadata(package)
    classified = [c.rpartition(" :: ")[2] for c in said.get_all("Classifier") or [] if c.startswith("License ::")]
    names = [said.get("License-Expression") or said.get("License") or "", *classified, _UNSAID.get(package, "")]
    name = next((name for name in names if name), "not said")
    return _SPDX.get(name, name)


def is_allowed(expression: str) -> bool:
    """Whether each licence that an expression names is on the list, also where there is a choice."""
    return all(name in ALLOWED for name in re.split(r" AND | OR |[()]", expression) if name)


def main() -> None:
    """Print the table."""
    rows = {package: [room for room in ROOMS if package in pinned(room)] for room in ROOMS for package in pinned(room)}
    print("| package | version | licence | in |\n|---|---|---|---|")
    for package in sorted(rows):
        print(f"| {package} | {metadata.version(package)} | {licence(package)} | {', '.join(rows[package])} |")


if __name__ == "__main__":
    main()
