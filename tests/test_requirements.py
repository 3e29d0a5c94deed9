"""What is installed is what was meant, to the byte."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# A build of PyTorch for the machine at hand is another file than the one of another machine.
WITHOUT_HASHES = {Path("benchmarks/requirements-peers.txt")}
FILES = [path.relative_to(ROOT) for path in sorted(ROOT.glob("*/*requirements*.txt"))]


def unhashed(text: str) -> list[str]:
    """The pins without a hash; each begins a line, and what belongs to it is indented."""
    pins = re.split(r"\n(?=[^\s#])", "\n" + text)[1:]
    return [pin for pin in pins if "==" not in pin or "--hash=sha256:" not in pin]


def test_the_exception_is_there() -> None:
    assert set(FILES) > WITHOUT_HASHES


@pytest.mark.parametrize("file", [file for file in FILES if file not in WITHOUT_HASHES], ids=str)
def test_every_pin_has_a_hash(file: Path) -> None:
    text = (ROOT / file).read_text()
    assert "==" in text
    assert unhashed(text) == []


def test_a_pin_without_a_hash_is_found() -> None:
    hashed = "a==1 \\\n    --hash=sha256:0\n    # via b\n"
    assert unhashed(hashed + "b==2\n    # via c\n" + hashed) == ["b==2\n    # via c"]
