"""What the tests share: an engine, a base image, the project's images, and models that a container exported."""

import fcntl
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.docker import images
from tests.docker.command import docker
from tests.docker.compose import EMBEDDED, GPU, Compose, fetch_version_2
from tests.docker.engine import require_programs, running_engine
from tests.docker.figures import FIGURES, timed

KEEP_IMAGES = "EASEL_KEEP_IMAGES" in os.environ


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures."""
    terminalreporter.section("figures")
    for name, figure in FIGURES.items():
        terminalreporter.write_line(f"{name}: {figure}")


@pytest.fixture(scope="session", autouse=True)
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    require_programs()
    with (Path(tempfile.gettempdir()) / "easel-test-docker.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one run at a time: all use the same base image, and remove what they made
        with running_engine(tmp_path_factory.mktemp("engine")):
            yield


@pytest.fixture(scope="session")
def base(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base image's name; the image is there already, or is made and removed again."""
    tag = images.base_image("proxy")
    made = not images.exists(tag)
    if made:
        images.make_base(tag, tmp_path_factory.mktemp("base"))
    yield tag
    if made and not KEEP_IMAGES:
        docker("rmi", tag)


@pytest.fixture(scope="session")
def compose_v2(base: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The program of Compose v2."""
    with timed("fetching Compose v2"):
        return fetch_version_2(base, tmp_path_factory.mktemp("compose"))


@pytest.fixture(scope="session")
def project() -> str:
    """The compose project's name, another one in each run."""
    return f"easel{secrets.token_hex(4)}"


@pytest.fixture(scope="session")
def built(base: str, project: str) -> Iterator[Mapping[str, str]]:
    """The project's images by room, built as `docker-compose build` does."""
    files = {"proxy": EMBEDDED, "model_server": EMBEDDED, "export": GPU}
    for room, file in files.items():
        with timed(f"build of {room}"):
            Compose(file, project)("build", room)
    names = {room: Compose(file, project).image(room) for room, file in files.items()}
    for room, name in names.items():
        FIGURES[f"image of {room}"] = f"{images.bytes_of(name) / 1e6:.0f} MB"
    yield names
    if not KEEP_IMAGES:
        docker("rmi", *names.values())


@pytest.fixture(scope="session")
def models(built: Mapping[str, str], project: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model repository: the configs that git has, and the emoji family, exported by a container for its owner."""
    folder = tmp_path_factory.mktemp("serving_models")
    folder.chmod(0o755)  # pytest's folders are private, and the containers' user is another
    for name in ("batching.config", "monitoring.config"):
        shutil.copy(images.ROOT / "serving_models" / name, folder)
    export = Compose(GPU, project, {"EASEL_MODELS": str(folder)})
    with timed("export in a container"):
        export("run", "--rm", "--user", f"{os.getuid()}:{os.getgid()}", "export", "emoji")
    export("--profile=export", "down", "--volumes")
    return folder


@pytest.fixture(scope="session")
def prometheus_image(base: str, project: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The image that the compose files name for Prometheus."""
    tag = Compose(GPU, project).config()["prometheus"]["image"]
    made = not images.exists(tag)
    if made:
        images.make_prometheus(tag, base, tmp_path_factory.mktemp("prometheus"))
    yield tag
    if made and not KEEP_IMAGES:
        docker("rmi", tag)


@pytest.fixture(scope="module")
def variables(models: Path) -> Mapping[str, str]:
    """The compose files' variables: these models, and ports that nothing listens on."""
    ports = ("EASEL_PORT", "EASEL_MODEL_SERVER_PORT", "EASEL_PROMETHEUS_PORT")
    return {"EASEL_MODELS": str(models), **{name: str(_unused_port()) for name in ports}}


def _unused_port() -> int:
    """Not held, as local.stack's: an engine may want it for itself alone, and nothing else is tested beside it."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        return int(bound.getsockname()[1])
