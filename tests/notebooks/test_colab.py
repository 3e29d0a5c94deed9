"""The notebook runs from its first cell to its last, the cells for hosted notebooks apart."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from local.stack import free_port

ROOT = Path(__file__).parents[2]
HOSTED = "hosted"


def test_the_notebook_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pictures are shown, and nothing is left running."""
    monkeypatch.setenv("FAMILY", "emoji")
    monkeypatch.setenv("PORT", str(free_port()))
    notebook = nbformat.read(ROOT / "notebooks" / "colab.ipynb", as_version=4)
    notebook.cells = [cell for cell in notebook.cells if HOSTED not in cell.metadata.get("tags", [])]
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(ROOT / "notebooks")}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2
    assert any("is ready at" in output.get("text", "") for output in outputs)
