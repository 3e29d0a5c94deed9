"""The denoising loop: tokens and seeds in, pictures out, over any three functions that run the networks."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from proxy.noise import initial_noise
from proxy.pace import Pace
from proxy.samplers import Table
from proxy.stages import stage

T = TypeVar("T")

Context: TypeAlias = object
"""What a text encoder makes of a caption; only the networks look into it."""


@dataclass(frozen=True)
class State:
    """What one denoising step hands to the next.

    latent: (batch, h, w, 4) float32.
    x0: (batch, h, w, 4) float32, the previous step's prediction of the clean latent; zeros before the first.
    """

    latent: NDArray[np.float32]
    x0: NDArray[np.float32]


@dataclass(frozen=True)
class Guidance:
    """What all pictures of a request are drawn towards, and away from.

    context, unconditional_context: of the caption and of the negative caption.
    scale: how far beyond the unconditional prediction to go; 1 is the plain conditional one.
    """

    context: Context
    unconditional_context: Context
    scale: float


class Models(Protocol):
    """The three networks, wherever they run."""

    async def encode(self, tokens: NDArray[np.int32]) -> Context:
        """Tokens (77,) of one caption to its context."""

    async def denoise(
        self, state: State, guidance: Guidance, timesteps: NDArray[np.int32], coefficients: NDArray[np.float32]
    ) -> State:
        """Run the k (up to 25) steps that timesteps (k,) and coefficients (k, 5) describe on every row of the state."""

    async def decode(self, latent: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Latent (batch, h, w, 4) to pictures (batch, H, W, 3)."""


@dataclass(frozen=True)
class Progress:
    """How far a request is, between two calls of a network.

    step: denoising steps that are done, of `steps`; pictures of one call take theirs together.
    preview: decodes what the pictures under way (rows, H, W, 3) will probably look like; None before the first step.
    """

    step: int
    steps: int
    preview: Callable[[], Awaitable[NDArray[np.uint8]]] | None = None


Checkpoint: TypeAlias = Callable[[Progress], Awaitable[None]]
"""Awaited before every call of a network; what it raises ends the work."""


class Again(Protocol):
    """Makes a call of a network, and makes it again if that may help."""

    async def __call__(self, call: Callable[[], Awaitable[T]]) -> T:
        """What the call returns in the end, or raises."""


async def once(call: Callable[[], Awaitable[T]]) -> T:
    """Makes a call, and never again."""
    return await call()


@dataclass(frozen=True)
class Recipe:
    """All that decides what the pictures look like.

    tokens, negative_tokens: (77,) int32.
    seeds: one per picture.
    latent_shape: (h, w, 4).
    """

    tokens: NDArray[np.int32]
    negative_tokens: NDArray[np.int32]
    seeds: list[int]
    table: Table
    guidance_scale: float
    latent_shape: tuple[int, int, int]


@dataclass(frozen=True)
class Drawing:
    """The finished pictures, (n, H, W, 3) uint8, and the seconds that each network took."""

    pictures: NDArray[np.uint8]
    seconds: dict[str, float]


async def generate(
    models: Models, recipe: Recipe, *, pace: Pace, rows_per_call: int, checkpoint: Checkpoint, again: Again = once
) -> Drawing:
    """Draw the recipe's pictures, at most `rows_per_call` at once.

    pace: how many steps each call has. again: makes the calls.
    Raises whatever the models and the checkpoint raise.
    """
    seconds: dict[str, float] = {}
    steps = len(recipe.table.timesteps)
    rounds = math.ceil(len(recipe.seeds) / rows_per_call)
    with stage("text_encoder", seconds):
        await checkpoint(Progress(0, rounds * steps))
        # Each alone, so that a context does not depend on its company, and can be kept for other requests.
        context, unconditional = await again(
            lambda: asyncio.gather(models.encode(recipe.tokens), models.encode(recipe.negative_tokens))
        )
    guidance = Guidance(context, unconditional, recipe.guidance_scale)

    pictures = []
    for number in range(rounds):
        seeds = recipe.seeds[number * rows_per_call : (number + 1) * rows_per_call]

        async def report(done: int, state: State, before: int = number * steps) -> None:
            """Count the steps of the pictures before these as well."""
            preview = partial(again, partial(models.decode, state.x0)) if done else None
            await checkpoint(Progress(before + done, rounds * steps, preview))

        noise = await asyncio.to_thread(initial_noise, seeds, recipe.latent_shape)
        with stage("diffusion_model", seconds):
            latent = await denoise(models, noise, guidance, recipe.table, pace, report, again)
        with stage("decoder", seconds):
            pictures.append(await again(partial(models.decode, latent)))
    # Most requests have all of their pictures in one array, megabytes that need no copy.
    together = pictures[0] if len(pictures) == 1 else await asyncio.to_thread(np.concatenate, pictures)
    return Drawing(together, seconds)


async def denoise(
    models: Models,
    noise: NDArray[np.float32],
    guidance: Guidance,
    table: Table,
    pace: Pace,
    report: Callable[[int, State], Awaitable[None]],
    again: Again = once,
) -> NDArray[np.float32]:
    """Follow the table from unit noise (batch, h, w, 4) to the clean latent of the same shape.

    report: awaited with the steps done and the state, before each call and after the last; what it raises ends it.
    """
    state = State(noise * np.float32(table.initial_scale), np.zeros_like(noise))
    rows, done, end = len(noise), 0, len(table.timesteps)

    async def call() -> tuple[int, State]:
        """The next steps, of which there may be fewer when the call is made again."""
        count = pace.steps(rows, end - done)
        steps = slice(done, done + count)
        start = time.perf_counter()
        try:
            after = await models.denoise(state, guidance, table.timesteps[steps], table.coefficients[steps])
        except Exception:
            pace.failed(rows)
            raise
        pace.took(rows, count, time.perf_counter() - start)
        return count, after

    await report(done, state)
    while done < end:
        count, state = await again(call)
        done += count
        await report(done, state)
    return state.latent
