"""The proxy under requests that mean no good, over sockets."""

from urllib.parse import urlsplit

import httpx
import psutil

from tests.fuzz.attack import attack
from tests.fuzz.raw_requests import Aim
from tests.fuzz.share import FIGURES, SEED, share
from tests.proxy.fake_model_server import FakeModelServer, running
from tests.proxy.proxy_process import running_proxy

GROWTH_BYTES = 20_000_000
AIMS = [
    Aim("/generate", {"caption": "red heart", "steps": 2, "seed": 1, "n": 2, "guidance_scale": 7.5}),
    Aim("/v1/images/generations", {"prompt": "red heart", "n": 1, "size": "auto", "extra_body": {"steps": 2}}),
    Aim("/sdapi/v1/txt2img", {"prompt": "red heart", "steps": 2, "override_settings": {}, "styles": ["a"]}),
    Aim("/sdapi/v1/png-info", {"image": "data:image/png;base64,iVBORw0KGgo="}),
    Aim("/sdapi/v1/interrupt?force_task_id=a", {}),
]


def test_bad_requests_break_nothing() -> None:
    """Every connection is answered or closed; afterwards a picture is drawn as before, and nothing has grown."""
    with running(FakeModelServer()) as server:
        with running_proxy(server.url, log_level="error") as (url, pid, log):
            port, process = urlsplit(url).port or 0, psutil.Process(pid)
            good = httpx.post(f"{url}{AIMS[0].path}", json=AIMS[0].document).json()["pictures"]
            attack("proxy", port, AIMS, share(400, 4000))
            before = process.memory_info().rss
            attack("proxy", port, AIMS, count := share(400, 8000), SEED + 1)
            growth = process.memory_info().rss - before
            FIGURES.append(f"proxy: {count:,} requests; memory {before >> 20} MB, {growth >> 10:+} kB")
            assert httpx.post(f"{url}{AIMS[0].path}", json=AIMS[0].document).json()["pictures"] == good
            assert growth < GROWTH_BYTES
        assert not any("Traceback" in line for line in log), "".join(log)
