"""What the two proxies do whose costs are compared."""

from pathlib import Path

import httpx
import pytest

from local.stack import free_port, proxy_process
from tests.proxy.fake_model_server import FakeModelServer, running
from tests.proxy.proxy_process import wait_until_healthy

OWN_SPANS = {"queue", "text_encoder", "diffusion_model", "decoder", "file", "call"}


@pytest.mark.parametrize("is_watched", [True, False])
def test_only_one_of_them_is_watched(is_watched: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Both draw; the other has no span of its own, no request id, no metrics, and no line in the log."""
    fake, port, file = FakeModelServer(), free_port(), tmp_path / "spans"
    command = ("tests.benchmarks.collected", "watched" if is_watched else "unwatched", str(file))
    url, level = f"http://127.0.0.1:{port}", {"EASEL_LOG_LEVEL": "info"}
    with running(fake) as server, proxy_process([server.url], "emoji", port, level, command) as process:
        wait_until_healthy(url, process)
        drawn = httpx.get(f"{url}/generate", params={"caption": "a"}).raise_for_status()
        metrics = httpx.get(f"{url}/metrics")
    assert OWN_SPANS & set(file.read_text().split("\n")) == (OWN_SPANS if is_watched else set())
    assert ("X-Request-ID" in drawn.headers) == is_watched
    assert any("x-request-id" in head for head in fake.heads) == is_watched
    assert metrics.is_success == is_watched
    assert ("GET /generate 200" in capfd.readouterr().err) == is_watched
