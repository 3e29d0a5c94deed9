"""models.config, as the protobufs of TensorFlow Serving read it."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from export.errors import RepositoryError
from export.models_config import read, register
from tests.export.conftest import SmallExport

HAND_WRITTEN = """
# two versions at once
model_config_list {
  config {
    name: "other" base_path: "/models/other" model_platform: "tensorflow"
    model_version_policy { specific { versions: 1 versions: 3 } }
    version_labels { key: "stable" value: 1 }
  }
  config { name: "b" base_path: "/old/b" model_version_policy { all {} } }
}
"""


def entries(path: Path) -> dict[str, str]:
    """Return base paths by model name."""
    config = text_format.Parse(path.read_text(), model_server_config_pb2.ModelServerConfig())
    return {entry.name: entry.base_path for entry in config.model_config_list.config}


def test_the_export_lists_its_models(small_export: SmallExport) -> None:
    """Each network of a family is a model of the server's, below the prefix it was exported with."""
    assert entries(small_export.output / "models.config") == {
        "small_text_encoder": "/models/small/text_encoder",
        "small_diffusion_model": "/models/small/diffusion_model",
        "small_decoder": "/models/small/decoder",
    }


def test_what_others_wrote_stays(tmp_path: Path) -> None:
    """Other models, version policies and labels are kept; base paths are put right; new models are added."""
    path = tmp_path / "models.config"
    path.write_text(HAND_WRITTEN)
    assert register(path, {"b": "/models/b", "c": "/models/c"})
    assert entries(path) == {"other": "/models/other", "b": "/models/b", "c": "/models/c"}
    other, b, c = read(path).model_config_list.config
    assert list(other.model_version_policy.specific.versions) == [1, 3]
    assert dict(other.version_labels) == {"stable": 1}
    assert b.model_version_policy.HasField("all")
    assert c.model_platform == "tensorflow"


def test_an_unchanged_list_is_not_written(tmp_path: Path) -> None:
    """A server that polls the file sees no change where there is none."""
    path = tmp_path / "models.config"
    assert register(path, {"a": "/a"})
    before = path.stat()
    assert not register(path, {"a": "/a"})
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert [entry.name for entry in tmp_path.iterdir()] == ["models.config"]


@pytest.mark.parametrize("text", ["model_config_list {", "models: 3", "custom_model_config {}"])
def test_a_file_that_cannot_be_read_is_left_alone(tmp_path: Path, text: str) -> None:
    """A damaged file is an error that names it, and is not overwritten."""
    path = tmp_path / "models.config"
    path.write_text(text)
    with pytest.raises(RepositoryError, match=r"models\.config"):
        register(path, {"a": "/a"})
    assert path.read_text() == text
