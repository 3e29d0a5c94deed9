"""The service between the parameters and the loop."""

import httpx

from proxy.catalogue import Catalogue
from proxy.contexts import Contexts
from proxy.generation import Progress
from proxy.model_server import ModelServer
from proxy.pictures import Format
from proxy.queue import Queue
from proxy.service import Order, Service
from proxy.tokenizer import bundled
from tests.proxy.fake_model_server import PIXELS, FakeModelServer, models
from tests.proxy.fleet import servers_of

LIMITS = {"rows_per_call": 16, "pixel_steps_per_request": 1_000_000}


class Nobody:
    """A watcher who does not mind."""

    caller = "nobody"
    most_steps_per_call = None

    async def queued(self, position: int, seconds_left: float | None) -> None:
        """Wait on."""

    async def progressed(self, progress: Progress) -> None:
        """Go on."""

    async def stayed(self) -> None:
        """Go on."""


async def test_a_size_that_came_with_a_new_version_is_drawn(fake: FakeModelServer) -> None:
    server = ModelServer(servers_of([httpx.AsyncClient(transport=fake.transport(), base_url="http://tf")]))
    catalogue = Catalogue(server, ["emoji"], 77, fresh_seconds=0)
    service = Service(
        server, catalogue, bundled(), Contexts(0), Queue(1, longest=9, per_caller=9), steps_per_call=5, **LIMITS
    )
    await catalogue.family("emoji")
    fake.models = models("emoji", ((PIXELS, PIXELS), (64, 96)))
    fake.versions = dict.fromkeys(fake.models, "2")
    order = Order("red heart", "", 2, 7.5, 1, "ddim", 1, 64, None, Format.PNG, None, None)
    result = await service.draw(order, Nobody())
    assert result.pictures.shape == (1, 96, 64, 3)
    assert (result.order.width, result.order.height) == (64, 96)
    assert set(result.versions.values()) == {"2"}


async def test_what_was_learned_of_a_network_serves_the_next_request(fake: FakeModelServer) -> None:
    """Before long, a picture of a size takes one call; another size, and another version, is learned by itself."""
    fake.models = models("emoji", ((PIXELS, PIXELS), (64, 96)))
    server = ModelServer(servers_of([httpx.AsyncClient(transport=fake.transport(), base_url="http://tf")]))
    catalogue = Catalogue(server, ["emoji"], 77, fresh_seconds=0)
    service = Service(
        server, catalogue, bundled(), Contexts(0), Queue(1, longest=9, per_caller=9), steps_per_call=None, **LIMITS
    )

    async def calls(width: int, steps_per_call: int | None = None) -> int:
        order = Order("red heart", "", 6, 7.5, 1, "ddim", 1, width, None, Format.PNG, None, steps_per_call)
        before = len(fake.calls)
        await service.draw(order, Nobody())
        return sum("diffusion_model:predict" in path for _, path, _ in fake.calls[before:])

    async def learn(width: int) -> None:
        """At first nothing is known; on a busy machine, the fastest call may not be among the first."""
        assert await calls(width) > 1
        while await calls(width) > 1:
            pass

    await learn(PIXELS)
    await learn(64)
    assert await calls(PIXELS) == 1
    assert await calls(PIXELS, steps_per_call=3) == 2
    fake.versions = dict.fromkeys(fake.models, "2")
    await learn(PIXELS)
