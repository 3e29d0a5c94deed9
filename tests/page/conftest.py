"""The page in a real browser, before a real local Easel, or a real proxy whose model server waits for the test."""

from __future__ import annotations

import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

from local.stack import Stack, running_stack
from tests.page.face import Face
from tests.page.paced import PATIENCE_SECONDS, Paced, PacedModelServer
from tests.proxy.fake_model_server import running
from tests.proxy.proxy_process import running_proxy

CHROMIUM = "/usr/bin/chromium"
AXE_CORE = "axe-core@4.14.1"
COMES_BACK_MILLISECONDS = 1500  # the page does so after a second

expect.set_options(timeout=PATIENCE_SECONDS * 1000)


@pytest.fixture(scope="session")
def stack(models: Path) -> Iterator[Stack]:
    """A real Easel with the bundled family."""
    with running_stack(models) as running:
        yield running


@pytest.fixture(scope="session")
def _paced() -> Iterator[Paced]:
    model_server = PacedModelServer()
    with (
        running(model_server) as server,
        running_proxy(server.url, concurrent_requests=1, steps_per_call=5) as (url, _, _),
    ):
        yield Paced(url, model_server)


@pytest.fixture
def paced(_paced: Paced) -> Iterator[Paced]:
    """A proxy whose model server has drawn nothing, and draws when the test lets it."""
    _paced.model_server.shut()
    yield _paced
    _paced.denoise_calls()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


Visit = Callable[..., AbstractContextManager[Face]]


@pytest.fixture
def visit(browser: Browser) -> Visit:
    """Visits an address in a browser profile of its own; nothing but GETs below it, or below `more`, may happen."""

    @contextmanager
    def run(url: str, *more: str) -> Iterator[Face]:
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        host = urlsplit(url)
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=f"{host.scheme}://{host.netloc}")
        page = context.new_page()
        face = Face(page, url)
        page.on("request", lambda request: face.requests.append(request))
        page.on("console", lambda message: _note(face, message))
        page.on("pageerror", lambda error: face.complaints.append(str(error)))
        try:
            yield face
        finally:
            context.close()
        assert not face.complaints
        assert not [request for request in face.requests if not _is_allowed(request, url, *more)]

    return run


@pytest.fixture
def face(stack: Stack, visit: Visit) -> Iterator[Face]:
    """The page of the stack."""
    with visit(stack.url) as face:
        yield face


@pytest.fixture(scope="session")
def axe(pytestconfig: pytest.Config) -> str:
    """The script of axe-core, which npm brings once."""
    folder = pytestconfig.cache.mkdir("axe-core")
    package = folder / f"{AXE_CORE.replace('@', '-')}.tgz"
    if not package.exists():
        with tempfile.TemporaryDirectory(dir=folder) as own:  # another process may look for it at the same time
            subprocess.run(["npm", "pack", "--silent", AXE_CORE], cwd=own, check=True, stdout=subprocess.DEVNULL)
            (Path(own) / package.name).replace(package)
    with tarfile.open(package) as archive:
        script = archive.extractfile("package/axe.min.js")
        assert script is not None
        return script.read().decode()


def _note(face: Face, message: ConsoleMessage) -> None:
    if message.type in ("error", "warning"):
        face.complaints.append(message.text)


def _is_allowed(request: Request, *urls: str) -> bool:
    return request.method == "GET" and request.url.startswith((*(f"{url}/" for url in urls), "data:", "blob:"))


@pytest.fixture
def held(paced: Paced, visit: Visit) -> Iterator[Face]:
    """The opened page of a proxy whose model server waits for the test."""
    with visit(paced.url) as face:
        face.open()
        yield face


@pytest.fixture
def page(face: Face) -> Page:
    """The opened page."""
    face.open()
    return face.page
