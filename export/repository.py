"""The model repository on disk: whole versions appear in it at one stroke, and nothing else ever does."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from export import models_config
from export.errors import RepositoryError, WriteError
from export.families import Family, model_name
from export.interruption import deferred

_LOCK_FILE = ".export.lock"
# Beside the families' folders: on the same file system, and in no folder that a server looks into.
_STAGING_FOLDER = ".export-in-progress"


@contextmanager
def exclusive(output: Path) -> Iterator[None]:
    """Hold the repository against other exports, waiting for one in progress, and clear what a killed one left.

    Raises:
        WriteError: the folder cannot be made or written.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        lock = (output / _LOCK_FILE).open("w")
    except OSError as error:
        raise WriteError(f"{output} cannot be written: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Waiting for another export into {output} to finish.", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(output / _STAGING_FOLDER, ignore_errors=True)
        yield


@contextmanager
def staging(output: Path) -> Iterator[Path]:
    """Yield an empty folder on the repository's file system that no server reads; it is gone after the block."""
    folder = output / _STAGING_FOLDER
    try:
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def versions(folder: Path) -> list[int]:
    """Return the version numbers in a model's folder, ascending."""
    if not folder.is_dir():
        return []
    return sorted(int(entry.name) for entry in folder.iterdir() if entry.name.isdecimal())


def newest_version(output: Path, family: Family) -> int:
    """Return the highest version that any network of the family has, 0 if none has one."""
    return max((versions(output / family.name / network.role) or [0])[-1] for network in family.networks)


def choose_version(output: Path, family: Family, version: int | None) -> int:
    """Return `version`, or one more than the newest; raise `RepositoryError` if a network has that version already."""
    if version is None:
        return newest_version(output, family) + 1
    for network in family.networks:
        if version in versions(output / family.name / network.role):
            raise RepositoryError(f"version {version} of {family.name} exists: {output / family.name / network.role}")
    return version


def require_space(output: Path, needed_bytes: int) -> None:
    """Raise `WriteError` unless the repository's file system has `needed_bytes` free."""
    free = shutil.disk_usage(output).free
    if free < needed_bytes:
        raise WriteError(f"{output} has {free / 1e6:,.0f} MB free, the export needs {needed_bytes / 1e6:,.0f} MB")


def publish(output: Path, family: Family, version: int, staged: Mapping[str, Path], base_path: str) -> None:
    """Move the staged networks into place as one version and enter them into models.config.

    A signal waits until this is done. If a step fails, the steps before it are undone.

    Args:
        output: the model repository.
        family: the family of the networks.
        version: a version that no network of it has.
        staged: by network, the folder that holds its SavedModel, on the repository's file system.
        base_path: the repository's folder as the server sees it.

    Raises:
        WriteError: a step failed.
    """
    targets = {role: output / family.name / role / str(version) for role in staged}
    for folder in staged.values():
        _flush(folder)
    moved: list[str] = []
    with deferred():
        try:
            for role, target in targets.items():
                target.parent.mkdir(parents=True, exist_ok=True)
                staged[role].rename(target)
                moved.append(role)
            register(output, family, base_path)
        except BaseException as error:
            for role in moved:
                targets[role].rename(staged[role])
            _remove_empty(folder for target in targets.values() for folder in target.parents[:2])
            if isinstance(error, OSError):
                raise WriteError(f"version {version} of {family.name} could not be put in place: {error}") from error
            raise


def register(output: Path, family: Family, base_path: str) -> None:
    """Enter the family's models into models.config, under the repository's folder as the server sees it."""
    prefix = f"{base_path.rstrip('/')}/{family.name}"
    base_paths = {model_name(family.name, network.role): f"{prefix}/{network.role}" for network in family.networks}
    models_config.register(output / models_config.CONFIG_FILE, base_paths)


def _remove_empty(folders: Iterable[Path]) -> None:
    for folder in folders:
        with suppress(OSError):  # not empty, or not there
            folder.rmdir()


def _flush(folder: Path) -> None:
    """Make the files' contents reach the disk before their names do, lest a power cut leaves a version half-written."""
    for file in folder.rglob("*"):
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
