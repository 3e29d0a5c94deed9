"""The whole chain on real processes: the bundled family exported, served and drawn from."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from local.stack import Stack, running_stack


@pytest.fixture(scope="session")
def stack(models: Path) -> Iterator[Stack]:
    with running_stack(models) as running:
        yield running


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.url, timeout=500, trust_env=False) as session:
        yield session
