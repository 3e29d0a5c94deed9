"""The application over a fake model server, inside its lifespan."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import httpx
import pytest

from proxy.app import create_app
from proxy.settings import Settings
from tests.proxy.fake_model_server import FakeModelServer

Connect = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def fake() -> FakeModelServer:
    return FakeModelServer()


@pytest.fixture
def connect(fake: FakeModelServer) -> Connect:
    """A client of the application over the fake, with the settings given."""

    @contextlib.asynccontextmanager
    async def open_client(**settings: object) -> AsyncIterator[httpx.AsyncClient]:
        app = create_app(Settings(**settings), fake.transport())
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
