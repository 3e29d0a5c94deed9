"""Versions come, go and break while requests are under way, in a real server process."""

import asyncio
import re
import resource
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from model_server.servable import Servable, SessionOptions
from model_server.serving_metrics import ServingMetrics
from tests.model_server import saved_models
from tests.model_server.saved_models import copy_version, warmup_record, write_warmup
from tests.model_server.server_process import Answer, ServerProcess

FLAGS = (
    "--max_num_load_retries=2",
    "--load_retry_interval_micros=700000",
    "--model_config_file_poll_wait_seconds=1",
    "--rest_api_timeout_in_ms=600000",  # a slow version takes as long as the machine is slow
)
LOAD_SECONDS = 0.1  # of a version, on a machine that has nothing else to do
CONFIG = 'model_config_list {{ config {{ name: "m" base_path: "m" model_platform: "tensorflow" {policy} }} {more} }}'
BATCHING = "max_batch_size { value: 8 } batch_timeout_micros { value: 1000 } allowed_batch_sizes: [2, 8]"
ALL = "model_version_policy { all { } }"


class Living:
    """A server over one model `m`, whose versions the tests change. Version n answers n·x + n."""

    def __init__(self, root: Path, versions: Path, process: ServerProcess) -> None:
        self.root, self.versions, self.process = root, versions, process

    def add(self, number: int) -> None:
        copy_version(self.versions / str(number), self.root / "m" / str(number))

    def configure(self, policy: str = "", more: str = "") -> None:
        write_config(self.root, policy, more)

    def states(self) -> dict[int, str]:
        entries = self.process.get("/v1/models/m").json["model_version_status"]
        return {int(entry["version"]): entry["state"] for entry in entries}

    def reason(self, number: int) -> dict[str, str]:
        [entry] = self.process.get(f"/v1/models/m/versions/{number}").json["model_version_status"]
        return dict(entry["status"])

    def ask(self, where: str = "") -> Answer:
        return self.process.request("POST", f"/v1/models/m{where}:predict", b'{"inputs": [1.0]}')

    def wait_for(self, wanted: dict[int, str], seconds: float = 200) -> float:
        """Wait until the states are these; the seconds it took."""
        started = time.monotonic()
        while (states := self.states()) != wanted:
            assert time.monotonic() - started < seconds, f"{states}, not {wanted}\n{self.process.log}"
            time.sleep(0.02)
        return time.monotonic() - started


def write_config(root: Path, policy: str = "", more: str = "") -> None:
    beside = root / "models.config.tmp"
    beside.write_text(CONFIG.format(policy=policy, more=more))
    beside.rename(root / "models.config")


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders 1 to 4: good versions; `broken`: one whose warm-up fails; `slow`: one that takes long to warm up."""
    root = tmp_path_factory.mktemp("versions")
    for number in (1, 2, 3, 4):
        saved_models.unhurried(float(number), float(number)).save(root / str(number))
    saved_models.linear(0.0, 0.0).save(root / "broken")
    write_warmup(root / "broken", warmup_record(nosuch=[1.0]))
    saved_models.slow().save(root / "slow")
    write_warmup(root / "slow", warmup_record(x=[400_000]))
    return root


@pytest.fixture(scope="module")
def many_connections() -> None:
    """Some systems allow 1,024 open files a process unless asked for more."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))


@pytest.fixture
def living(request: pytest.FixtureRequest, tmp_path: Path, versions: Path, many_connections: None) -> Iterator[Living]:
    """By default without batching; a test may give batching parameters."""
    write_config(tmp_path)
    copy_version(versions / "1", tmp_path / "m" / "1")
    flags = [*FLAGS, f"--model_config_file={tmp_path}/models.config"]
    if batching := getattr(request, "param", ""):
        (tmp_path / "batching").write_text(batching)
        flags += ["--enable_batching", f"--batching_parameters_file={tmp_path}/batching"]
    with ServerProcess(tmp_path / "log", *flags) as process:
        yield Living(tmp_path, versions, process)


def test_a_new_version_takes_over_within_two_seconds(living: Living) -> None:
    """Of which one is until the server looks again. Where loading takes long by itself, it may take as often longer."""
    started = time.monotonic()
    Servable.load(str(living.versions / "1"), SessionOptions(1, 1), ServingMetrics()).close()
    slowness, took = max(1, (time.monotonic() - started) / LOAD_SECONDS), []
    for number in (2, 3, 4):
        living.add(number)
        took.append(living.wait_for({number: "AVAILABLE"} | dict.fromkeys(range(1, number), "END")))
        assert living.ask().json == {"outputs": [2.0 * number]}
    assert min(took) < 1 + slowness, "of three times, so that a busy machine is not mistaken for a slow server"
    assert living.ask("/versions/1").error == "Servable not found for request: Specific(m, 1)"


def test_available_only_after_warm_up(living: Living) -> None:
    """A version that is still warming up is LOADING, and the older one answers."""
    copy_version(living.versions / "slow", living.root / "m" / "5")
    living.wait_for({5: "LOADING", 1: "AVAILABLE"})
    assert living.ask().json == {"outputs": [2.0]}
    assert living.ask("/versions/5").status == 404
    living.wait_for({5: "AVAILABLE", 1: "END"})
    assert living.process.request("POST", "/v1/models/m:predict", b'{"inputs": [1]}').json == {"outputs": [1]}


def test_an_old_version_goes_after_its_last_request(living: Living) -> None:
    """A request that is under way when its version is replaced runs to its end on that version."""
    copy_version(living.versions / "slow", living.root / "m" / "5")
    living.wait_for({5: "AVAILABLE", 1: "END"})
    with living.process.begun("m", {"inputs": [2_000_000]}) as answer:
        copy_version(living.versions / "2", living.root / "m" / "6")
        living.wait_for({6: "AVAILABLE", 5: "UNLOADING", 1: "END"})
        assert living.ask().json == {"outputs": [4.0]}
        assert answer().json == {"outputs": [2_000_000]}
    living.wait_for({6: "AVAILABLE", 5: "END", 1: "END"})


def test_a_broken_version_is_tried_again_and_given_up(living: Living) -> None:
    """LOADING while it is tried, then END with the reason, and the older version serves on."""
    copy_version(living.versions / "broken", living.root / "m" / "2")
    living.wait_for({2: "LOADING", 1: "AVAILABLE"})
    assert living.ask().status == 200
    living.wait_for({2: "END", 1: "AVAILABLE"})
    assert living.process.log.count("Retrying to load {name: m version: 2}") == 2
    reason = living.reason(2)
    assert reason["error_code"] == "INVALID_ARGUMENT"
    assert "nosuch" in reason["error_message"]
    assert living.ask().json == {"outputs": [2.0]}
    shutil.rmtree(living.root / "m")
    (living.root / "m").mkdir()
    wait_until(lambda: "No versions of servable m found" in living.process.log)
    living.add(2)
    living.wait_for({2: "AVAILABLE", 1: "END"})


def test_an_emptied_folder_unloads_the_model(living: Living) -> None:
    shutil.rmtree(living.root / "m" / "1")
    living.wait_for({1: "END"})
    assert living.ask().error == "Servable not found for request: Latest(m)"
    living.add(1)
    living.wait_for({1: "AVAILABLE"})
    assert living.ask().status == 200


def test_a_folder_that_is_gone_unloads_nothing(living: Living) -> None:
    """What cannot be read may only be away for a moment."""
    (living.root / "m").rename(living.root / "away")
    wait_until(lambda: "Could not find base path" in living.process.log)
    assert living.states() == {1: "AVAILABLE"}
    assert living.ask().status == 200


def test_policies_may_change(living: Living) -> None:
    """The config file is read again, and its policy, labels and models take effect."""
    living.configure(ALL)
    living.add(2)
    living.wait_for({2: "AVAILABLE", 1: "AVAILABLE"})
    living.configure(f'{ALL} version_labels {{ key: "old" value: 1 }}')
    wait_until(lambda: living.ask("/labels/old").status == 200)
    assert living.ask("/labels/old").json == {"outputs": [2.0]}
    other = 'config { name: "other" base_path: "m" model_platform: "tensorflow" }'
    living.configure("model_version_policy { specific { versions: 1 } }", other)
    living.wait_for({2: "END", 1: "AVAILABLE"})
    wait_until(lambda: living.process.predict("other", {"inputs": [1.0]}).status == 200)


@pytest.mark.parametrize("text", ["nonsense", ""])
def test_a_bad_config_file_changes_nothing(living: Living, text: str) -> None:
    """Nor does one that is empty, as while somebody writes it; the log says so once."""
    (living.root / "models.config").write_text(text)
    wait_until(lambda: "is not used" in living.process.log)
    assert living.ask().status == 200
    living.configure(ALL)
    living.add(2)
    living.wait_for({2: "AVAILABLE", 1: "AVAILABLE"})
    assert living.process.log.count("is not used") == 1


def wait_until(condition: Callable[[], bool], seconds: float = 200) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Users:
    """A thousand users, each with a connection of its own on which a request is always under way."""

    REQUEST = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: m\r\nContent-Length: 17\r\n\r\n" + b'{"inputs": [1.0]}'

    def __init__(self, port: int) -> None:
        self.port = port
        self.answers: Counter[bytes] = Counter()
        self.news: asyncio.Queue[bytes] = asyncio.Queue()
        self.in_flight = 0
        self.leave = asyncio.Event()

    async def ask(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        while not self.leave.is_set():
            self.in_flight += 1
            writer.write(self.REQUEST)
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head.lower())
            body = await reader.readexactly(int(length[1])) if length else b"no length"
            self.in_flight -= 1
            answer = body if head.startswith(b"HTTP/1.1 200 ") else head + body
            self.answers[answer] += 1
            self.news.put_nowait(answer)
        writer.close()


@pytest.mark.parametrize(
    "living", [pytest.param("", marks=pytest.mark.slow), BATCHING], ids=["alone", "batched"], indirect=True
)
async def test_a_thousand_requests_in_flight_while_versions_change(living: Living) -> None:
    """Versions come, one breaks, old ones go, with a thousand requests under way all the time: none fails."""
    users = Users(living.process.port)
    asking = [asyncio.create_task(users.ask()) for _ in range(1000)]

    async def see(answer: bytes, states: dict[int, str]) -> None:
        seen = 0
        while seen < 1000:
            seen += await users.news.get() == answer
        await asyncio.to_thread(living.wait_for, states)
        assert users.in_flight == 1000

    await see(b'{"outputs":[2.0]}', {1: "AVAILABLE"})
    living.add(2)
    await see(b'{"outputs":[4.0]}', {2: "AVAILABLE", 1: "END"})
    copy_version(living.versions / "broken", living.root / "m" / "3")
    await see(b'{"outputs":[4.0]}', {3: "END", 2: "AVAILABLE", 1: "END"})
    living.add(4)
    await see(b'{"outputs":[8.0]}', {4: "AVAILABLE", 3: "END", 2: "END", 1: "END"})
    users.leave.set()
    await asyncio.gather(*asking)
    assert users.answers.keys() == {b'{"outputs":[2.0]}', b'{"outputs":[4.0]}', b'{"outputs":[8.0]}'}
    print(f"{users.answers.total()} requests, none failed")
