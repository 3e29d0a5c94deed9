"""Several model servers without a network, each of which behaves as a test says."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence

import httpx

from proxy.model_server import ModelServer
from proxy.servers import Servers

DEADLINE_SECONDS = 60
PROBE = "/probe"


def servers_of(clients: Sequence[httpx.AsyncClient], call_seconds: float = DEADLINE_SECONDS) -> Servers:
    """Those that the clients reach."""
    return Servers(clients, call_seconds=call_seconds, probe_path=PROBE)


class Fleet:
    """Servers a, b, c ...; what each of them does is `behaviour`, by name. asked: who, in order; probed: likewise."""

    def __init__(self, names: str) -> None:
        self.asked: list[str] = []
        self.probed: list[str] = []
        self.arrived = asyncio.Event()
        self.behaviour: dict[str, Callable[[httpx.Request], httpx.Response]] = {}
        self.gates: dict[str, asyncio.Event] = {}
        transport = httpx.MockTransport(self._handle)
        clients = [httpx.AsyncClient(transport=transport, base_url=f"http://{name}") for name in names]
        self.servers = servers_of(clients)
        self._model_server = ModelServer(self.servers)

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        name = request.url.host
        (self.probed if request.url.path == PROBE else self.asked).append(name)
        self.arrived.set()
        if name in self.gates:
            await self.gates[name].wait()
        behave = self.behaviour.get(name, lambda _: httpx.Response(200, text=json.dumps({"name": name})))
        return behave(request)

    async def ask(self) -> str:
        """The name of who answered."""
        return str((await self._model_server.metadata("m"))[0]["name"])

    async def begin(self) -> asyncio.Task[str]:
        """A request that has reached its server."""
        self.arrived.clear()
        task = asyncio.create_task(self.ask())
        await self.arrived.wait()
        return task


async def until(condition: Callable[[], object]) -> None:
    """Until it holds, which nobody tells. Raises TimeoutError."""
    for _ in range(DEADLINE_SECONDS * 100):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise TimeoutError(f"it did not hold within {DEADLINE_SECONDS} s")


@contextlib.asynccontextmanager
async def fleet_of(names: str) -> AsyncIterator[Fleet]:
    fleet = Fleet(names)
    yield fleet
    await fleet.servers.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


def failing(error: type[httpx.TransportError]) -> Callable[[httpx.Request], httpx.Response]:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error("broken", request=request)

    return fail


def status(number: int) -> Callable[[httpx.Request], httpx.Response]:
    return lambda request: httpx.Response(number, text=f"{number} of {request.url.host}")
