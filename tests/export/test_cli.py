"""The command line: what it refuses, what it prints, and when it has nothing to do."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from export import cli, provenance
from export.families import FAMILIES, Family
from export.networks import OPTIMIZATIONS, PictureSize


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sd-v3"], "there is no family 'sd-v3'; there are emoji, sd-v1, sd-v2"),
        (["emoji", "--size", "big"], "size 'big' is not WIDTHxHEIGHT in pixels, such as 512x512"),
        (["emoji", "--size", "256x256"], "size 256x256: family emoji has 128x128 only"),
        (["sd-v1", "--size", "512x500"], "size 512x500: width and height of family sd-v1 are multiples of 64"),
        (["sd-v1", "--size", "0x512"], "size 0x512: width and height of family sd-v1 are multiples of 64"),
        (["sd-v1", "--size", "512x512", "--size", "512x512"], "a size is given twice: 512x512, 512x512"),
        (["sd-v1", "--version", "0", "--weights", "random"], "--version 0: versions are numbered from 1"),
        (["emoji", "--optimize", "dense", "none"], "--optimize dense none: none goes with no other"),
        (["emoji", "--weights", "pretrained"], "--weights pretrained: family emoji has bundled or random"),
    ],
)
def test_bad_choices_are_refused(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bad choice is one line that says what came and what is allowed, and nothing is written."""
    assert cli.main([*arguments, "--output", str(tmp_path / "models")]) == 1
    assert capsys.readouterr().err == f"error: {message}\n"
    assert list(tmp_path.iterdir()) == []


def test_missing_files_are_named_with_their_sha256(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder without KerasCV's files is answered with their names and SHA-256."""
    output = tmp_path / "models"
    assert cli.main(["sd-v2", "--weights-dir", str(tmp_path), "--output", str(output)]) == 1
    errors = capsys.readouterr().err
    for network in FAMILIES["sd-v2"].networks:
        assert f"{tmp_path}/{network.weights_file} is missing; expected SHA-256 {network.sha256}" in errors
    assert not output.exists()


def test_sizes_are_given_together_or_one_by_one() -> None:
    """`--size A B` and `--size A --size B` are the same."""
    expected = ["512x512", "768x512"]
    assert cli.parse(["sd-v1", "--size", *expected]).size == expected
    assert cli.parse(["sd-v1", "--size", expected[0], "--size", expected[1]]).size == expected
    assert PictureSize.parse("768x512").latent_shape == (64, 96, 4)


def export(output: Path, *options: str) -> int:
    """Export the small family with random weights."""
    return cli.main(["small", "--weights", "random", "--output", str(output), *options])


def test_if_missing(small_family: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second export of the same does nothing but put models.config right; a change of inputs makes a new version."""
    assert export(tmp_path, "--if-missing") == 0
    first = capsys.readouterr()
    assert "RANDOM WEIGHTS" in first.err
    assert "Version 1 of small_text_encoder, small_diffusion_model, small_decoder is in" in first.out

    (tmp_path / "models.config").unlink()
    assert export(tmp_path, "--if-missing") == 0
    assert capsys.readouterr().out == f"small: version 1 in {tmp_path} is up to date.\n"
    assert 'base_path: "/models/small/decoder"' in (tmp_path / "models.config").read_text()

    record = tmp_path / "small" / "decoder" / "1" / "assets.extra" / "export.json"
    found = json.loads(record.read_text())
    assert found["packages"].keys() == {"tensorflow", "keras", "keras-cv", "numpy"}
    assert found["optimizations"] == sorted(OPTIMIZATIONS)
    assert provenance.current_version(tmp_path, small_family, found) == 1
    assert provenance.current_version(tmp_path, small_family, found | {"code": "older"}) is None
    changed = ("--optimize", "dense", "attention", "--base-path", "/elsewhere")
    assert export(tmp_path, "--if-missing", *changed) == 0
    assert "Version 2 of" in capsys.readouterr().out
    record = tmp_path / "small" / "decoder" / "2" / "assets.extra" / "export.json"
    assert json.loads(record.read_text())["optimizations"] == ["attention", "dense"]
    assert 'base_path: "/elsewhere/small/decoder"' in (tmp_path / "models.config").read_text()
    assert export(tmp_path, "--if-missing", *changed) == 0
    assert f"version 2 in {tmp_path} is up to date" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], OPTIMIZATIONS),
        (["--precision", "float16"], ()),
        (["--optimize", "none"], ()),
        (["--optimize", "dense", "attention"], ("attention", "dense")),
        (["--precision", "float16", "--optimize", "dense"], ("dense",)),
    ],
)
def test_optimizations(options: list[str], expected: tuple[str, ...]) -> None:
    """By default there are all in float32 and none in float16; their order on the command line is no matter."""
    assert set(cli.optimizations(cli.parse(["emoji", *options]))) == set(expected)


def test_an_unreadable_config_stops_the_export_first(
    small_family: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A models.config that cannot be added to is said before any work is done."""
    (tmp_path / "models.config").write_text("model_config_list {")
    assert export(tmp_path) == 1
    assert "models.config cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "small").exists()


def test_nothing_to_do_needs_no_tensorflow(tmp_path: Path) -> None:
    """Options are checked before TensorFlow is imported, so refusals and `--if-missing` come at once."""
    code = "import sys; from export.cli import main; main(['nothing']); sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL)


def test_signal_handlers_are_put_back(tmp_path: Path) -> None:
    """After a run the process handles signals as it did before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    cli.main(["nothing", "--output", str(tmp_path)])
    assert {number: signal.getsignal(number) for number in before} == before
