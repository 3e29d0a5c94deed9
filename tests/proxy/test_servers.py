"""Each request goes to the server that has the least to do, and one that is away is nobody's problem."""

import asyncio
import contextlib
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from proxy.app import create_app
from proxy.servers import Servers
from proxy.settings import Settings
from tests.proxy.fake_model_server import FakeModelServer, Server, running

DEADLINE_SECONDS = 60
QUICK = {"caption": "red heart", "steps": 4, "seed": 42}


class Fleet:
    """Servers a, b, c ...; what each of them does is `behaviour`, by name. asked: who, in order."""

    def __init__(self, names: str, aside_seconds: float = 1000) -> None:
        self.asked: list[str] = []
        self.arrived = asyncio.Event()
        self.behaviour: dict[str, Callable[[httpx.Request], httpx.Response]] = {}
        self.gates: dict[str, asyncio.Event] = {}
        transport = httpx.MockTransport(self._handle)
        clients = [httpx.AsyncClient(transport=transport, base_url=f"http://{name}") for name in names]
        self.servers = Servers(clients, aside_seconds=aside_seconds)

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        name = request.url.host
        self.asked.append(name)
        self.arrived.set()
        if name in self.gates:
            await self.gates[name].wait()
        behave = self.behaviour.get(name, lambda _: httpx.Response(200, text=name))
        return behave(request)

    async def ask(self) -> str:
        """The name of who answered."""
        response = await self.servers.request("POST", "/path", b"content", lambda response: response.is_success)
        return response.text

    async def begin(self) -> asyncio.Task[str]:
        """A request that has reached its server."""
        self.arrived.clear()
        task = asyncio.create_task(self.ask())
        await self.arrived.wait()
        return task


def failing(error: type[httpx.TransportError]) -> Callable[[httpx.Request], httpx.Response]:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error("broken", request=request)

    return fail


def status(number: int) -> Callable[[httpx.Request], httpx.Response]:
    return lambda request: httpx.Response(number, text=f"{number} of {request.url.host}")


async def test_servers_with_equally_much_to_do_take_turns() -> None:
    fleet = Fleet("abc")
    assert [await fleet.ask() for _ in range(7)] == [*"abcabca"]


async def test_the_least_loaded_is_chosen() -> None:
    fleet = Fleet("abc")
    fleet.gates = {name: asyncio.Event() for name in "abc"}
    tasks = [await fleet.begin() for _ in range(6)]
    assert fleet.asked == [*"abcabc"]
    fleet.gates.pop("b").set()
    assert [await tasks[1], await tasks[4]] == ["b", "b"]
    assert [await fleet.ask() for _ in range(5)] == ["b"] * 5
    for gate in fleet.gates.values():
        gate.set()
    assert Counter(await asyncio.gather(*tasks)) == {"a": 2, "b": 2, "c": 2}


async def test_requests_that_were_given_up_are_no_load() -> None:
    fleet = Fleet("ab")
    fleet.gates = {"a": asyncio.Event()}
    first = await fleet.begin()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    fleet.gates["a"].set()
    assert [await fleet.ask() for _ in range(4)] == [*"baba"]


@pytest.mark.parametrize(
    "error", [httpx.ConnectError, httpx.ConnectTimeout, httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError]
)
async def test_a_request_that_failed_on_the_way_goes_to_another_server(error: type[httpx.TransportError]) -> None:
    fleet = Fleet("abc")
    fleet.behaviour["a"] = failing(error)
    assert await fleet.ask() == "b"
    assert fleet.asked == ["a", "b"]
    assert [await fleet.ask() for _ in range(4)] == [*"cbcb"]
    assert Counter(fleet.asked)["a"] == 1


async def test_each_server_is_asked_once_and_those_that_are_away_last() -> None:
    fleet = Fleet("abc")
    fleet.behaviour = {name: failing(httpx.ConnectError) for name in "abc"}
    for _ in range(3):
        fleet.asked.clear()
        with pytest.raises(httpx.ConnectError):
            await fleet.ask()
        assert sorted(fleet.asked) == [*"abc"]
    del fleet.behaviour["c"]
    assert await fleet.ask() == "c"
    fleet.asked.clear()
    fleet.behaviour["c"] = failing(httpx.ReadError)
    with pytest.raises(httpx.ConnectError):
        await fleet.ask()
    assert fleet.asked[0] == "c"
    assert sorted(fleet.asked) == [*"abc"]


@pytest.mark.parametrize("error", [httpx.ReadTimeout, httpx.WriteTimeout])
async def test_a_request_that_had_its_time_is_not_made_again(error: type[httpx.TransportError]) -> None:
    fleet = Fleet("ab")
    fleet.behaviour["a"] = failing(error)
    with pytest.raises(error):
        await fleet.ask()
    assert fleet.asked == ["a"]
    assert await fleet.ask() == "b"
    with pytest.raises(error):  # a server that is slow is not one that is away
        await fleet.ask()


@pytest.mark.parametrize(
    ("error", "asked"),
    [
        (httpx.ConnectError, 2),
        (httpx.ReadError, 2),
        (httpx.RemoteProtocolError, 2),
        (httpx.ConnectTimeout, 1),
        (httpx.ReadTimeout, 1),
    ],
)
async def test_a_single_server_is_asked_again_if_the_connection_broke_off(
    error: type[httpx.TransportError], asked: int
) -> None:
    fleet = Fleet("a")
    fleet.behaviour["a"] = failing(error)
    with pytest.raises(error):
        await fleet.ask()
    assert len(fleet.asked) == asked


async def test_a_single_server_that_broke_off_once_is_not_noticed() -> None:
    fleet = Fleet("a")

    def once(request: httpx.Request) -> httpx.Response:
        del fleet.behaviour["a"]
        raise httpx.ReadError("broken", request=request)

    fleet.behaviour["a"] = once
    assert [await fleet.ask(), await fleet.ask()] == ["a", "a"]
    assert len(fleet.asked) == 3


async def test_an_answer_that_does_not_satisfy_is_only_given_if_there_is_no_better_one() -> None:
    fleet = Fleet("abc")
    fleet.behaviour = {"a": status(404), "b": failing(httpx.ConnectError)}
    assert await fleet.ask() == "c"
    fleet.behaviour["c"] = status(503)
    for _ in range(3):
        assert await fleet.ask() in ("404 of a", "503 of c")
        assert sorted(fleet.asked[-3:]) == [*"abc"]
        assert fleet.asked[-1] == "b"
    single = Fleet("a")
    single.behaviour["a"] = status(404)
    assert await single.ask() == "404 of a"
    assert single.asked == ["a"]


async def test_a_server_that_was_away_is_tried_by_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """While that one waits for it the others leave it out; when it answered, they no longer do."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    fleet = Fleet("ab", aside_seconds=3)
    fleet.behaviour["a"] = failing(httpx.ConnectError)
    assert await fleet.ask() == "b"
    now += 2.9
    assert [await fleet.ask() for _ in range(3)] == [*"bbb"]
    now += 0.2
    assert await fleet.ask() == "b"
    assert Counter(fleet.asked)["a"] == 2
    assert [await fleet.ask() for _ in range(3)] == [*"bbb"]
    assert Counter(fleet.asked)["a"] == 2

    now += 3.1
    del fleet.behaviour["a"]
    fleet.gates = {name: asyncio.Event() for name in "ab"}
    fleet.asked.clear()
    tasks = [await fleet.begin() for _ in range(4)]
    assert fleet.asked == [*"abbb"]
    fleet.gates["a"].set()
    assert await tasks[0] == "a"
    assert [await fleet.ask() for _ in range(3)] == [*"aaa"]
    fleet.gates["b"].set()
    assert await asyncio.gather(*tasks[1:]) == [*"bbb"]
    assert sorted([await fleet.ask() for _ in range(4)]) == [*"aabb"]


def predicts(fake: FakeModelServer) -> int:
    return sum(path.endswith(":predict") for _, path, _ in fake.calls)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(DEADLINE_SECONDS * 100):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise TimeoutError


@contextlib.asynccontextmanager
async def connected(*servers: Server) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application over real sockets to the servers; one step is one call."""
    app = create_app(Settings(model_server_urls=tuple(server.url for server in servers), steps_per_call=1))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://e") as client:
        yield client


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

    with running(fakes[0]) as first, running(fakes[1]) as second:
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


@pytest.mark.parametrize("base_url", ["http://a", "http://a/models", "http://a:8501/models/"])
async def test_a_server_may_be_below_a_path(base_url: str) -> None:
    """As behind a gateway that serves several."""
    seen: list[str] = []

    def note(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(200)

    servers = Servers([httpx.AsyncClient(transport=httpx.MockTransport(note), base_url=base_url)])
    for _ in range(2):
        await servers.request("GET", "/v1/models/emoji_decoder:predict", None, lambda _: True)
    assert seen == [f"{base_url.rstrip('/')}/v1/models/emoji_decoder:predict"] * 2
