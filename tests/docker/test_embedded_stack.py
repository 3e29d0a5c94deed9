"""docker-compose.embedded.yml on a real engine: up, a picture, direct calls, a crash, down."""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from local.stack import running_stack
from tests.docker.command import CommandError
from tests.docker.compose import EMBEDDED, Compose, wait_for
from tests.docker.figures import FIGURES, timed

REQUEST = {"caption": "red heart", "steps": 20, "seed": 3}
TOKENS = [49406, 736, 1936, *[49407] * 74]
LARGEST_DIFFERENCE = 2


@pytest.fixture(scope="module")
def drawn_locally(models: Path) -> bytes:
    """The picture that the same models give without any container."""
    with running_stack(models) as stack:
        return httpx.get(f"{stack.url}/generate", params=REQUEST, timeout=120, trust_env=False).content


@pytest.fixture(scope="module")
def stack(
    built: Mapping[str, str], project: str, variables: Mapping[str, str], prometheus_image: str, drawn_locally: bytes
) -> Iterator[Compose]:
    compose = Compose(EMBEDDED, project, variables)
    try:
        with timed("up, until both services are healthy"):
            compose("up", "--detach", "--no-build")
            compose.wait_until_healthy("proxy")
        yield compose
    except CommandError:
        print(compose("logs"))
        raise
    finally:
        compose("--profile=monitoring", "down", "--volumes")


@pytest.fixture
def proxy(stack: Compose) -> Iterator[httpx.Client]:
    with _client(stack, "EASEL_PORT") as client:
        yield client


@pytest.fixture
def model_server(stack: Compose) -> Iterator[httpx.Client]:
    with _client(stack, "EASEL_MODEL_SERVER_PORT") as client:
        yield client


def test_the_proxy_waited_for_the_models(stack: Compose) -> None:
    """It was started when the model server had been found healthy, and not before."""
    checks = stack.inspect("model_server")["State"]["Health"]["Log"]
    first_success = next(check["End"] for check in checks if check["ExitCode"] == 0)
    assert _seconds(stack.inspect("proxy")["State"]["StartedAt"]) >= _seconds(first_success)


def test_a_picture_is_drawn(
    proxy: httpx.Client, drawn_locally: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Through the published port, and the same as without containers."""
    with timed("first picture"):
        response = proxy.get("/generate", params=REQUEST).raise_for_status()
    file = tmp_path_factory.getbasetemp() / "picture.png"
    file.write_bytes(response.content)
    FIGURES["picture"] = str(file)
    picture, expected = (_pixels(content) for content in (response.content, drawn_locally))
    assert picture.shape == (128, 128, 3)
    assert picture.std() > 10
    assert np.abs(picture - expected).max() <= LARGEST_DIFFERENCE


def test_the_model_server_answers_directly(model_server: httpx.Client) -> None:
    """Status, metadata, a prediction and metrics, on its own port."""
    model = "/v1/models/emoji_text_encoder"
    [version] = model_server.get(model).raise_for_status().json()["model_version_status"]
    assert (version["version"], version["state"]) == ("1", "AVAILABLE")
    metadata = model_server.get(f"{model}/metadata").raise_for_status().json()["metadata"]
    assert {"serving_default", "encode"} <= set(metadata["signature_def"]["signature_def"])
    answer = model_server.post(f"{model}:predict", json={"instances": [{"tokens": TOKENS}]}).raise_for_status()
    assert np.shape(answer.json()["predictions"])[:2] == (1, 77)
    counts = model_server.get("/monitoring/prometheus/metrics").raise_for_status().text
    assert ':tensorflow:serving:request_count{model_name="emoji_text_encoder",status="OK"}' in counts


def test_nothing_can_be_written(stack: Compose) -> None:
    """An ordinary user, a read-only file system, models that cannot be changed; /tmp is there."""
    for service, path in (("proxy", "/easel/x"), ("model_server", "/easel/x"), ("model_server", "/models/x")):
        assert stack.execute(service, "id", "-u") == "1000"
        with pytest.raises(CommandError, match="Read-only file system"):
            stack.execute(service, "touch", path)
        stack.execute(service, "touch", "/tmp/x")  # noqa: S108


def test_a_model_that_is_missing_is_not_healthy(stack: Compose, models: Path) -> None:
    """The health check looks at every model of models.config, and names the one that is not available."""
    check = stack.inspect("model_server")["Config"]["Healthcheck"]["Test"][1:]
    stack.execute("model_server", *check)
    config = models / "models.config"
    before = config.read_text()
    added = before.replace("emoji_decoder", "absent")
    try:
        config.write_text(added)
        with pytest.raises(CommandError, match="absent is not available"):
            stack.execute("model_server", *check)
    finally:
        config.write_text(before)


def test_prometheus_watches(stack: Compose, variables: Mapping[str, str], proxy: httpx.Client) -> None:
    """The optional profile: the target is up, requests are counted, the alerts are loaded and silent."""
    stack("--profile=monitoring", "up", "--detach", "--no-build")
    with _client(stack, "EASEL_PROMETHEUS_PORT") as prometheus:

        def ask(expression: str) -> list[float]:
            try:
                answer = prometheus.get("/api/v1/query", params={"query": expression})
            except httpx.TransportError:
                return []
            return [float(series["value"][1]) for series in answer.json().get("data", {}).get("result", [])]

        wait_for(lambda: ask('up{job="model_server"}') == [1.0], lambda: stack("logs"))
        wait_for(lambda: ask('up{job="proxy"}') == [1.0], lambda: stack("logs"))
        assert ask('easel_drawings_total{outcome="drawn"}') >= [1]
        [calls] = ask('sum(:tensorflow:serving:request_count{model_name="emoji_diffusion_model",status="OK"})')
        assert calls >= 4
        groups = prometheus.get("/api/v1/rules").json()["data"]["groups"]
        alerts = [rule for group in groups for rule in group["rules"] if rule["type"] == "alerting"]
        assert len(alerts) == 8
        # On a busy machine one may be pending for a moment.
        assert "firing" not in {alert["state"] for alert in alerts}


def test_a_crash_is_recovered_from(stack: Compose, proxy: httpx.Client) -> None:
    """The server's process is killed; the stack comes back by itself and draws the same picture, to the byte."""
    before = proxy.get("/generate", params=REQUEST).raise_for_status().content
    stack.execute("model_server", "bash", "-c", "kill -KILL -1")  # all of its processes but init
    with timed("recovery from a crash, until the next picture"):
        wait_for(lambda: stack.inspect("model_server")["RestartCount"] == 1, lambda: stack("logs"))
        wait_for(lambda: proxy.get("/readyz").status_code == 200, lambda: stack("logs"))
        assert proxy.get("/generate", params=REQUEST).raise_for_status().content == before
    stack.wait_until_healthy("model_server")
    stack.wait_until_healthy("proxy")


def test_everything_stops_in_good_order_and_leaves_nothing(stack: Compose) -> None:
    """Both servers end by themselves when told to; no container, network or volume is left."""
    with timed("stop"):
        stack("stop", "model_server", "proxy")
    for service in ("model_server", "proxy"):
        # 143: by the SIGTERM that it was sent, once its work was done; 137 would be by force.
        assert stack.inspect(service)["State"]["ExitCode"] in (0, 143), stack("logs", service)
    stack("--profile=monitoring", "down", "--volumes")
    assert stack.leftovers() == ""


def _client(stack: Compose, port: str) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{stack.environment[port]}", timeout=120, trust_env=False)


def _pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content))).astype(int)


def _seconds(time: str) -> np.datetime64:
    return np.datetime64(time.removesuffix("Z"))
