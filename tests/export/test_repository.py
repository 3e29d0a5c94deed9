"""How versions are numbered and appear."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from export import repository
from export.errors import RepositoryError, WriteError
from export.interruption import Interrupted, raising
from tests.export.small import SMALL

ROLES = [network.role for network in SMALL.networks]


def stage(folder: Path) -> dict[str, Path]:
    """Write something for each network and return its folder."""
    for role in ROLES:
        (folder / role / "variables").mkdir(parents=True)
        (folder / role / "variables" / "data").write_text(role)
    return {role: folder / role for role in ROLES}


def test_versions_count_up_over_all_networks(tmp_path: Path) -> None:
    """The next version is one more than the newest of any network, and other folders do not count."""
    assert repository.choose_version(tmp_path, SMALL, None) == 1
    for name in ("text_encoder/2", "text_encoder/10", "decoder/11", "decoder/old", "decoder/.12"):
        (tmp_path / "small" / name).mkdir(parents=True)
    assert repository.versions(tmp_path / "small" / "text_encoder") == [2, 10]
    assert repository.choose_version(tmp_path, SMALL, None) == 12
    assert repository.choose_version(tmp_path, SMALL, 3) == 3
    with pytest.raises(RepositoryError, match=r"version 10 of small exists: .*/small/text_encoder"):
        repository.choose_version(tmp_path, SMALL, 10)


def test_publish_moves_everything(tmp_path: Path) -> None:
    """After publishing, every network has the version, models.config lists it and staging is gone."""
    with repository.exclusive(tmp_path), repository.staging(tmp_path) as folder:
        repository.publish(tmp_path, SMALL, 4, stage(folder), "/models/")
    assert all((tmp_path / "small" / role / "4" / "variables" / "data").read_text() == role for role in ROLES)
    assert 'base_path: "/models/small/decoder"' in (tmp_path / "models.config").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".export.lock", "models.config", "small"]


def test_a_failed_step_undoes_the_ones_before(tmp_path: Path) -> None:
    """If the third network's place is taken, the first two are withdrawn and what was there stays."""
    taken = tmp_path / "small" / "decoder" / "1" / "saved_model.pb"
    taken.parent.mkdir(parents=True)
    taken.write_text("another's")
    with (
        pytest.raises(WriteError, match="version 1 of small could not be put in place"),
        repository.staging(tmp_path) as folder,
    ):
        repository.publish(tmp_path, SMALL, 1, stage(folder), "/models")
    assert taken.read_text() == "another's"
    assert [path.name for path in (tmp_path / "small").iterdir()] == ["decoder"]
    assert not (tmp_path / "models.config").exists()


def test_a_config_that_cannot_be_written_undoes_all(tmp_path: Path) -> None:
    """Without its entry in models.config no version stays."""
    (tmp_path / ".models.config.new").mkdir()
    with pytest.raises(WriteError), repository.staging(tmp_path) as folder:
        repository.publish(tmp_path, SMALL, 1, stage(folder), "/models")
    assert [path.name for path in tmp_path.iterdir()] == [".models.config.new"]


def test_a_signal_waits_until_a_version_is_in_place(tmp_path: Path) -> None:
    """A signal that arrives while networks are moved takes effect when all of them are."""
    with raising(), repository.staging(tmp_path) as folder:
        staged = stage(folder)
        with pytest.raises(Interrupted, match="SIGTERM"):
            repository.publish(tmp_path, SMALL, 1, _Signalling(staged), "/models")
    assert all((tmp_path / "small" / role / "1").is_dir() for role in ROLES)
    assert (tmp_path / "models.config").exists()


class _Signalling(dict[str, Path]):
    """A mapping that sends this process a SIGTERM when the second network is about to be moved."""

    def __getitem__(self, role: str) -> Path:
        if role == ROLES[1]:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().__getitem__(role)


def test_too_little_space_is_said_before_writing(tmp_path: Path) -> None:
    """An export that cannot fit is refused with both figures."""
    repository.require_space(tmp_path, 1)
    with pytest.raises(WriteError, match=r"MB free, the export needs 1,000,000,000 MB"):
        repository.require_space(tmp_path, 10**15)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    """A file in the place of the repository is named."""
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="file"), repository.exclusive(tmp_path / "file"):
        pass
