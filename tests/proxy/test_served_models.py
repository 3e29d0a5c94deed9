"""The three networks over the client of TensorFlow Serving: what is sent, and what of the answers is believed."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import httpx
import numpy as np
import pytest

from proxy import wire
from proxy.contexts import Contexts
from proxy.errors import AbandonedError, BadModelAnswerError
from proxy.families import NETWORKS, Family, Size, model_name
from proxy.generation import Guidance, State
from proxy.model_server import ModelServer
from proxy.pace import MOST_STEPS_PER_CALL
from proxy.served_models import ServedModels
from tests.proxy import fake_networks as networks
from tests.proxy.fake_model_server import FakeModelServer
from tests.proxy.fake_networks import PIXELS, SIDE, WIDTH
from tests.proxy.fleet import servers_of

SHAPE = (SIDE, SIDE, 4)
SIZE = Size(PIXELS, PIXELS, SHAPE, "")
FAMILY = Family("emoji", 77, WIDTH, (SIZE,), dict.fromkeys(map(partial(model_name, "emoji"), NETWORKS), "1"))


def served(fake: FakeModelServer) -> ServedModels:
    client = httpx.AsyncClient(transport=fake.transport(), base_url="http://tf")
    return ServedModels(ModelServer(servers_of([client])), FAMILY, SIZE, Contexts(1_000_000))


def state(batch: int = 2) -> State:
    values = np.random.default_rng(0).normal(size=(2, batch, *SHAPE)).astype(np.float32)
    return State(values[0], values[1])


CONTEXTS = np.random.default_rng(1).normal(size=(2, 77, WIDTH)).astype(np.float32)


GUIDANCE = Guidance(wire.raw(CONTEXTS[0]), wire.raw(CONTEXTS[1]), 7.5)


TIMESTEPS = np.array([999, 500], np.int32)
COEFFICIENTS = np.arange(10, dtype=np.float32).reshape(2, 5) / 7

CALLS: dict[str, Callable[[ServedModels], Awaitable[Any]]] = {
    "emoji_text_encoder": lambda models: models.encode(np.zeros(77, np.int32)),
    "emoji_diffusion_model": lambda models: models.denoise(state(), GUIDANCE, TIMESTEPS, COEFFICIENTS),
    "emoji_decoder": lambda models: models.decode(state().latent),
}


def hand_made_denoise(sent: State) -> State:
    """The formula of `denoise`, without any wire."""
    x, x0 = sent.latent, sent.x0
    for timestep, (p, q, a, b, c) in zip(TIMESTEPS, COEFFICIENTS, strict=True):
        embedding = networks.timestep_embedding(int(timestep))
        conditional, plain = (
            networks.diffusion_model(x, embedding, np.stack([context] * len(x))) for context in CONTEXTS
        )
        new = p * x + q * (plain + np.float32(7.5) * (conditional - plain))
        x, x0 = a * x + b * new + c * x0, new
    return State(x, x0)


async def test_denoise_sends_every_rows_state_and_the_table() -> None:
    fake = FakeModelServer()
    sent = state()
    answer = await served(fake).denoise(sent, GUIDANCE, TIMESTEPS, COEFFICIENTS)
    method, path, body = fake.calls[0]
    assert (method, path) == ("POST", "/v1/models/emoji_diffusion_model:predict")
    assert body["signature_name"] == "denoise"
    inputs = body["inputs"]
    assert inputs["guidance_scale"] == [7.5, 7.5]
    assert [row[:2] for row in inputs["timesteps"]] == [[999, 500]] * 2
    assert (np.array(inputs["coefficients"], np.float32)[:, :2] == COEFFICIENTS).all()
    assert inputs["latent_bytes"][0] != inputs["latent_bytes"][1]
    assert inputs["context_bytes"] == [GUIDANCE.context] * 2
    assert inputs["unconditional_context_bytes"] == [GUIDANCE.unconditional_context] * 2
    assert answer.latent.shape == answer.x0.shape == sent.latent.shape
    expected = hand_made_denoise(sent)
    np.testing.assert_array_equal(answer.latent, expected.latent)
    np.testing.assert_array_equal(answer.x0, expected.x0)


@pytest.mark.parametrize("steps", [1, 2, 24, 25])
async def test_tables_have_one_shape_whatever_the_number_of_steps(steps: int) -> None:
    """TensorFlow Serving fails a whole batch whose tables differ; rows of zeros are no steps."""
    fake = FakeModelServer()
    table = np.random.default_rng(2).uniform(0.1, 1, (steps, 5)).astype(np.float32)
    await served(fake).denoise(state(), GUIDANCE, np.arange(steps, 0, -1, np.int32), table)
    timesteps, coefficients = (np.array(fake.calls[0][2]["inputs"][name]) for name in ("timesteps", "coefficients"))
    assert timesteps.shape == (2, MOST_STEPS_PER_CALL)
    assert coefficients.shape == (2, MOST_STEPS_PER_CALL, 5)
    assert coefficients[:, :steps].all()
    assert timesteps[:, :steps].all()
    assert not coefficients[:, steps:].any()
    assert not timesteps[:, steps:].any()


@pytest.mark.parametrize("model", CALLS)
async def test_bodies_are_written_and_read_off_the_event_loop(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With pictures of full size they are megabytes, and everybody else would wait."""
    threads: dict[str, list[threading.Thread]] = {}

    def watched(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            threads.setdefault(name, []).append(threading.current_thread())
            return function(*args)

        return call

    for name in ("raw", "request", "columns", "array", "opaque_row"):
        monkeypatch.setattr(wire, name, watched(name, getattr(wire, name)))
    await CALLS[model](served(FakeModelServer()))
    assert threads.keys() >= {"request", "columns", "opaque_row" if model == "emoji_text_encoder" else "array"}
    assert not [name for name, seen in threads.items() if threading.main_thread() in seen]


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
async def test_a_context_comes_as_it_is_and_goes_as_it_came(dtype: type) -> None:
    """In whatever precision the encoder writes it: not one character differs on the way to `denoise`."""
    fake, tokens = FakeModelServer(), np.arange(77, dtype=np.int32)
    fake.tamper = lambda _, raw: np.frombuffer(raw, np.float32).astype(dtype).tobytes()
    context = await served(fake).encode(tokens)
    assert context == wire.raw(networks.text_encoder(tokens[None])[0].astype(dtype))
    assert fake.calls[0][2]["inputs"]["tokens"] == [tokens.tolist()]
    fake.override = lambda _method, _path: (418, b"")
    with pytest.raises(BadModelAnswerError):
        await served(fake).denoise(state(), Guidance(context, context, 7.5), TIMESTEPS, COEFFICIENTS)
    assert fake.calls[1][2]["inputs"]["context_bytes"] == [context] * 2


async def test_a_caption_is_encoded_once_for_all_requests() -> None:
    fake, tokens = FakeModelServer(), np.arange(77, dtype=np.int32)
    models = served(fake)
    contexts = await asyncio.gather(*(models.encode(tokens.copy()) for _ in range(5)))
    assert len(fake.calls) == 1
    assert all(context is contexts[0] for context in contexts)
    assert await models.encode(tokens + 1) != contexts[0]
    assert len(fake.calls) == 2


async def test_contexts_of_another_family_are_other_contexts() -> None:
    """Also of the same models, learned again: they may be others now."""
    fake, tokens, contexts = FakeModelServer(), np.arange(77, dtype=np.int32), Contexts(1_000_000)
    for _ in range(2):
        family = Family("emoji", 77, WIDTH, (SIZE,), {"emoji_text_encoder": "1"})
        client = httpx.AsyncClient(transport=fake.transport(), base_url="http://tf")
        for _ in range(2):
            await ServedModels(ModelServer(servers_of([client])), family, SIZE, contexts).encode(tokens)
    assert len(fake.calls) == 2


async def test_pictures_have_the_metadatas_shape() -> None:
    models = served(FakeModelServer())
    pictures = await models.decode(state(3).latent)
    assert pictures.shape == (3, PIXELS, PIXELS, 3)
    assert pictures.dtype == np.uint8


@pytest.mark.parametrize("model", CALLS)
@pytest.mark.parametrize(
    ("tamper", "complaint"),
    [
        (lambda raw: raw[:-1], "bytes instead of"),
        (lambda raw: raw + b"\0", "bytes instead of"),
        (lambda _: b"", "bytes instead of"),
    ],
)
async def test_bytes_of_another_length_are_a_bad_answer(
    model: str, tamper: Callable[[bytes], bytes], complaint: str
) -> None:
    fake = FakeModelServer()
    fake.tamper = lambda _, raw: tamper(raw)
    with pytest.raises(BadModelAnswerError, match=complaint) as caught:
        await CALLS[model](served(fake))
    assert caught.value.details[0]["model"] == model


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("model", ["emoji_text_encoder", "emoji_diffusion_model"])
async def test_values_that_are_not_finite_are_a_bad_answer(model: str, value: float) -> None:
    fake = FakeModelServer()
    fake.tamper = lambda _, raw: raw[:-4] + np.float32(value).tobytes()
    with pytest.raises(BadModelAnswerError, match="not finite"):
        await CALLS[model](served(fake))


async def test_a_picture_of_zeros_is_a_bad_answer() -> None:
    """A decoder that overflowed: NaN becomes 0 in uint8."""
    fake = FakeModelServer()
    fake.tamper = lambda _, raw: bytes(len(raw))
    with pytest.raises(BadModelAnswerError, match=r"emoji_decoder.*zeros"):
        await CALLS["emoji_decoder"](served(fake))


async def test_the_darkest_picture_of_the_fake_is_none_of_zeros() -> None:
    """Otherwise some seeds, of those that tests leave to chance, would be answered with 502."""
    assert (await served(FakeModelServer()).decode(np.full((1, *SHAPE), -1e6, np.float32))).all()


@pytest.mark.parametrize("model", CALLS)
@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"outputs": 5}', b'{"outputs": [{"b64": "AA=="}]}', b'{"predictions": []}']
)
async def test_garbage_is_a_bad_answer(model: str, body: bytes) -> None:
    fake = FakeModelServer()
    fake.override = lambda _method, _path: (200, body)
    with pytest.raises(BadModelAnswerError, match=model):
        await CALLS[model](served(fake))


async def test_who_left_is_noticed_before_another_server_is_asked(fake: FakeModelServer) -> None:
    """A context is encoded all the same: others may wait for it."""
    failed = list[str]()

    def fail_once(_: str, path: str) -> tuple[int, bytes] | None:
        if path in failed:
            return None
        failed.append(path)
        return 503, b"{}"

    async def left() -> None:
        raise AbandonedError("left")

    fake.override = fail_once
    clients = [httpx.AsyncClient(transport=fake.transport(), base_url=url) for url in ("http://a", "http://b")]
    models = ServedModels(ModelServer(servers_of(clients)), FAMILY, SIZE, Contexts(0), left)
    context = await models.encode(np.zeros(77, np.int32))
    steps = np.zeros(1, np.int32), np.zeros((1, 5), np.float32)
    with pytest.raises(AbandonedError):
        await models.denoise(state(), Guidance(context, context, 1.0), *steps)
    with pytest.raises(AbandonedError):
        await models.decode(state().latent)
    calls = [path.split("_")[1].partition(":")[0] for _, path, _ in fake.calls if path.endswith(":predict")]
    assert calls == ["text", "text", "diffusion", "decoder"]
