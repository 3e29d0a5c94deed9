"""Prometheus itself reads the proxy's metrics, of one worker and of two: Debian's `prometheus`."""

import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from proxy import keys
from proxy.keys import Key
from tests.model_server.test_prometheus import Prometheus, program
from tests.proxy.fake_model_server import FakeModelServer, running
from tests.proxy.proxy_process import ROOT, running_proxy


@pytest.mark.parametrize("workers", [1, 2])
def test_prometheus_reads_what_the_alerts_look_at(tmp_path: Path, workers: int) -> None:
    """The target is up, counts and quantiles arrive, and promtool finds nothing to complain of."""
    with running(FakeModelServer()) as server, running_proxy(server.url, workers=workers) as (url, _, _log):
        for _ in range(3):
            httpx.get(f"{url}/generate", params={"caption": "a"}).raise_for_status()
        with Prometheus(tmp_path, urlsplit(url).port or 0, "/metrics") as prometheus:
            prometheus.wait_for(lambda: prometheus.query('easel_drawings_total{outcome="drawn"}') == {"": 3})
            prometheus.wait_for(prometheus.is_target_up)
            lag = "histogram_quantile(0.99, sum by (le) (easel_event_loop_lag_seconds_bucket))"
            prometheus.wait_for(lambda: 0 < prometheus.query(lag).get("", 0) < 60)
            prometheus.wait_for(lambda: set(prometheus.query("easel_model_server_aside").values()) == {0})
        page = httpx.get(f"{url}/metrics").content
    checked = subprocess.run([program("promtool"), "check", "metrics"], input=page, capture_output=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, b"")


def test_prometheus_has_a_key_of_its_own(tmp_path: Path) -> None:
    """By the line that monitoring/prometheus.yml has for it; without it, the target is down."""
    [line] = re.findall(r"^ +# (authorization: .*)$", (ROOT / "monitoring/prometheus.yml").read_text(), re.MULTILINE)
    file = tmp_path / "keys.toml"
    key = keys.add(file, Key("prometheus", ""))
    with running(FakeModelServer()) as server, running_proxy(server.url, api_keys_file=file) as (url, _, _log):
        for further, health in (("", "down"), (line, "up")):
            (folder := tmp_path / health).mkdir()
            (folder / "easel.key").write_text(f"{key}\n")
            with Prometheus(folder, urlsplit(url).port or 0, "/metrics", further) as prometheus:
                prometheus.wait_for(lambda: seen(prometheus) == [health])  # noqa: B023 - at once


def seen(prometheus: Prometheus) -> list[str]:
    """The health of the only target, once there is one."""
    return [target["health"] for target in prometheus.ask("targets")["activeTargets"]]
