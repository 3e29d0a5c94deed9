"""The application over a fake model server: inside its lifespan, or as a real process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager

import httpx
import pytest

from proxy.app import create_app
from proxy.settings import Settings
from tests.proxy.fake_model_server import FakeModelServer, running
from tests.proxy.own_time import LOOPS
from tests.proxy.proxy_process import running_proxy

Connect = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    loops = [loop for mark, loop in LOOPS.items() if item.get_closest_marker(mark)]
    return {"loop": loops[0] if loops else asyncio.new_event_loop}


@pytest.fixture
def fake() -> FakeModelServer:
    return FakeModelServer()


@pytest.fixture
def connect(fake: FakeModelServer) -> Connect:
    """A client of the application over the fake, with the settings given. before: see `FakeModelServer.transport`."""

    @contextlib.asynccontextmanager
    async def open_client(
        *, before: Callable[[str], Awaitable[None]] | None = None, **settings: object
    ) -> AsyncIterator[httpx.AsyncClient]:
        app = create_app(Settings(**settings), fake.transport(before))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://e") as client,
        ):
            yield client

    return open_client


@pytest.fixture
async def client(connect: Connect) -> AsyncIterator[httpx.AsyncClient]:
    async with connect() as opened:
        yield opened


@pytest.fixture(scope="module")
def proxy_settings() -> dict[str, object]:
    """Of the real proxy, by which a module's tests share it: it draws one request at a time."""
    return {"concurrent_requests": 1}


@pytest.fixture(scope="module")
def proxy(proxy_settings: dict[str, object]) -> Iterator[tuple[str, FakeModelServer]]:
    """A real proxy, and its model server."""
    fake = FakeModelServer()
    with running(fake) as server:
        with running_proxy(server.url, **proxy_settings) as (address, _, log):
            yield address, fake
        assert not any("Traceback" in line for line in log)


@pytest.fixture
def served(proxy: tuple[str, FakeModelServer]) -> Iterator[FakeModelServer]:
    """The model server of the real proxy, as if it was new."""
    _, fake = proxy
    fake.calls.clear()
    yield fake
    fake.override = lambda _method, _path: None


@pytest.fixture
def url(proxy: tuple[str, FakeModelServer], served: FakeModelServer) -> str:
    """The address of the real proxy."""
    return proxy[0]
