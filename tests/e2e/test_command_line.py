"""Drawing from the command line over the whole chain."""

import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from local.stack import Stack

ROOT = Path(__file__).parents[2]


def test_a_picture_is_the_file_that_the_api_gives(stack: Stack, client: httpx.Client, tmp_path: Path) -> None:
    """Byte for byte, and nothing is drawn on what is no terminal."""
    file = tmp_path / "heart.png"
    done = draw(stack, "red heart", "-o", str(file), "--steps", "20", "--seed", "7")
    assert (done.stdout, done.stderr) == (f"{file}: 'red heart', seed 7\n", "")
    asked = {"caption": "red heart", "steps": 20, "seed": 7}
    assert file.read_bytes() == client.get("/generate", params=asked).raise_for_status().content


def test_captions_from_a_file_fill_a_folder_and_a_sheet(stack: Stack, client: httpx.Client, tmp_path: Path) -> None:
    """Each picture is the one that is drawn alone, and the sheet holds them all in their order."""
    captions = ["red heart", "blue car", "octopus"]
    (tmp_path / "captions.txt").write_text("\n".join(captions))
    folder, sheet = tmp_path / "pictures", tmp_path / "sheet.png"
    asked = ["--captions", str(tmp_path / "captions.txt"), "--steps", "10", "--seed", "3"]
    draw(stack, *asked, "-o", str(folder), "--sheet", str(sheet))
    files = sorted(folder.iterdir())
    assert [file.name for file in files] == ["001-red-heart-3.png", "002-blue-car-3.png", "003-octopus-3.png"]
    for caption, file in zip(captions, files, strict=True):
        query = {"caption": caption, "steps": 10, "seed": 3}
        assert file.read_bytes() == client.get("/generate", params=query).raise_for_status().content
    page = np.asarray(Image.open(sheet))
    places = [place(page, np.asarray(Image.open(file))) for file in files]
    assert places == sorted(places)
    assert len(set(places)) == 3


def draw(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "proxy.cli", "--url", stack.url, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)


def place(page: np.ndarray, picture: np.ndarray) -> tuple[int, int]:
    """The row and the column of the page at which the picture is, pixel for pixel."""
    height, width, _ = picture.shape
    for top in range(page.shape[0] - height + 1):
        for left in range(page.shape[1] - width + 1):
            if np.array_equal(page[top : top + height, left : left + width], picture):
                return top, left
    raise AssertionError("the picture is not on the page")
