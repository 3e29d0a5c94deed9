"""Lets the check of the full-size networks run on another family, to try the check itself."""

from __future__ import annotations

import os

import pytest

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--family` and `--picture-size`."""
    parser.addoption("--family", default="sd-v1", help="family to check (default: sd-v1)")
    parser.addoption("--picture-size", default="256x256", help="picture size to check (default: 256x256)")
