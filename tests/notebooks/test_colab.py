"""The notebook runs from its first cell to its last, the cells for hosted notebooks apart."""

import os
import socket
import urllib.request
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from local.stack import free_port
from proxy import keys
from proxy.keys import Key
from tests.proxy.fake_model_server import FakeModelServer, running
from tests.proxy.proxy_process import running_proxy

ROOT = Path(__file__).parents[2]
HOSTED = "hosted"
MOST_SECONDS = 1500  # of a cell, which exports and starts all that there is


@pytest.mark.timeout(2 * MOST_SECONDS)
def test_the_notebook_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pictures are shown, and nothing is left running."""
    port = free_port()
    monkeypatch.setenv("FAMILY", "emoji")
    monkeypatch.setenv("PORT", str(port))
    notebook = nbformat.read(ROOT / "notebooks" / "colab.ipynb", as_version=4)
    notebook.cells = [cell for cell in notebook.cells if HOSTED not in cell.metadata.get("tags", [])]
    client = NotebookClient(
        notebook,
        timeout=MOST_SECONDS,
        # The last cell, which stops what was started, is reached whatever becomes of the others.
        allow_errors=True,
        interrupt_on_timeout=True,
        resources={"metadata": {"path": str(ROOT / "notebooks")}},
    )
    client.execute()
    with socket.socket() as left, pytest.raises(ConnectionRefusedError):
        left.connect(("127.0.0.1", port))
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output.evalue for output in outputs if output.output_type == "error"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2
    assert any("is ready at" in output.get("text", "") for output in outputs)


def test_a_cell_draws_with_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The environment has it, as for the command line."""
    file = tmp_path / "keys.toml"
    monkeypatch.setenv("EASEL_API_KEY", keys.add(file, Key("alice", "")))
    notebook = nbformat.read(ROOT / "notebooks" / "colab.ipynb", as_version=4)
    [cell] = [cell.source for cell in notebook.cells if "def draw(" in cell.source]
    with running(FakeModelServer()) as server, running_proxy(server.url, api_keys_file=file) as (url, _, _log):
        exec(cell, {"URL": url, "os": os, "urllib": urllib})  # noqa: S102 - the repository's own
    assert "seed 7" in capsys.readouterr().out
