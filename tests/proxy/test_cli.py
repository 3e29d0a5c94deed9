"""Drawing from the command line over a real proxy process."""

import contextlib
import io
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import httpx
import numpy as np
import pytest
from PIL import Image

from local.stack import free_port
from proxy.cli import main
from tests.proxy.event_stream import Gate, calls, slow, until, watching
from tests.proxy.fake_model_server import PIXELS, FakeModelServer, models, running
from tests.proxy.proxy_process import ROOT, running_proxy

START_SECONDS = 30
WRONG: list[tuple[list[str], str]] = [
    ([], "caption: received nothing, allowed is text"),
    ([""], "caption: received '', allowed is text"),
    (["a", "--steps", "0"], "steps: received '0', allowed is a whole number from 1 to 150"),
    (["a", "--guidance-scale", "much", "-n", "17"], "n: received '17', allowed is a whole number from 1 to 16"),
    (["a", "--sampler", "magic"], "sampler: received 'magic', allowed is one of ddim, euler"),
    (["a", "-o", "a.gif"], "file: received 'a.gif', allowed is a folder, or a name"),
    (["a", "-o", "missing/a.png"], "file: received 'missing/a.png'"),
    (["a", "-o", "a.png", "-n", "2"], "-o: received 'a.png', allowed is a folder, for 2 pictures"),
    (["a", "-o", "a.png", "--format", "jpeg"], "format: received 'jpeg', allowed is png for a.png"),
    (["a", "--sheet", "sheet"], "--sheet: received 'sheet', allowed is a name that ends in .png"),
    (["--captions", "missing.txt"], "--captions: received 'missing.txt', allowed is a text file that can be read"),
    (["--captions", "empty.txt"], "--captions: received 'empty.txt', allowed is a file with a caption on a line"),
    (["a", "--captions", "one.txt"], "caption: received 'a', allowed is none beside --captions"),
    (["a", "--url", "nowhere"], "--url: received 'nowhere', allowed is an address such as http://127.0.0.1:5000"),
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the commands of a test run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "one.txt").write_text("red heart\n")
    return tmp_path


def command(url: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "proxy.cli", "--url", url, *arguments]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_one_command_draws_what_the_api_draws(url: str, folder: Path) -> None:
    """The file is the picture of the same parameters; nothing but its name and seed is printed."""
    asked = ["red heart", "-o", "heart.png", "--steps", "20", "--seed", "7", "--negative-caption", "blue"]
    done = subprocess.run(command(url, *asked), env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "heart.png: 'red heart', seed 7\n"
    query = {"caption": "red heart", "steps": 20, "seed": 7, "negative_caption": "blue"}
    assert (folder / "heart.png").read_bytes() == httpx.get(f"{url}/generate", params=query).content


@pytest.mark.parametrize(("name", "form"), [("a.jpg", "JPEG"), ("a.webp", "WEBP"), ("A.PNG", "PNG")])
def test_the_name_of_a_file_says_its_format(url: str, folder: Path, name: str, form: str) -> None:
    assert main(["a", "--url", url, "-o", name]) == 0
    with Image.open(folder / name) as picture:
        assert (picture.format, picture.size) == (form, (PIXELS, PIXELS))


def test_every_parameter_arrives(url: str, folder: Path) -> None:
    """In the file are those that were asked for."""
    options = {"negative_caption": "blue", "steps": 3, "guidance_scale": 2.5, "seed": 9, "sampler": "ddim"}
    options |= {"n": 1, "width": PIXELS, "height": PIXELS, "format": "png", "family": "emoji", "steps_per_call": 2}
    arguments = [word for name, value in options.items() for word in ("-" * min(len(name), 2) + name, str(value))]
    assert main(["a", "--url", url, "-o", "a.png", *[word.replace("_", "-") for word in arguments]]) == 0
    with Image.open(folder / "a.png") as picture:
        stored = picture.text
    del options["steps_per_call"]
    assert {name: stored[name] for name in options} == {name: str(value) for name, value in options.items()}


def test_several_captions_fill_a_folder_and_a_sheet(url: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file for each picture, whose seed can be read in its name; the sheet has them all, with words below."""
    (folder / "captions.txt").write_text("red heart\n\nblue car?\n", encoding="utf-8")
    asked = ["--captions", "captions.txt", "-n", "2", "--seed", "5", "-o", "out/put", "--sheet", "sheet.png"]
    assert main(["--url", url, *asked]) == 0
    names = ["001-red-heart-5.png", "001-red-heart-6.png", "002-blue-car-5.png", "002-blue-car-6.png"]
    assert sorted(file.name for file in (folder / "out/put").iterdir()) == names
    printed = capsys.readouterr().out.splitlines()
    assert printed[2] == "out/put/002-blue-car-5.png: 'blue car?', seed 5"
    assert printed[4:] == ["sheet.png"]
    page = np.asarray(Image.open(io.BytesIO((folder / "sheet.png").read_bytes())))
    found = 0
    for name in names:
        tile = np.asarray(Image.open(folder / "out/put" / name))
        windows = np.lib.stride_tricks.sliding_window_view(page, tile.shape)[:, :, 0]
        (place,) = np.argwhere((windows == tile).all(axis=(2, 3, 4)))
        below = page[place[0] + PIXELS : place[0] + PIXELS + 16, place[1] : place[1] + PIXELS]
        found += (below < 128).any()
    assert found == 4


def test_a_failed_caption_leaves_the_sheet_of_those_before(
    url: str, served: FakeModelServer, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "captions.txt").write_text("a\nb\nc\n")
    decoded = []

    def fail_once(_: str, path: str) -> tuple[int, bytes] | None:
        decoded.extend([path] if path.endswith("decoder:predict") else [])
        return (500, b"{}") if len(decoded) == 2 else None

    served.override = fail_once
    assert main(["--url", url, "--captions", "captions.txt", "-o", "out", "--sheet", "sheet.png"]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("model emoji_decoder: ")
    assert printed.out.splitlines()[1:] == ["sheet.png"]
    with Image.open(folder / "sheet.png") as page:
        assert PIXELS < page.width < 2 * PIXELS


@pytest.mark.parametrize(
    ("name", "side", "status"),
    [("a.webp", 16_384, 1), ("a.jpg", 65_504, 1), ("a.webp", 16_360, 0), ("a.png", 65_504, 0)],
)
def test_a_sheet_that_its_format_cannot_hold_is_one_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, side: int, status: int
) -> None:
    """The pictures are there."""
    fake = FakeModelServer()
    fake.models = models("emoji", ((side, 8),))
    with running(fake) as server, running_proxy(server.url) as (address, _, _):
        assert main(["a", "--url", address, "--steps", "1", "-o", "out", "--sheet", name]) == status
    assert len(list((folder / "out").iterdir())) == 1
    assert (folder / name).exists() == (not status)
    problem = capsys.readouterr().err
    assert problem.startswith(f"{name}: the sheet is " if status else "")
    assert problem.count("\n") == status


def test_a_file_of_captions_may_begin_with_a_byte_order_mark(url: str, folder: Path) -> None:
    """As editors on Windows write it."""
    (folder / "captions.txt").write_text("red heart\n", encoding="utf-8-sig")
    assert main(["--url", url, "--captions", "captions.txt", "-o", "out.png", "--steps", "1"]) == 0
    with Image.open(folder / "out.png") as picture:
        assert picture.info["caption"] == "red heart"


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_wrong_options_are_one_sentence_and_status_2(
    url: str, served: FakeModelServer, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """Nothing is drawn."""
    assert main(["--url", url, *arguments]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert served.calls == []


def test_an_unknown_option_is_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["a", "--colour", "red"])
    assert ended.value.code == 2
    assert "--colour" in capsys.readouterr().err


def test_what_the_proxy_refuses_is_one_sentence_and_status_1(
    url: str, served: FakeModelServer, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    """What only the proxy knows: families, and what its models do."""
    assert main(["a", "--url", url, "--family", "sd-v9", "-o", "a.png"]) == 1
    assert capsys.readouterr().err == "family: received 'sd-v9', allowed is one of emoji\n"
    served.override = lambda _, path: (500, b"{}") if path.endswith("decoder:predict") else None
    assert main(["a", "--url", url, "-o", "a.png"]) == 1
    problem = capsys.readouterr().err
    assert problem.startswith("model emoji_decoder: ")
    assert problem.count("\n") == 1
    assert not (folder / "a.png").exists()


def test_no_proxy_is_one_sentence_and_status_1(capsys: pytest.CaptureFixture[str], url: str) -> None:
    """Nobody there, or somebody else."""
    nobody = f"http://127.0.0.1:{free_port()}"
    assert main(["a", "--url", nobody]) == 1
    assert capsys.readouterr().err.startswith(f"{nobody}: no proxy answers there")
    assert main(["a", "--url", f"{url}/elsewhere"]) == 1
    assert "answered with status 404, not as an Easel proxy does" in capsys.readouterr().err


def test_a_caption_that_is_too_long_is_drawn_and_said(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["heart " * 80, "--url", url]) == 0
    assert "the caption is too long, and was read without its end: " in capsys.readouterr().err


def test_control_c_cancels_the_work(url: str, served: FakeModelServer) -> None:
    """The next call of the network is not made, long before the proxy would have noticed by itself."""
    slow(served, 0.3)
    asked = ["a", "--steps", "150", "--steps-per-call", "1"]
    with subprocess.Popen(command(url, *asked), env=environment(), stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + START_SECONDS
        while calls(served, "diffusion_model") < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.wait(START_SECONDS) == 130
        assert (process.stderr or io.StringIO()).read() == "cancelled\n"
    made = calls(served, "diffusion_model")
    time.sleep(1.5)
    assert calls(served, "diffusion_model") <= made + 1


def test_a_terminal_gets_a_progress_bar(url: str, served: FakeModelServer) -> None:
    """It grows, says what is left, and is gone at the end."""
    slow(served, 0.1)
    *lines, last = shown(url, "red heart", "--steps", "6", "--steps-per-call", "2")
    assert f"1/1 red heart |{' ' * 24}| 0/6" in lines
    (second,) = {line for line in lines if line.startswith(f"1/1 red heart |{'█' * 8}{' ' * 16}| 2/6, ")}
    assert second.endswith(" s left")
    assert (lines[-1].strip(), last) == ("", "")


def test_a_terminal_says_who_is_before(url: str, served: FakeModelServer) -> None:
    """Nobody, if the request is the next to be drawn."""
    gate = Gate(served)
    with watching(url) as events:
        until(events, "progress")
        shown(url, "red heart", when={b", waiting, 0 before": gate.let})


def shown(url: str, *arguments: str, when: Mapping[bytes, Callable[[], None]] = MappingProxyType({})) -> list[str]:
    """What a command wrote onto a terminal, line by line.

    when: what to do once something can be read there.
    """
    acts = dict(when)
    terminal, end = pty.openpty()
    termios.tcsetwinsize(end, (24, 100))
    process = subprocess.Popen(command(url, *arguments), env=environment(), stdout=subprocess.DEVNULL, stderr=end)
    os.close(end)
    written = b""
    with contextlib.suppress(OSError):  # how Linux says that the other end is closed
        while chunk := os.read(terminal, 4096):
            written += chunk
            for words in [words for words in acts if words in written]:
                acts.pop(words)()
    assert process.wait(START_SECONDS) == 0
    assert acts == {}
    return written.decode().split("\r")[1:]


def test_a_deadline_arrives(url: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["a", "--url", url, "--deadline-seconds", "0.0001"]) == 1
    assert "was not done within its 0.0001 s" in capsys.readouterr().err
