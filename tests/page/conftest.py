"""The page in a real browser, before a real local Easel with the bundled family."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from local.stack import Stack, running_stack
from tests.page.face import Face

MONITORING = Path("serving_models/monitoring.config").resolve()
CHROMIUM = "/usr/bin/chromium"
AXE_CORE = "axe-core@4.14.1"


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The emoji family, exported from the bundled weights by the command that users run."""
    folder = tmp_path_factory.mktemp("serving_models")
    subprocess.run([sys.executable, "-m", "export", "emoji", "--output", str(folder)], check=True)
    return folder


@pytest.fixture(scope="session")
def stack(models: Path) -> Iterator[Stack]:
    # Without it the model server counts no calls.
    with running_stack(models, model_server_flags=[f"--monitoring_config_file={MONITORING}"]) as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@pytest.fixture
def face(stack: Stack, browser: Browser) -> Iterator[Face]:
    """The page in a browser profile of its own; at the end, nothing but GETs to Easel must have happened in it."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=stack.url)
    page = context.new_page()
    face = Face(page, stack.url)
    page.on("request", lambda request: face.requests.append(request))
    page.on("console", lambda message: _note(face, message))
    page.on("pageerror", lambda error: face.complaints.append(str(error)))
    yield face
    context.close()
    assert not face.complaints
    assert not [request for request in face.requests if not _is_allowed(request, stack.url)]


@pytest.fixture(scope="session")
def axe(pytestconfig: pytest.Config) -> str:
    """The script of axe-core, which npm brings once."""
    folder = pytestconfig.cache.mkdir("axe-core")
    package = folder / f"{AXE_CORE.replace('@', '-')}.tgz"
    if not package.exists():
        subprocess.run(["npm", "pack", "--silent", AXE_CORE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    with tarfile.open(package) as archive:
        script = archive.extractfile("package/axe.min.js")
        assert script is not None
        return script.read().decode()


def _note(face: Face, message: ConsoleMessage) -> None:
    if message.type in ("error", "warning"):
        face.complaints.append(message.text)


def _is_allowed(request: Request, url: str) -> bool:
    return request.method == "GET" and request.url.startswith((f"{url}/", "data:", f"blob:{url}/"))


@pytest.fixture
def page(face: Face) -> Page:
    """The opened page."""
    face.open()
    return face.page
