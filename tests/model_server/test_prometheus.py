"""Prometheus itself reads the metrics page: Debian's `prometheus` scrapes a server process and answers queries."""

import math
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

import httpx
import pytest

from local.stack import free_port
from tests.model_server.exposition import CONFIG, PATH, Page
from tests.model_server.server_process import ServerProcess

SCRAPING = """
global: {{ scrape_interval: 1s, scrape_timeout: 1s }}
scrape_configs:
  - job_name: watched
    metrics_path: {path}
    {further}
    static_configs: [{{ targets: ["127.0.0.1:{port}"] }}]
"""
COUNT = ":tensorflow:serving:request_count"
LATENCIES = [
    (":tensorflow:serving:request_latency", 'model_name="linear",API="predict",entrypoint="REST"'),
    (":tensorflow:serving:runtime_latency", 'model_name="linear",API="Predict",runtime="TF1"'),
]


def program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.fail(f"{name} is not installed: install Debian's package `prometheus`")
    return path


class Prometheus:
    """A Prometheus that scrapes one server, with its data in a folder of the test; as a context, ready for queries.

    further: one more line of what the configuration says of the server.
    """

    def __init__(self, folder: Path, target: int, path: str = PATH, further: str = "") -> None:
        address = f"127.0.0.1:{free_port()}"
        self._client = httpx.Client(base_url=f"http://{address}", timeout=30)
        self._log = folder / "log"
        (folder / "prometheus.yml").write_text(SCRAPING.format(path=path, port=target, further=further))
        command = [program("prometheus"), f"--config.file={folder}/prometheus.yml", f"--web.listen-address={address}"]
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [*command, f"--storage.tsdb.path={folder}/data"], cwd=folder, stdout=output, stderr=subprocess.STDOUT
            )

    def __enter__(self) -> Self:
        self.wait_for(self._is_ready)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._process.terminate()
        try:
            self._process.wait(30)
        finally:
            self._process.kill()

    def _is_ready(self) -> bool:
        try:
            return self._client.get("/-/ready").is_success
        except httpx.ConnectError:
            return False

    def ask(self, path: str, **parameters: str) -> Any:
        """The data that an API call answers with."""
        return self._client.get(f"/api/v1/{path}", params=parameters).raise_for_status().json()["data"]

    def is_target_up(self) -> bool:
        """Whether the last scrape was well: one that took more than a second, on a busy machine, was not."""
        [target] = self.ask("targets")["activeTargets"]
        return (target["health"], target["lastError"]) == ("up", "")

    def query(self, expression: str) -> dict[str, float]:
        """An instant query: values by status, or under "" where there is no such label."""
        result = self.ask("query", query=expression)["result"]
        return {item["metric"].get("status", ""): float(item["value"][1]) for item in result}

    def wait_for(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.1)


class Watched(NamedTuple):
    """A server, and the Prometheus that watches it."""

    server: ServerProcess
    prometheus: Prometheus

    def send(self, good: int, bad: int = 0) -> None:
        """Send requests that succeed and requests that fail, and wait until Prometheus knows of them all."""
        counts = self.counts()
        for number in range(good + bad):
            answer = self.server.predict("linear", {"inputs": [1.0] if number < good else ["text"]})
            assert answer.status == (200 if number < good else 400)
        for status, more in (("OK", good), ("INVALID_ARGUMENT", bad)):
            if more:
                counts[status] = counts.get(status, 0) + more
        assert self.counts() == counts
        self.prometheus.wait_for(lambda: self.prometheus.query(COUNT) == counts)

    def counts(self) -> dict[str, float]:
        """The page's request counts by status."""
        samples = Page.of(self.server).family(COUNT).items()
        return {labels.removeprefix('{model_name="linear",status="')[:-2]: count for labels, count in samples}


@pytest.fixture(scope="module")
def watched(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "monitoring.config").write_text(CONFIG)
    flags = ["--model_name=linear", f"--model_base_path={models}/linear"]
    flags.append(f"--monitoring_config_file={folder}/monitoring.config")
    with ServerProcess(folder / "server_log", *flags) as server, Prometheus(folder, server.port) as prometheus:
        yield Watched(server, prometheus)


def test_prometheus_reads_counts_and_quantiles(watched: Watched) -> None:
    """The target is up; counts arrive; quantiles and means of both latencies are those of the page."""
    watched.send(good=20, bad=3)
    page = Page.of(watched.server)
    watched.prometheus.wait_for(watched.prometheus.is_target_up)
    for name, labels in LATENCIES:
        for quantile in (0.5, 0.99):
            answer = watched.prometheus.query(f"histogram_quantile({quantile}, {name}_bucket{{{labels}}})")
            assert answer == {"": pytest.approx(histogram_quantile(quantile, page.buckets(name, labels)))}
        mean = page[f"{name}_sum{{{labels}}}"] / page[f"{name}_count{{{labels}}}"]
        assert watched.prometheus.query(f"{name}_sum / {name}_count") == {"": pytest.approx(mean)}


def histogram_quantile(quantile: float, buckets: dict[float, float]) -> float:
    """As Prometheus defines it: linear between the limits of the bucket that holds the quantile."""
    rank = quantile * buckets[math.inf]
    lower, below = 0.0, 0.0
    for limit, count in buckets.items():
        if count >= rank:
            return lower + (limit - lower) * (rank - below) / (count - below)
        lower, below = limit, count
    raise AssertionError("the last bucket holds everything")


def test_prometheus_sees_what_happens_over_time(watched: Watched) -> None:
    """What dashboards ask for: rates of requests, and quantiles of the last minutes."""
    watched.send(good=1)
    watched.send(good=10)
    page = Page.of(watched.server)
    assert watched.prometheus.query(f"rate({COUNT}[5m])")["OK"] > 0
    for name, labels in LATENCIES:
        [quantile] = watched.prometheus.query(
            f"histogram_quantile(0.9, sum by (le) (rate({name}_bucket[5m])))"
        ).values()
        buckets = page.buckets(name, labels)
        assert 0 < quantile <= min(limit for limit, count in buckets.items() if count == buckets[math.inf])


def test_promtool_finds_only_what_a_real_server_breaks_too(watched: Watched) -> None:
    """Every line parses; help texts are missing, and names are as TensorFlow has them."""
    watched.send(good=1)
    page = watched.server.get(PATH).body
    check = subprocess.run([program("promtool"), "check", "metrics"], input=page, capture_output=True, check=False)
    assert check.returncode == 3, "1 is for a page that does not parse, 3 for one against the conventions"
    conventions = re.compile(
        r":tensorflow:[a-z_:]+ (no help text|metric names should not contain ':'|"
        r'counter metrics should have "_total" suffix|metric name should not include type .histogram.|'
        r'non-histogram and non-summary metrics should not have "_count" suffix)'
    )
    assert [line for line in check.stderr.decode().splitlines() if not conventions.fullmatch(line)] == []
