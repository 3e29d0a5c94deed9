"""The file of keys, and the commands that write it."""

import subprocess
import sys
from pathlib import Path

import pytest

from proxy import keys
from proxy.__main__ import main as run_proxy
from proxy.keys import HASHER, Key, main, parse, read
from tests.proxy.proxy_process import ROOT

HASH = HASHER.hash("alice.secret")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.toml"


def test_a_key_is_shown_once_and_its_hash_is_kept(file: Path) -> None:
    """The command prints nothing else on its output; the file never has the key, and others may not read it."""
    command = [sys.executable, "-m", "proxy.keys", "add", "alice", "--file", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    (secret,) = done.stdout.splitlines()
    assert secret.startswith("alice.")
    assert len(secret) > 45
    assert secret not in file.read_text()
    assert secret not in done.stderr
    assert HASHER.verify(read(file)["alice"].hash, secret)
    assert file.stat().st_mode & 0o077 == 0


def test_keys_are_added_listed_and_removed(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Limits and what a person wrote into the file stay; so does who may read it."""
    limits = ["--requests-per-minute", "60", "--concurrent-requests", "4"]
    for name, more in (("alice", limits), ("bob", []), ("carol", limits[:2])):
        assert main(["add", name, "--file", str(file), *more]) == 0
    file.write_text("# ours\n" + file.read_text())
    file.chmod(0o640)
    capsys.readouterr()
    assert main(["remove", "bob", "--file", str(file)]) == 0
    assert main(["list", "--file", str(file)]) == 0
    assert capsys.readouterr().out == "alice 60 a minute, 4 at once\ncarol 60 a minute\n"
    assert file.read_text().startswith("# ours\n[keys.alice]\n")
    assert file.stat().st_mode & 0o777 == 0o640
    assert [entry.name for entry in file.parent.iterdir()] == ["keys.toml"]


def test_what_cannot_be_done_is_said(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, with status 1, and the file stays as it is."""
    file.write_text(f'[keys.alice]\nhash = "{HASH}"\n')
    before = file.read_text()
    for arguments, complaint in (
        (["add", "alice"], "there is a key alice already"),
        (["add", "not one word"], "keys.not one word"),
        (["add", "a.b"], "keys.a"),
        (["add", "bob", "--requests-per-minute", "-1"], "requests_per_minute"),
        (["remove", "bob"], "there is no [keys.bob]"),
    ):
        assert main([*arguments, "--file", str(file)]) == 1
        said = capsys.readouterr()
        assert complaint in said.err
        assert said.out == ""
        assert len(said.err.splitlines()) == 1
    assert file.read_text() == before


def test_a_file_may_have_keys_with_and_without_limits() -> None:
    text = f'[keys.alice]\nhash = "{HASH}"\nrequests_per_minute = 60\n[keys.bob]\nhash = "{HASH}"\n'
    assert parse(text) == {"alice": Key("alice", HASH, 60), "bob": Key("bob", HASH)}
    assert parse("") == {}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[keys.alice]\nhash = \n", "line 2"),
        ('[keys.alice]\nhash = "alice.plain"\n', "line 2"),
        (f'[keys.bob]\nhash = "{HASH}"\n\n[keys.alice]\n# none\n', "keys.alice.hash: Field required (at line 4)"),
        (f'[keys.alice]\nhash = "{HASH}"\nrequests_per_minute = 0\n', "line 3"),
        (f'[keys.alice]\nhash = "{HASH}"\nconcurrent_requests = "4"\n', "line 3"),
        (f'[keys.alice]\nhash = "{HASH}"\nrequest_per_minute = 4\n', "line 3"),
        (f'[keys."a b"]\nhash = "{HASH}"\n', "line 1"),
        (f'\n[key.alice]\nhash = "{HASH}"\n', "line 2"),
    ],
)
def test_a_wrong_file_is_a_wrong_setting(
    text: str, complaint: str, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The proxy does not start; it says which line, and repeats nothing that was meant to be secret."""
    file.write_text(text)
    monkeypatch.setenv("EASEL_API_KEYS_FILE", str(file))
    assert run_proxy() == 2
    said = capsys.readouterr().err
    assert said.startswith("EASEL_API_KEYS_FILE: received ")
    assert complaint in said
    assert "alice.plain" not in said
    assert "argon2id" not in said


def test_a_file_that_is_not_there_is_a_wrong_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EASEL_API_KEYS_FILE", str(tmp_path / "none.toml"))
    assert run_proxy() == 2
    assert "No such file" in capsys.readouterr().err


def test_every_key_is_another(file: Path) -> None:
    secrets = {keys.add(file, Key(f"key{i}", "")) for i in range(5)}
    assert len({secret.partition(".")[2] for secret in secrets}) == 5
