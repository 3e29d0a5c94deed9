"""The fault proxy does what it is told to an answer, and nothing to others."""

from collections.abc import AsyncIterator

import httpx
import numpy as np
import pytest

from proxy import wire
from tests.chaos.fault_proxy import Fault, FaultProxy
from tests.proxy import fake_networks as networks
from tests.proxy.fake_model_server import FakeModelServer, running
from tests.proxy.fake_networks import PIXELS, SIDE

STATUS = "/v1/models/emoji_decoder"
LATENT = np.ones((SIDE, SIDE, 4), np.float32)
DECODE = wire.request("decode", {"latent_bytes": [wire.raw(LATENT)]})
TOKENS = np.arange(77, dtype=np.int32)
ENCODE = wire.request("encode", {"tokens": [TOKENS]})


@pytest.fixture
async def proxy() -> AsyncIterator[FaultProxy]:
    with running(FakeModelServer()) as server:
        async with FaultProxy(server.server_address[1]) as opened:
            yield opened


@pytest.fixture
async def client(proxy: FaultProxy) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{proxy.port}", trust_env=False) as opened:
        yield opened


async def decode(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post(f"{STATUS}:predict", content=DECODE)


async def test_nothing_is_changed_by_itself(client: httpx.AsyncClient) -> None:
    for _ in range(3):
        answer = await decode(client)
        pixels = wire.array(
            wire.columns(answer.content, ["image_bytes"])["image_bytes"], np.uint8, (1, PIXELS, PIXELS, 3)
        )
        assert (pixels == ((networks.decoder(LATENT[None]) + 1) / 2 * 255).clip(0, 255).astype(np.uint8)).all()


@pytest.mark.parametrize("fault", Fault)
async def test_a_fault_is_done_to_one_answer_of_a_network(
    proxy: FaultProxy, client: httpx.AsyncClient, fault: Fault
) -> None:
    right = (await decode(client)).content
    proxy.arm(fault)
    assert (await client.get(STATUS)).json()["model_version_status"]
    assert proxy.done[fault] == 0
    if fault is Fault.DROP:
        with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
            await decode(client)
    else:
        spoiled = await decode(client)
        assert spoiled.status_code == 200
        if fault is Fault.TRUNCATE:
            assert right.startswith(spoiled.content)
            assert len(spoiled.content) == len(right) // 2
        else:
            column = wire.columns(spoiled.content, ["image_bytes"])["image_bytes"]
            assert not wire.array(column, np.uint8, (1, PIXELS, PIXELS, 3)).any(), "what NaN is in an image"
    assert proxy.done[fault] == 1
    assert (await decode(client)).content == right


async def test_numbers_become_nan(proxy: FaultProxy, client: httpx.AsyncClient) -> None:
    proxy.arm(Fault.NAN)
    answer = await client.post("/v1/models/emoji_text_encoder:predict", content=ENCODE)
    with pytest.raises(ValueError, match="not finite"):
        wire.opaque_row(wire.columns(answer.content, ["context_bytes"])["context_bytes"], 77 * networks.WIDTH)


async def test_a_closed_one_resets_and_refuses_until_it_is_opened(proxy: FaultProxy, client: httpx.AsyncClient) -> None:
    await client.get(STATUS)
    proxy.close()
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        await client.get(STATUS)
    with pytest.raises(httpx.ConnectError):
        await client.get(STATUS)
    await proxy.open()
    assert (await client.get(STATUS)).is_success
