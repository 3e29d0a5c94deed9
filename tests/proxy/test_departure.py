"""Over real sockets, whose buffers are known: clients that take their answers slowly, or not at all."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import uvicorn
import uvloop
from starlette.responses import Response
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from proxy.api.arrival import PatientProtocol

READ_SECONDS = 1
SEND_BYTES, RECEIVE_BYTES = 1 << 14, 1 << 11
REQUEST = b"GET / HTTP/1.1\r\nHost: easel\r\n\r\n"
LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])


def answering(size: int) -> ASGIApp:
    return Response(b"x" * size)


@asynccontextmanager
async def asked(size: int, read_seconds: float = READ_SECONDS) -> AsyncIterator[tuple[ServerState, socket.socket]]:
    """A server that answers with so many bytes, and the connection of a client that has asked it."""
    config = uvicorn.Config(answering(size), log_config=None)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as client:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        client.setblocking(False)
        server = await loop.create_server(
            lambda: PatientProtocol(config, state, {}, read_seconds=read_seconds), sock=listening
        )
        await loop.sock_connect(client, listening.getsockname())
        await loop.sock_sendall(client, REQUEST)
        try:
            yield state, client
        finally:
            server.close()
            for connection in list(state.connections):
                connection.transport.abort()


async def cut_off(state: ServerState) -> bool:
    """Whether the server soon has no connection any more."""
    for _ in range(1000):
        if state.connections:
            await asyncio.sleep(0.05)
    return not state.connections


@LOOPS
def test_the_end_of_an_answer_does_not_wait_for_ever(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """A few kilobytes that are left of one that is complete: who takes nothing of it is cut off."""

    async def ask() -> None:
        async with asked(80_000) as (state, client):
            await asyncio.get_running_loop().sock_recv(client, 1)
            assert state.connections
            assert await cut_off(state)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(ask())


@LOOPS
@pytest.mark.parametrize(("portion", "pause", "is_enough"), [(400, 0.1, False), (1600, 0.02, True)])
def test_who_takes_too_little_is_cut_off(
    loop: Callable[[], asyncio.AbstractEventLoop], portion: int, pause: float, is_enough: bool
) -> None:
    """Who takes 4 kB a second at most is cut off; who takes 80 kB at most gets all of it, after a check or more."""
    size, read_seconds = (300_000, 3) if is_enough else (150_000, READ_SECONDS)

    async def take(client: socket.socket) -> int:
        count = 0
        while count < size and (got := await asyncio.get_running_loop().sock_recv(client, portion)):
            count += len(got)
            await asyncio.sleep(pause)
        return count

    async def ask() -> None:
        async with asked(size, read_seconds) as (state, client):
            taking = asyncio.create_task(take(client))
            if is_enough:
                assert await taking >= size
            else:
                was_cut_off = await cut_off(state)
                taking.cancel()
                assert was_cut_off

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(ask())
