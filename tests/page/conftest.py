"""The page in a real browser, before a real local Easel with the bundled family and a small one."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from local.stack import Stack, free_port, proxy_process, running_stack, wait_until_ready
from tests.page.face import Face

MONITORING = Path("serving_models/monitoring.config").resolve()
CHROMIUM = "/usr/bin/chromium"
AXE_CORE = "axe-core@4.14.1"


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The emoji family, and a small one of two sizes that makes noise, exported by the command that users run."""
    folder = tmp_path_factory.mktemp("serving_models")
    place = ("--output", str(folder), "--base-path", str(folder))
    subprocess.run([sys.executable, "-m", "export", "emoji", *place], check=True)
    small = ("small", "--size", "64x64", "96x32", *place)
    subprocess.run([sys.executable, "-m", "tests.export.run_small", "0", *small], check=True)
    return folder


@pytest.fixture(scope="session")
def stack(models: Path) -> Iterator[Stack]:
    """The proxy offers emoji alone; the model server has both families."""
    # Without monitoring, the model server counts no calls.
    flags = (f"--model_config_file={models / 'models.config'}", f"--monitoring_config_file={MONITORING}")
    with running_stack(models, model_server_flags=flags) as running:
        yield running


Proxy = Callable[..., AbstractContextManager[str]]


@pytest.fixture
def proxy(stack: Stack) -> Proxy:
    """Runs another proxy over the same model server, with other variables of the environment; gives its address."""

    @contextmanager
    def run(**environment: str) -> Iterator[str]:
        port = free_port()
        with proxy_process([stack.model_server_url], "emoji", port, environment) as process:
            another = Stack(f"http://127.0.0.1:{port}", stack.model_server_url, process, stack.model_server)
            wait_until_ready(another)
            yield another.url

    return run


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
        yield face
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
        subprocess.run(["npm", "pack", "--silent", AXE_CORE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
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
def page(face: Face) -> Page:
    """The opened page."""
    face.open()
    return face.page
