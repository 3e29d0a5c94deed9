"""The embedded model server under requests that mean no good."""

import json
import random
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from tests.fuzz.aims import find_aims
from tests.fuzz.attack import ANSWER_SECONDS, attack
from tests.fuzz.json_noise import cut
from tests.fuzz.raw_requests import Aim
from tests.fuzz.share import FIGURES, LONG, SEED, share
from tests.model_server.saved_models import write_all
from tests.model_server.server_process import ServerProcess

RUN_SECONDS = 2
PATIENCE_SECONDS = 60
STALLED = 300
# With several arenas the allocator has enough only after some 20,000 requests.
ONE_ARENA = {"MALLOC_ARENA_MAX": "1"}
GROWTH_BYTES = 20_000_000
# So many, until the emoji family has seen about every number of rows: oneDNN keeps what it made for each.
WARM_UP = share(400, 7500)
NAMES = ["small", "emoji"][: 1 + LONG]
CONFIG = 'config {{ name: "{}" base_path: "{}" model_platform: "tensorflow" }}'


class Served(NamedTuple):
    """A server, how many requests it takes in good time, and good ones for it."""

    server: ServerProcess
    count: int
    aims: list[Aim]


def emoji(folder: Path) -> list[str]:
    """Export the emoji family; its models."""
    subprocess.run([sys.executable, "-m", "export", "emoji", "--output", str(folder)], check=True)
    networks = [path.name for path in (folder / "emoji").iterdir()]
    entries = "\n".join(CONFIG.format(f"emoji_{name}", folder / "emoji" / name) for name in networks)
    (folder / "models.config").write_text(f"model_config_list {{ {entries} }}")
    return [f"emoji_{name}" for name in networks]


def small(folder: Path) -> list[str]:
    """Write the small models; those of them that answer at once."""
    names = re.findall(r'name: "(\w+)"', write_all(folder).read_text())
    return [name for name in names if name != "slow"]


@pytest.fixture(scope="module", params=[(small, 12_000), (emoji, 2000)] if LONG else [(small, 800)], ids=NAMES)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server over the tests' small models; in the long run also one over the emoji family."""
    folder = tmp_path_factory.mktemp("models")
    write, count = request.param
    models = write(folder)
    flags = ("--allow_version_labels_for_unavailable_models", f"--model_config_file={folder}/models.config")
    with ServerProcess(
        folder / "log", *flags, f"--rest_api_timeout_in_ms={RUN_SECONDS * 1000}", environment=ONE_ARENA
    ) as server:
        yield Served(server, count, find_aims(server, models))


def wait_until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + ANSWER_SECONDS
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def answers_of(served: Served) -> list[Any]:
    """The answers to the good requests."""
    return [served.server.request("POST", aim.path, json.dumps(aim.document)).json for aim in served.aims]


def test_bad_requests_break_nothing(served: Served) -> None:
    """Every connection is answered or closed; afterwards good requests have their answers, and nothing has grown."""
    process = psutil.Process(served.server.process.pid)
    good = answers_of(served)
    attack("model server", served.server.port, served.aims, WARM_UP)
    before, files = process.memory_info().rss, process.num_fds()
    start = time.monotonic()
    attack("model server", served.server.port, served.aims, served.count, SEED + 1)
    seconds, growth = time.monotonic() - start, process.memory_info().rss - before
    FIGURES.append(
        f"model server: {served.count:,} requests in {seconds:.0f} s; memory {before >> 20} MB, {growth >> 10:+} kB"
    )
    assert growth < GROWTH_BYTES
    wait_until(lambda: process.num_fds() <= files)
    assert answers_of(served) == good
    assert "Traceback" not in served.server.log


@pytest.mark.skipif(not LONG, reason="a minute and more; tests/model_server/test_patience.py has less patience")
def test_half_requests_that_stall_are_cut(served: Served) -> None:
    """Each in time, and nobody else waits for them."""
    chance = random.Random(SEED)
    whole = b"POST /v1/models/linear:predict HTTP/1.1\r\nHost: e\r\nContent-Length: 1000000\r\n\r\n" + b" " * 900_000
    stalled = [socket.create_connection(("127.0.0.1", served.server.port)) for _ in range(STALLED)]
    start = time.monotonic()
    for connection in stalled:
        connection.sendall(cut(chance, whole) if chance.random() < 0.5 else whole[: chance.randrange(80)])
    answers_of(served)
    for connection in stalled:
        with closing(connection), suppress(ConnectionError):
            connection.settimeout(PATIENCE_SECONDS * 1.2)
            assert connection.recv(1000) == b""
    seconds = time.monotonic() - start
    FIGURES.append(f"model server: {STALLED} half requests that stalled were all closed after {seconds:.0f} s")
    assert seconds < PATIENCE_SECONDS * 1.2
