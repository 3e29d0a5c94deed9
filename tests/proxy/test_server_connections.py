"""Over real sockets to the model servers: connections are kept, and what is left of them when a server dies."""

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import AsyncIterator

import httpx

from local.stack import free_port
from proxy.app import create_app
from proxy.settings import Settings
from tests.proxy.fake_model_server import FakeModelServer, Server, running
from tests.proxy.fleet import DEADLINE_SECONDS, until

QUICK = {"caption": "red heart", "steps": 4, "seed": 42}


def predicts(fake: FakeModelServer) -> int:
    return sum(path.endswith(":predict") for _, path, _ in fake.calls)


@contextlib.asynccontextmanager
async def connected(*servers: Server) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application over real sockets to the servers; one step is one call."""
    app = create_app(Settings(model_server_urls=tuple(server.url for server in servers), steps_per_call=1))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://e") as client:
        yield client


async def test_no_probe_outlives_the_application(fake: FakeModelServer) -> None:
    app = create_app(Settings(), fake.transport())
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://e") as client:
        fake.down = True
        assert (await client.get("/readyz")).status_code == 503
        assert len(asyncio.all_tasks()) > 1
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_connections_are_used_again() -> None:
    """Three at most are needed at once: for the versions of three models."""
    with running(FakeModelServer()) as server:
        async with connected(server) as client:
            for _ in range(5):
                assert (await client.get("/generate", params=QUICK)).status_code == 200
        assert len(server.connections) == 3


async def test_a_crowd_uses_its_connections_again() -> None:
    """Sixteen users make their first step at the same time, twice."""
    fake, users = FakeModelServer(), 16
    together = threading.Barrier(users)

    def wait(_method: str, path: str) -> None:
        if path.endswith("diffusion_model:predict"):
            together.wait(DEADLINE_SECONDS)

    fake.override = wait
    with running(fake) as server:
        async with connected(server) as client:
            for _ in range(2):
                asked = (client.get("/generate", params={**QUICK, "steps": 1}) for _ in range(users))
                assert {response.status_code for response in await asyncio.gather(*asked)} == {200}
        assert len(server.connections) == users


async def test_nobody_notices_that_a_server_was_killed_and_came_back() -> None:
    """Four users draw all the time, over real sockets."""
    fakes, pictures, done = [FakeModelServer(), FakeModelServer()], Counter[tuple[int, bytes]](), asyncio.Event()

    async def user(client: httpx.AsyncClient) -> None:
        while not done.is_set():
            response = await client.get("/generate", params=QUICK)
            pictures[response.status_code, response.content] += 1

    with running(fakes[0], free_port()) as first, running(fakes[1]) as second:
        async with connected(first, second) as client:
            users = [asyncio.create_task(user(client)) for _ in range(4)]
            await until(lambda: min(map(predicts, fakes)) > 20)
            await asyncio.to_thread(first.kill)
            killed, drawn = predicts(fakes[0]), pictures.total()
            await until(lambda: pictures.total() > drawn + 20)
            with running(fakes[0], first.server_address[1]):
                await until(lambda: predicts(fakes[0]) > killed + 20)
                done.set()
                await asyncio.gather(*users)
    ((status_code, _),) = pictures
    assert status_code == 200
