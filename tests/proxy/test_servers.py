"""Each request goes to the server that has the least to do, and one that is away is nobody's problem."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import httpx
import pytest

from proxy import servers
from proxy.app import create_app
from proxy.breaker import Health
from proxy.errors import ModelUnavailableError, UnreachableError
from proxy.model_server import ModelServer
from proxy.servers import PROBE_SECONDS
from proxy.settings import Settings
from tests.proxy.fake_model_server import FakeModelServer
from tests.proxy.fleet import DEADLINE_SECONDS, failing, fleet_of, servers_of, status, until


@pytest.mark.own_time
async def test_servers_with_equally_much_to_do_take_turns() -> None:
    async with fleet_of("abc") as fleet:
        assert [await fleet.ask() for _ in range(7)] == [*"abcabca"]


@pytest.mark.own_time
async def test_the_least_loaded_is_chosen() -> None:
    async with fleet_of("abc") as fleet:
        fleet.gates = {name: asyncio.Event() for name in "abc"}
        tasks = [await fleet.begin() for _ in range(6)]
        assert fleet.asked == [*"abcabc"]
        fleet.gates.pop("b").set()
        assert [await tasks[1], await tasks[4]] == ["b", "b"]
        assert [await fleet.ask() for _ in range(5)] == ["b"] * 5
        for gate in fleet.gates.values():
            gate.set()
        assert Counter(await asyncio.gather(*tasks)) == {"a": 2, "b": 2, "c": 2}


@pytest.mark.own_time
async def test_requests_that_were_given_up_are_no_load() -> None:
    async with fleet_of("ab") as fleet:
        fleet.gates = {"a": asyncio.Event()}
        first = await fleet.begin()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        fleet.gates["a"].set()
        assert [await fleet.ask() for _ in range(4)] == [*"baba"]


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError,
        httpx.ConnectTimeout,
        httpx.ReadError,
        httpx.WriteError,
        httpx.RemoteProtocolError,
        httpx.ReadTimeout,
        httpx.WriteTimeout,
    ],
)
@pytest.mark.own_time
async def test_a_request_that_failed_on_the_way_goes_to_another_server(error: type[httpx.TransportError]) -> None:
    """And the server that failed is left alone, but for probes."""
    async with fleet_of("abc") as fleet:
        fleet.behaviour["a"] = failing(error)
        assert await fleet.ask() == "b"
        assert fleet.asked == ["a", "b"]
        assert [await fleet.ask() for _ in range(4)] == [*"cbcb"]
        assert Counter(fleet.asked)["a"] == 1


@pytest.mark.parametrize("number", [502, 503, 504])
@pytest.mark.own_time
async def test_a_server_that_says_not_now_is_left_alone(number: int) -> None:
    async with fleet_of("ab") as fleet:
        fleet.behaviour["a"] = status(number)
        assert [await fleet.ask() for _ in range(3)] == [*"bbb"]
        assert fleet.asked == [*"abbb"]


@pytest.mark.own_time
async def test_each_server_is_asked_once_and_those_that_are_away_last() -> None:
    async with fleet_of("abc") as fleet:
        fleet.behaviour = {name: failing(httpx.ConnectError) for name in "abc"}
        for _ in range(3):
            fleet.asked.clear()
            with pytest.raises(UnreachableError):
                await fleet.ask()
            assert sorted(fleet.asked) == [*"abc"]
        del fleet.behaviour["c"]
        await until(lambda: any(server.breaker.health is Health.WELL for server in fleet.servers))
        fleet.asked.clear()
        fleet.behaviour["c"] = failing(httpx.ReadError)
        with pytest.raises(UnreachableError):
            await fleet.ask()
        assert fleet.asked[0] == "c"
        assert sorted(fleet.asked) == [*"abc"]


@pytest.mark.own_time
async def test_nobody_waits_for_a_server_that_hangs_while_there_is_another() -> None:
    """Not even when that one has just failed."""
    async with fleet_of("ab") as fleet:
        fleet.behaviour["a"] = failing(httpx.ReadTimeout)
        assert await fleet.ask() == "b"
        fleet.behaviour["b"] = failing(httpx.ReadError)
        with pytest.raises(UnreachableError):
            await fleet.ask()
        assert fleet.asked == [*"abb"]
        fleet.behaviour["b"] = failing(httpx.ReadTimeout)
        with pytest.raises(UnreachableError):
            await fleet.ask()
        assert fleet.asked == [*"abbb"]


@pytest.mark.own_time
async def test_a_server_that_hangs_may_have_what_the_other_lacks() -> None:
    """It is not asked, and so what it has is not known."""
    async with fleet_of("ab") as fleet:
        fleet.behaviour = {"a": failing(httpx.ReadTimeout), "b": status(404)}
        for _ in range(2):
            with pytest.raises(UnreachableError):
                await fleet.ask()
        assert fleet.asked == [*"abb"]


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
@pytest.mark.own_time
async def test_a_single_server_is_asked_again_if_the_connection_broke_off(
    error: type[httpx.TransportError], asked: int
) -> None:
    async with fleet_of("a") as fleet:
        fleet.behaviour["a"] = failing(error)
        with pytest.raises(UnreachableError):
            await fleet.ask()
        assert len(fleet.asked) == asked


@pytest.mark.own_time
async def test_a_single_server_that_broke_off_once_is_not_noticed() -> None:
    async with fleet_of("a") as fleet:

        def once(request: httpx.Request) -> httpx.Response:
            del fleet.behaviour["a"]
            raise httpx.ReadError("broken", request=request)

        fleet.behaviour["a"] = once
        assert [await fleet.ask(), await fleet.ask()] == ["a", "a"]
        assert len(fleet.asked) == 3


@pytest.mark.own_time
async def test_who_has_not_the_model_is_passed_over_and_not_set_aside() -> None:
    """That nobody has it is only said if everybody says so."""
    async with fleet_of("abc") as fleet:
        fleet.behaviour = {"a": status(404), "b": failing(httpx.ConnectError)}
        assert await fleet.ask() == "c"
        fleet.behaviour["c"] = status(429)
        for _ in range(3):
            with pytest.raises(UnreachableError):
                await fleet.ask()
            assert sorted(fleet.asked[-3:]) == [*"abc"]
            assert fleet.asked[-1] == "b"
        fleet.behaviour["b"] = status(404)
        with pytest.raises(ModelUnavailableError, match=r"is not loaded|is overloaded") as caught:
            await fleet.ask()
        assert not isinstance(caught.value, UnreachableError)
        await until(lambda: bool(fleet.probed))
        assert set(fleet.probed) == {"b"}


@pytest.mark.parametrize(("first", "second"), [(404, 503), (503, 404)])
@pytest.mark.own_time
async def test_a_server_that_may_come_back_gives_hope(first: int, second: int) -> None:
    """Though the other has not the model, whichever is asked first: it is worth asking again."""
    async with fleet_of("ab") as fleet:
        fleet.behaviour = {"a": status(first), "b": status(second)}
        with pytest.raises(UnreachableError, match="is not available"):
            await fleet.ask()
        assert fleet.asked == [*"ab"]


@pytest.mark.own_time
async def test_users_are_no_probes() -> None:
    """A server that is away is asked for its status again and again, and for nothing else until it is back."""
    async with fleet_of("ab") as fleet:
        fleet.behaviour["a"] = failing(httpx.ConnectError)
        assert await fleet.ask() == "b"
        await until(lambda: len(fleet.probed) >= 3)
        assert [await fleet.ask() for _ in range(10)] == ["b"] * 10
        assert fleet.asked.count("a") == 1
        assert set(fleet.probed) == {"a"}
        del fleet.behaviour["a"]
        probed = len(fleet.probed)
        await until(lambda: len(fleet.probed) > probed)
        assert sorted([await fleet.ask() for _ in range(4)]) == [*"aabb"]
        await asyncio.sleep(0.5)
        assert len(fleet.probed) == probed + 1, "one that is well is not probed"


@pytest.mark.own_time
async def test_a_server_whose_calls_are_given_up_is_looked_at() -> None:
    """As at the deadline of a request; one that hangs then gets no more of them."""
    async with fleet_of("ab") as fleet:
        fleet.gates = {"a": asyncio.Event()}
        first = await fleet.begin()
        first.cancel()
        await until(lambda: fleet.probed == ["a"])
        await asyncio.sleep(PROBE_SECONDS + 0.5)
        assert [await fleet.ask() for _ in range(4)] == [*"bbbb"]


async def test_a_server_that_hangs_at_rest_stops_nobody_while_there_is_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it has is not waited for as long as for a call of a network, and it is set aside."""
    monkeypatch.setattr(servers, "LOOK_SECONDS", 0.5)
    fake, asked = FakeModelServer(), list[str]()

    async def handle(request: httpx.Request) -> httpx.Response:
        if request.url.host == "a":
            asked.append(request.url.path)
            await asyncio.Event().wait()
        status, body = fake.answer(request.method, request.url.path, request.content)
        return httpx.Response(status, content=body)

    app = create_app(Settings(model_server_urls="http://a,http://b"), httpx.MockTransport(handle))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://e") as client:
        async with asyncio.timeout(DEADLINE_SECONDS):
            answer = await client.get("/generate", params={"caption": "red heart", "steps": 2})
        assert answer.status_code == 200
    assert not any(path.endswith("/metadata") for path in asked)


@pytest.mark.own_time
async def test_a_call_that_drips_takes_no_longer_than_one_that_is_silent() -> None:
    """Each byte comes in time, the last one does not."""

    async def drip() -> AsyncIterator[bytes]:
        for _ in range(100):
            await asyncio.sleep(0.05)
            yield b" "

    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=drip()))
    asked = servers_of([httpx.AsyncClient(transport=transport, base_url="http://a", timeout=1)], call_seconds=0.3)
    with pytest.raises(UnreachableError, match="did not answer in time"):
        await ModelServer(asked).metadata("m")
    await asked.close()


@pytest.mark.parametrize("base_url", ["http://a", "http://a/models", "http://a:8501/models/"])
async def test_a_server_may_be_below_a_path(base_url: str) -> None:
    """As behind a gateway that serves several."""
    seen: list[str] = []

    def note(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(200)

    asked = servers_of([httpx.AsyncClient(transport=httpx.MockTransport(note), base_url=base_url)])
    for _ in range(2):
        await next(asked.round()).ask("GET", "/v1/models/emoji_decoder:predict", None)
    assert seen == [f"{base_url.rstrip('/')}/v1/models/emoji_decoder:predict"] * 2
