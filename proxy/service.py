"""One request from parameters to pictures: tokens, seeds, size, and the loop over the served models."""

import asyncio
import logging
import math
import secrets
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from proxy import metrics
from proxy.catalogue import Catalogue
from proxy.contexts import Contexts
from proxy.course import Course, Watcher
from proxy.deadline import Deadline
from proxy.errors import BadModelAnswerError, InvalidParametersError, ReplacedError
from proxy.families import Family, Size
from proxy.generation import Drawing, Recipe, generate
from proxy.model_server import ModelServer
from proxy.noise import DISTINCT_SEEDS, picture_seeds
from proxy.pace import CappedPace, FixedPace, LearnedPace, Pace
from proxy.pictures import Format, encode, grid
from proxy.queue import Queue
from proxy.retries import ACCEPTED, AT_ARRIVAL, Retries
from proxy.samplers import SAMPLERS
from proxy.served_models import ServedModels
from proxy.stages import stage
from proxy.tokenizer import Tokenizer, Tokens

_log = logging.getLogger(__name__)

T = TypeVar("T")

# Parameters that change how the work is cut up, and nothing in the picture: files do not keep them.
_INDIFFERENT = {"steps_per_call", "deadline_seconds"}


@dataclass(frozen=True)
class Order:
    """What is asked for; the service fills in what is None. Sizes in pixels."""

    caption: str
    negative_caption: str
    steps: int
    guidance_scale: float
    seed: int | None
    sampler: str
    n: int
    width: int | None
    height: int | None
    format: Format
    family: str | None
    steps_per_call: int | None
    deadline_seconds: float | None = None


@dataclass(frozen=True)
class Result:
    """What was drawn.

    order: with nothing left open; the same order draws the same pictures.
    pictures: (n, H, W, 3) uint8; seeds: of each.
    dropped_caption, dropped_negative_caption: what the network never read, empty if it read all.
    versions: of every model that took part. seconds: per stage.
    """

    order: Order
    pictures: NDArray[np.uint8]
    seeds: list[int]
    dropped_caption: str
    dropped_negative_caption: str
    versions: dict[str, str]
    seconds: dict[str, float]

    def record(self, picture: int | None = None) -> dict[str, object]:
        """The parameters to store in the file: of all pictures together, or of one as if it had been drawn alone."""
        order = self.order if picture is None else replace(self.order, n=1, seed=self.seeds[picture])
        decisive = {name: value for name, value in parameters(order).items() if name not in _INDIFFERENT}
        return {**decisive, "models": _listed(self.versions)}

    async def grid_file(self) -> bytes:
        """All pictures in one file."""
        with stage("file"):
            return await asyncio.to_thread(lambda: encode(grid(self.pictures), self.order.format, self.record()))

    async def files(self) -> list[bytes]:
        """Each picture in a file of its own."""
        with stage("file"):
            return await asyncio.to_thread(
                lambda: [encode(picture, self.order.format, self.record(i)) for i, picture in enumerate(self.pictures)]
            )


def parameters(order: Order) -> dict[str, str | int | float | None]:
    """The order under the names that a request gives its parameters."""
    return {name: str(value) if name == "format" else value for name, value in vars(order).items()}


class Service:
    """Draws orders with the families of one model server."""

    def __init__(
        self,
        server: ModelServer,
        catalogue: Catalogue,
        tokenizer: Tokenizer,
        contexts: Contexts,
        queue: Queue,
        *,
        steps_per_call: int | None,
        rows_per_call: int,
        pixel_steps_per_request: int,
        request_seconds: float = math.inf,
    ) -> None:
        """request_seconds: how long a request may take that does not ask for less."""
        self.catalogue = catalogue
        self.tokenizer = tokenizer
        self.queue = queue
        self._server, self._contexts = server, contexts
        self._steps_per_call, self._rows_per_call = steps_per_call, rows_per_call
        self._pixel_steps_per_request = pixel_steps_per_request
        self._request_seconds = request_seconds
        self._learned: defaultdict[tuple[str, str, Size], LearnedPace] = defaultdict(LearnedPace)

    async def draw(self, order: Order, watcher: Watcher) -> Result:
        """Draw an order whose numbers are within bounds.

        Raises QueueFullError, TooManyRequestsError, InvalidParametersError, ModelServerError, FamilyMisfitError,
        DeadlineExceededError, and what the watcher raises.
        """
        deadline = Deadline.after(min(order.deadline_seconds or math.inf, self._request_seconds))
        course = Course(watcher, deadline)
        with metrics.drawing(), self.queue.admitted(watcher.caller):
            async with deadline.kept(course.reached):
                result = await self._draw(order, watcher, course)
        metrics.PICTURES.labels(result.order.family).inc(len(result.pictures))
        return result

    async def _draw(self, order: Order, watcher: Watcher, course: Course) -> Result:
        start = time.perf_counter()
        caption, negative_caption = self.tokenizer(order.caption), self.tokenizer(order.negative_caption)
        family, size = await Retries(course.stayed, AT_ARRIVAL)(lambda: self.choose(order))
        seed = secrets.randbelow(DISTINCT_SEEDS) if order.seed is None else order.seed
        seeds = picture_seeds(seed, order.n)
        order = replace(order, seed=seed, steps_per_call=order.steps_per_call or self._steps_per_call)
        async with self.queue.place(watcher.caller, course.queued):
            while True:
                recipe = _recipe(order, caption, negative_caption, seeds, size)
                pace = self._pace(order, family, size, watcher.most_steps_per_call)
                try:
                    drawing = await self._generate(family, size, recipe, pace, course)
                    break
                except ReplacedError as exc:
                    family, size = await Retries(course.stayed, ACCEPTED)(lambda: self.choose(order))
                    _log.warning("%s; the picture begins again, by %s", exc, _listed(family.versions))
                except BadModelAnswerError:
                    self.catalogue.forget(family)  # perhaps its shapes are others now, under the same versions
                    raise
        return Result(
            replace(order, width=size.width, height=size.height, family=family.name),
            drawing.pictures,
            seeds,
            caption.dropped,
            negative_caption.dropped,
            dict(family.versions),
            {**drawing.seconds, "total": time.perf_counter() - start},
        )

    async def _generate(self, family: Family, size: Size, recipe: Recipe, pace: Pace, course: Course) -> Drawing:
        """All of it by the versions that the family was learned from. Raises ReplacedError when there are others."""
        return await generate(
            ServedModels(self._server, family, size, self._contexts, course.stayed),
            recipe,
            pace=pace,
            rows_per_call=self._rows_per_call,
            checkpoint=course.progressed,
            again=Retries(course.stayed, ACCEPTED, explain=lambda: self.catalogue.reconsider(family)),
        )

    def _pace(self, order: Order, family: Family, size: Size, most: int | None) -> Pace:
        """As the order or the settings have it; otherwise what was learned of this version of the network.

        most: how many steps may pass at most without a word.
        """
        model = family.diffusion_model
        pace = (
            self._learned[model, family.versions[model], size]
            if order.steps_per_call is None
            else FixedPace(order.steps_per_call)
        )
        return pace if most is None else CappedPace(pace, most, order.steps)

    async def choose(self, order: Order) -> tuple[Family, Size]:
        """The order's family and size. Raises InvalidParametersError, listing what there is; ModelServerError."""
        names = self.catalogue.names
        name = names[0] if order.family is None else order.family
        if name not in names:
            raise InvalidParametersError.one("family", name, f"one of {', '.join(names)}")
        family = await self.catalogue.family(name)
        size = _match(family.sizes, order)
        if size is None:
            listed = f"a size of family {name}: {', '.join(map(str, family.sizes))}"
            asked = {"width": order.width, "height": order.height}
            raise InvalidParametersError.several(
                [{"parameter": key, "received": value, "allowed": listed} for key, value in asked.items() if value]
            )
        if order.steps * order.n * size.width * size.height > self._pixel_steps_per_request:
            most = self._pixel_steps_per_request // (size.width * size.height)
            listed = f"steps times n of at most {most} at {size}, by the settings of this proxy"
            raise InvalidParametersError.several(
                [{"parameter": key, "received": getattr(order, key), "allowed": listed} for key in ("steps", "n")]
            )
        return family, size


def _recipe(order: Order, caption: Tokens, negative_caption: Tokens, seeds: list[int], size: Size) -> Recipe:
    table = SAMPLERS[order.sampler](order.steps)
    return Recipe(caption.values, negative_caption.values, seeds, table, order.guidance_scale, size.latent_shape)


def _listed(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{model} {version}" for model, version in versions.items())


def _match(sizes: Sequence[Size], order: Order) -> Size | None:
    """The first size, the default before others, that has what the order asks for."""
    fitting = (size for size in sizes if order.width in (None, size.width) and order.height in (None, size.height))
    return next(fitting, None)
