"""How late the event loop is, as it is counted."""

import asyncio

from prometheus_client import REGISTRY

from proxy import pulse
from proxy.queue import Queue
from tests.proxy.fleet import servers_of


def beats() -> float:
    return REGISTRY.get_sample_value("easel_event_loop_lag_seconds_count") or 0


async def test_the_beats_of_the_last_second_are_counted() -> None:
    """A pulse that is stopped has counted every beat, though it counts them once a second."""
    before = beats()
    with pulse.measured(Queue(1, longest=1, per_caller=1), servers_of([])):
        await asyncio.sleep(0.3)
        assert beats() == before
    assert 0 < beats() - before < 20
