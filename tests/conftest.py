"""What must come before any other import of a test, and the bundled family, exported once for all of them."""

import inspect
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# First, because the model server's own import of TensorFlow leaves Keras out for the whole process.
import tensorflow  # noqa: F401

PATIENCE_SECONDS = 120
# By itself, httpx gives an answer up after five seconds, in which a busy machine may not even have begun with it.
for _name in ("connect", "read", "write", "pool"):
    setattr(inspect.signature(httpx.get).parameters["timeout"].default, _name, PATIENCE_SECONDS)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The emoji family, exported from the bundled weights by the command that users run.

    Of tests that run side by side the first exports it, and the export's own lock lets the others wait.
    """
    run = tmp_path_factory.getbasetemp()
    folder = (run.parent if "PYTEST_XDIST_WORKER" in os.environ else run) / "serving_models"
    subprocess.run([sys.executable, "-m", "export", "emoji", "--if-missing", "--output", str(folder)], check=True)
    return folder
