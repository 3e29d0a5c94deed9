"""The metrics page of a server process, and the config file that turns it on."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_server.errors import StartError
from model_server.monitoring_config import read_metrics_path
from tests.model_server.exposition import CONFIG, PATH, Page
from tests.model_server.server_process import ServerProcess

MODELS = """model_config_list {
  config { name: "linear" base_path: "%s/linear" model_platform: "tensorflow" }
  config { name: "slow" base_path: "%s/slow" model_platform: "tensorflow" }
}"""
LINEAR = "/v1/models/linear"
FOREVER = 2**31 - 1


@pytest.fixture(scope="module")
def monitored(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that shows its metrics, over a quick model and one that takes as long as its input says."""
    root = tmp_path_factory.mktemp("monitored")
    (root / "models.config").write_text(MODELS % (models, models))
    (root / "monitoring.config").write_text(CONFIG)
    flags = (f"--model_config_file={root}/models.config", f"--monitoring_config_file={root}/monitoring.config")
    with ServerProcess(root / "log", *flags, "--rest_api_timeout_in_ms=5000") as process:
        yield process


def difference(after: dict[str, float], before: dict[str, float]) -> dict[str, float]:
    return {key: value - before.get(key, 0) for key, value in after.items() if value != before.get(key, 0)}


@pytest.fixture(scope="module")
def counted(monitored: ServerProcess) -> Page:
    """What a series of requests adds to the page: successes, and errors of each kind."""
    before = Page.of(monitored)
    statuses = [
        *(monitored.predict("linear", {"inputs": [1.0]}).status for _ in range(3)),
        monitored.get(LINEAR).status,
        monitored.get(f"{LINEAR}/metadata").status,
        monitored.request("POST", f"{LINEAR}:predict", b"no json").status,
        monitored.predict("linear", {"inputs": ["text"]}).status,
        monitored.request("POST", f"{LINEAR}:PREDICT", b"{}").status,
        monitored.get(f"{LINEAR}/versions/{2**63}").status,
        monitored.get("/v1/nonsense").status,
        monitored.predict("nosuch", {"inputs": [1.0]}).status,
        monitored.predict("a%22b%FF", {"inputs": [1.0]}).status,
        monitored.predict("slow", {"inputs": [FOREVER]}).status,
        monitored.get("/nowhere").status,
    ]
    assert statuses == [200] * 5 + [400] * 5 + [404, 404, 504, 404]
    return Page(difference(Page.of(monitored), before))


def test_every_request_is_counted_by_model_and_status(counted: Page) -> None:
    """A path that names no model has an empty one; what is outside of the API, and the page itself, is not counted."""
    assert counted.family(":tensorflow:serving:request_count") == {
        '{model_name="",status="INVALID_ARGUMENT"}': 1,
        '{model_name="a\\"b\\\\udcff",status="NOT_FOUND"}': 1,
        '{model_name="linear",status="INVALID_ARGUMENT"}': 4,
        '{model_name="linear",status="OK"}': 5,
        '{model_name="nosuch",status="NOT_FOUND"}': 1,
        '{model_name="slow",status="DEADLINE_EXCEEDED"}': 1,
    }


def test_only_successes_are_timed(counted: Page) -> None:
    assert counted.family(":tensorflow:serving:request_latency_count") == {
        '{model_name="linear",API="",entrypoint="REST"}': 2,
        '{model_name="linear",API="predict",entrypoint="REST"}': 3,
    }
    assert counted.family(":tensorflow:serving:runtime_latency_count") == {
        '{model_name="linear",API="Predict",runtime="TF1"}': 3
    }


def test_session_runs(counted: Page) -> None:
    """Four graphs were run, of which one ran out of time."""
    assert counted[":tensorflow:core:direct_session_runs{}"] == 4
    assert counted[":tensorflow:core:graph_runs{}"] == 3
    assert counted[":tensorflow:core:graph_run_time_usecs_histogram_count{}"] == 3


def test_times_are_microseconds(monitored: ServerProcess) -> None:
    """A run of known length is in the right bucket, in the sum, and no longer than the request it is part of."""
    before = Page.of(monitored)
    started = time.monotonic()
    assert monitored.predict("slow", {"inputs": [10_000]}).status == 200
    waited = 1e6 * (time.monotonic() - started)
    after = Page.of(monitored)
    runs = difference(after.family(":tensorflow:serving:runtime_latency_sum"), {})
    [took] = (value for labels, value in runs.items() if '"slow"' in labels)
    requests = ':tensorflow:serving:request_latency_sum{model_name="slow",API="predict",entrypoint="REST"}'
    graphs = ":tensorflow:core:graph_run_time_usecs{}"
    assert 1000 < after[graphs] - before[graphs] <= took <= after[requests] < waited
    buckets = after.buckets(":tensorflow:serving:runtime_latency", 'model_name="slow",API="Predict",runtime="TF1"')
    assert [limit > took for limit in buckets] == [count == 1 for count in buckets.values()]


def test_the_page(monitored: ServerProcess) -> None:
    """Plain text, at its own path only, whatever the method; a query counts as part of the path."""
    page = monitored.get(PATH)
    assert (page.status, page.headers["Content-Type"]) == (200, "text/plain")
    assert page.body.startswith(b"# TYPE :tensorflow:cc:saved_model:load_attempt_count counter\n:tensorflow:cc:")
    assert page.body.endswith(b"\n")
    assert monitored.request("POST", PATH, b"x").status == 200
    query = monitored.get(f"{PATH}?name=x")
    assert (query.status, query.headers["Content-Type"]) == (400, "text/plain")
    assert query.body.decode() == f"Unexpected path: {PATH}?name=x. Should be {PATH}"
    for path in (f"{PATH}/", "/monitoring", "/metrics"):
        assert monitored.get(path).status == 404


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("prometheus_config { enable: true }", PATH),
        ('prometheus_config { enable: true path: "/metrics" }', "/metrics"),
        ('prometheus_config { path: "/metrics" }', None),
        ("prometheus_config { enable: false }", None),
        ("", None),
    ],
)
def test_the_config_file_says_where(tmp_path: Path, text: str, path: str | None) -> None:
    file = tmp_path / "monitoring.config"
    file.write_text(text)
    assert read_metrics_path(str(file)) == path


def test_without_a_config_file_there_is_no_page() -> None:
    assert read_metrics_path("") is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("prometheus_config { enable: perhaps }", "is no MonitoringConfig in text format: 1:29 "),
        ("prometheus { }", 'has no field named "prometheus"'),
    ],
)
def test_a_bad_config_file_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "monitoring.config"
    file.write_text(text)
    with pytest.raises(StartError, match=f"--monitoring_config_file: {file} .*{complaint}"):
        read_metrics_path(str(file))


def test_a_missing_config_file_fails_the_start(models: Path, tmp_path: Path) -> None:
    flags = ("--model_name=linear", f"--model_base_path={models}/linear", "--monitoring_config_file=/none")
    process = ServerProcess(tmp_path / "log", *flags)
    assert process.process.wait(300) == 1
    assert "--monitoring_config_file: cannot read /none: No such file or directory" in process.log
