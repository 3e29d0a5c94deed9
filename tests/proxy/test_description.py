"""What is done with requests as /openapi.json describes them, and all that may come of them, is what it says."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from starlette.datastructures import State

from proxy.app import create_app
from proxy.keyring import FAILURES_PER_MINUTE
from proxy.settings import Settings
from tests.proxy.fake_model_server import FakeModelServer, models
from tests.proxy.operations import OPERATIONS, Operation, validator

WRONG = "?"
LARGE_BYTES = 6 << 20


@dataclass(frozen=True)
class Asked:
    """A request made of examples. values: by place (`body` among them) and name."""

    operation: Operation
    values: dict[tuple[str, str], Any]

    def said(self, place: str) -> dict[str, Any]:
        return {name: value for (where, name), value in self.values.items() if where == place}

    async def send(self, client: httpx.AsyncClient) -> httpx.Response:
        path = self.operation.path.format(**{name: quote(value) for name, value in self.said("path").items()})
        return await client.request(
            self.operation.method,
            path,
            params=self.said("query"),
            headers=self.said("header"),
            json=self.said("body") if self.operation.body else None,
        )


def asked(operation: Operation) -> Asked:
    body = {("body", name): schema for name, schema in operation.body.items()}
    schemas = operation.parameters | body
    return Asked(operation, {key: schema["examples"][0] for key, schema in schemas.items() if key[0] != "header"})


ADDRESS = "127.0.0.1"
Fault = Callable[[FakeModelServer], None]


@asynccontextmanager
async def connected(
    fault: Fault = lambda _: None, *, has_state: bool = True, **settings: object
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a new application, over a model server that has the fault and the size that the examples have.

    Another request of the client is under way.
    """
    fake = FakeModelServer()
    fake.models = models("emoji", ((128, 128),))
    fault(fake)
    app = create_app(Settings(**settings), fake.transport())
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(ADDRESS, 1))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://e") as client,
        AsyncExitStack() as stack,
    ):
        state = app.state
        stack.enter_context(state.service.queue.admitted(ADDRESS))
        app.state = state if has_state else State()
        yield client
        app.state = state


def missing(fake: FakeModelServer) -> None:
    fake.states["emoji_decoder"] = "UNLOADING"


def nonsense(fake: FakeModelServer) -> None:
    fake.override = lambda _method, _path: (200, b"{")


def late(fake: FakeModelServer) -> None:
    def never(_method: str, path: str) -> None:
        if path.endswith(":predict"):
            raise httpx.ReadTimeout("too late")

    fake.override = never


def broken(fake: FakeModelServer) -> None:
    def bug(_method: str, _path: str) -> None:
        raise RuntimeError("nobody thought of this")

    fake.override = bug


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
async def test_the_examples_are_a_request_that_is_understood(operation: Operation) -> None:
    """All of them together; only the job of the example is not there any more."""
    async with connected() as client:
        answer = await asked(operation).send(client)
    assert answer.status_code in ((404,) if "job" in str(operation.parameters) else (200,))
    content = operation.responses[str(answer.status_code)]["content"]
    assert answer.headers["content-type"].split(";")[0] in content


async def errors_of(operation: Operation, no_keys: Path) -> AsyncIterator[httpx.Response]:
    """What comes when a parameter is wrong, the body large, a model away, or the proxy busy, late, closed or broken."""
    good = asked(operation)
    async with connected() as client:
        for key in good.values:
            yield await replace(good, values={**good.values, key: WRONG}).send(client)
        yield await replace(good, values={}).send(client) if not good.said("path") else await good.send(client)
        if operation.body:
            yield await client.request(operation.method, operation.path, content=b" " * LARGE_BYTES)
            yield await client.request(operation.method, operation.path, content=b"\xff\xfe")
    for fault in (missing, nonsense, broken):
        async with connected(fault) as client:
            yield await good.send(client)
    async with connected(late, request_seconds=0.3) as client:
        yield await good.send(client)
    for settings in ({"requests_per_caller": 1}, {"request_seconds": 1e-6}):
        async with connected(**settings) as client:
            yield await good.send(client)
    async with connected(api_keys_file=no_keys) as client:
        for i in range(FAILURES_PER_MINUTE + 1):
            client.headers["Authorization"] = f"Bearer guessed.{i}"
            yield await good.send(client)
    async with connected(requests_per_minute_per_address=1) as client:
        await client.get("/models")
        yield await good.send(client)
    async with connected(has_state=False) as client:
        yield await good.send(client)


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
async def test_what_comes_is_what_is_described(operation: Operation, tmp_path: Path) -> None:
    """Every error that can be brought about has a status that is listed, and its shape; none that is listed cannot."""
    seen = {"499"}  # the test after this one
    (no_keys := tmp_path / "keys.toml").touch()
    async for answer in errors_of(operation, no_keys):
        status = str(answer.status_code)
        assert status in operation.responses, answer.text
        if status in operation.errors:
            seen.add(status)
            content = operation.errors[status]["content"]
            assert answer.headers["content-type"] == "application/json"
            validator(content["application/json"]["schema"]).validate(answer.json())
    assert operation.errors.keys() - seen <= {"500"}


async def test_an_interrupt_comes_as_it_is_described() -> None:
    """The example of one request ends the example of another."""
    drawing, interrupting = (
        next(asked(each) for each in OPERATIONS if each.path == f"/sdapi/v1/{name}")
        for name in ("txt2img", "interrupt")
    )
    fake = FakeModelServer()
    fake.models = models("emoji", ((128, 128),))

    async def interrupt(path: str) -> None:
        if path.endswith("diffusion_model:predict"):
            assert (await interrupting.send(client)).status_code == 200

    app = create_app(Settings(), fake.transport(interrupt))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://e") as client,
    ):
        answer = await drawing.send(client)
    described = [str(operation) for operation in OPERATIONS if "499" in operation.errors]
    assert (answer.status_code, described) == (499, [str(drawing.operation)])
    schema = drawing.operation.errors["499"]["content"]["application/json"]["schema"]
    validator(schema).validate(answer.json())
