"""Both processes stay small enough for a small machine."""

import httpx
import psutil

from local.stack import Stack

MEGABYTE = 1e6
PROXY_MEGABYTES, MODEL_SERVER_MEGABYTES = 150, 1500


def test_resident_memory_after_work(stack: Stack, client: httpx.Client) -> None:
    """After single pictures, a batch of 16 and each file format."""
    for parameters in ({"n": 16}, {"format": "jpeg"}, {"format": "webp"}, {"sampler": "dpmpp_2m", "steps": 10}):
        client.get("/generate", params={"caption": "castle", "steps": 5, **parameters}).raise_for_status()
    proxy, model_server = (
        psutil.Process(process.pid).memory_info().rss / MEGABYTE for process in (stack.proxy, stack.model_server)
    )
    assert proxy <= PROXY_MEGABYTES
    assert model_server <= MODEL_SERVER_MEGABYTES
