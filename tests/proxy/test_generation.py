"""The loop, over a fake that writes down what it is asked."""

import asyncio
from dataclasses import dataclass, field

import numpy as np
import pytest

from proxy.generation import Guidance, Progress, Recipe, State, generate
from proxy.noise import initial_noise
from proxy.pace import FixedPace
from proxy.samplers import SAMPLERS

SHAPE = (2, 3, 4)


@dataclass
class FakeModels:
    """Captions are encoded at the same time; every step adds one to the latent; a picture shows its first number."""

    encoded: list[np.ndarray] = field(default_factory=list)
    denoised: list[tuple[State, Guidance, np.ndarray, np.ndarray]] = field(default_factory=list)
    decoded: list[np.ndarray] = field(default_factory=list)
    both: asyncio.Barrier = field(default_factory=lambda: asyncio.Barrier(2))

    async def encode(self, tokens: np.ndarray) -> str:
        self.encoded.append(tokens)
        await asyncio.wait_for(self.both.wait(), 10)
        return f"context of {tokens.sum()}"

    async def denoise(self, state: State, guidance: Guidance, timesteps: np.ndarray, coefficients: np.ndarray) -> State:
        self.denoised.append((state, guidance, timesteps, coefficients))
        return State(state.latent + np.float32(len(timesteps)), state.latent)

    async def decode(self, latent: np.ndarray) -> np.ndarray:
        self.decoded.append(latent)
        return np.full((len(latent), 1, 1, 3), latent[:, :1, :1, :1].astype(np.uint8))


class Checkpoint:
    """Lets `left` calls pass, then raises."""

    def __init__(self, left: int = 10_000) -> None:
        self.left = left
        self.progress: list[Progress] = []

    async def __call__(self, progress: Progress) -> None:
        self.progress.append(progress)
        if len(self.progress) > self.left:
            raise InterruptedError


def recipe(n: int = 1, steps: int = 7, sampler: str = "ddim") -> Recipe:
    tokens = np.arange(77, dtype=np.int32)
    return Recipe(tokens, tokens * 2, list(range(10, 10 + n)), SAMPLERS[sampler](steps), 3.5, SHAPE)


async def test_every_step_of_the_table_runs_once_in_order() -> None:
    models, plan = FakeModels(), recipe(steps=7)
    await generate(models, plan, pace=FixedPace(3), rows_per_call=16, checkpoint=Checkpoint())
    assert [len(timesteps) for _, _, timesteps, _ in models.denoised] == [3, 3, 1]
    assert np.concatenate([call[2] for call in models.denoised]).tolist() == plan.table.timesteps.tolist()
    assert (np.concatenate([call[3] for call in models.denoised]) == plan.table.coefficients).all()


@pytest.mark.parametrize("sampler", SAMPLERS)
async def test_the_first_latent_is_the_seeds_noise_scaled_for_the_sampler(sampler: str) -> None:
    models, plan = FakeModels(), recipe(n=3, sampler=sampler)
    await generate(models, plan, pace=FixedPace(150), rows_per_call=16, checkpoint=Checkpoint())
    first = models.denoised[0][0]
    expected = initial_noise([10, 11, 12], SHAPE) * np.float32(plan.table.initial_scale)
    assert (first.latent == expected).all()
    assert first.latent.dtype == np.float32
    assert not first.x0.any()


async def test_the_state_of_one_call_is_the_next_calls() -> None:
    models = FakeModels()
    await generate(models, recipe(steps=5), pace=FixedPace(2), rows_per_call=16, checkpoint=Checkpoint())
    start, middle = models.denoised[0][0], models.denoised[1][0]
    assert (middle.latent == start.latent + 2).all()
    assert (middle.x0 == start.latent).all()
    np.testing.assert_allclose(models.decoded[0], start.latent + 5, rtol=1e-6)


async def test_both_captions_guide() -> None:
    models = FakeModels()
    await generate(models, recipe(), pace=FixedPace(5), rows_per_call=16, checkpoint=Checkpoint())
    guidance = models.denoised[0][1]
    assert guidance == Guidance(f"context of {77 * 38}", f"context of {2 * 77 * 38}", 3.5)


@pytest.mark.parametrize("rows_per_call", [1, 2, 5, 16])
async def test_pictures_come_in_the_order_of_their_seeds_however_many_share_a_call(rows_per_call: int) -> None:
    models = FakeModels()
    drawing = await generate(
        models, recipe(n=5), pace=FixedPace(150), rows_per_call=rows_per_call, checkpoint=Checkpoint()
    )
    assert max(len(latent) for latent in models.decoded) == min(rows_per_call, 5)
    assert [tokens.shape for tokens in models.encoded] == [(77,), (77,)]
    expected = (initial_noise([10, 11, 12, 13, 14], SHAPE)[:, 0, 0, 0] + 7).astype(np.uint8)
    assert drawing.pictures[:, 0, 0, 0].tolist() == expected.tolist()
    assert drawing.seconds.keys() == {"text_encoder", "diffusion_model", "decoder"}


async def test_nothing_is_called_after_the_checkpoint_raises() -> None:
    """Four checks pass: one for both captions and three for the first of the ten denoising calls."""
    models = FakeModels()
    with pytest.raises(InterruptedError):
        await generate(models, recipe(steps=10), pace=FixedPace(1), rows_per_call=16, checkpoint=Checkpoint(4))
    assert len(models.encoded) == 2
    assert len(models.denoised) == 3
    assert models.decoded == []


async def test_there_is_a_check_before_every_call() -> None:
    """It says how far the work is, of all pictures, and can show what they look like."""
    models, checkpoint = FakeModels(), Checkpoint()
    await generate(models, recipe(n=3, steps=10), pace=FixedPace(5), rows_per_call=2, checkpoint=checkpoint)
    assert [(each.step, each.steps) for each in checkpoint.progress] == [
        (step, 20) for step in (0, 0, 5, 10, 10, 15, 20)
    ]
    shown = [each.preview for each in checkpoint.progress]
    assert [preview is None for preview in shown] == [True, True, False, False, True, False, False]
    assert shown[2] is not None
    pictures = await shown[2]()
    assert pictures.shape == (2, 1, 1, 3)
    assert (models.decoded[-1] == models.denoised[0][0].latent).all(), "the fake's prediction is the state before"


class Paces(FixedPace):
    """Two steps a call; writes down what it is told."""

    def __init__(self) -> None:
        super().__init__(2)
        self.told: list[tuple[str, int, int]] = []

    def took(self, rows: int, steps: int, seconds: float) -> None:
        assert seconds > 0
        self.told.append(("took", rows, steps))

    def failed(self, rows: int) -> None:
        self.told.append(("failed", rows, 0))


async def test_the_pace_is_told_how_calls_went() -> None:
    models, pace = FakeModels(), Paces()
    await generate(models, recipe(n=3, steps=5), pace=pace, rows_per_call=2, checkpoint=Checkpoint())
    assert pace.told == [("took", 2, 2), ("took", 2, 2), ("took", 2, 1), ("took", 1, 2), ("took", 1, 2), ("took", 1, 1)]


async def test_the_pace_is_told_of_a_call_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    models, pace = FakeModels(), Paces()

    async def refuse(*_: object) -> State:
        raise ConnectionError

    monkeypatch.setattr(models, "denoise", refuse)
    with pytest.raises(ConnectionError):
        await generate(models, recipe(n=3), pace=pace, rows_per_call=16, checkpoint=Checkpoint())
    assert pace.told == [("failed", 3, 0)]
