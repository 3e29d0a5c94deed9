"""Keeps `models.config`, the list of models that a server is started with, in step with what is exported."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from export.errors import RepositoryError

CONFIG_FILE = "models.config"


def read(path: Path) -> Any:
    """Return the `ModelServerConfig` in a file, empty if there is none; raise `RepositoryError` if it is unreadable."""
    config = model_server_config_pb2.ModelServerConfig()
    if not path.exists():
        return config
    try:
        text_format.Parse(path.read_text(encoding="utf-8"), config)
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise RepositoryError(f"{path} cannot be read as a ModelServerConfig ({error}); repair or remove it") from error
    if config.WhichOneof("config") == "custom_model_config":
        raise RepositoryError(f"{path} holds a custom_model_config; only a model_config_list can be added to")
    return config


def register(path: Path, base_paths: Mapping[str, str]) -> bool:
    """Point each model at its base path, keep everything else in the file, and replace the file at one stroke.

    Args:
        path: the models.config file; it need not exist.
        base_paths: by model name, the folder that holds the model's versions, as the server sees it.

    Returns:
        Whether the file had to change.
    """
    config = read(path)
    before = config.SerializeToString(deterministic=True)
    entries = {entry.name: entry for entry in config.model_config_list.config}
    for name, base_path in base_paths.items():
        entry = entries.get(name) or config.model_config_list.config.add(name=name)
        entry.base_path = base_path
        entry.model_platform = "tensorflow"
    if config.SerializeToString(deterministic=True) == before:
        return False
    _replace(path, text_format.MessageToString(config))
    return True


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.new")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
