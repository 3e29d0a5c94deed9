"""Which families there are now: learned from metadata once, learned again when a model's version changed."""

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Mapping, Sequence
from typing import TypeVar

import orjson

from proxy.errors import (
    BadModelAnswerError,
    EaselError,
    FamilyMisfitError,
    ModelServerError,
    ModelUnavailableError,
    NotReadyError,
    ReplacedError,
    UnreachableError,
)
from proxy.families import NETWORKS, Family, Version, fit_together, model_name, parse_model
from proxy.flights import Flights
from proxy.model_server import ModelServer
from proxy.servers import PROBE_SECONDS

T = TypeVar("T")

_DESCRIBED_SECONDS = 60.0
# A crowd that waits for a server, or has just lost one, asks no more often than this.
_SHARED_SECONDS = 0.25


class Catalogue:
    """The families of one model server, learned when first asked for and kept while their models' versions stay."""

    def __init__(
        self, server: ModelServer, names: Sequence[str], token_length: int, *, fresh_seconds: float = 5.0
    ) -> None:
        """names: of the families, the default first; token_length: the tokenizer's; fresh_seconds: see `family`."""
        self.names = tuple(names)
        self._server, self._token_length, self._fresh_seconds = server, token_length, fresh_seconds
        self._known: dict[str, Family] = {}
        self._checked: dict[str, float] = {}
        self._flights: Flights[str, Family] = Flights(min(_SHARED_SECONDS, fresh_seconds))
        self._remains: Flights[Family, bool] = Flights(min(_SHARED_SECONDS, fresh_seconds))
        self._absent_since: dict[str, float] = {}
        # Strangers may ask for it, and as often as they like.
        self._checks: Flights[tuple[str, ...], list[Family]] = Flights(kept_seconds=1.0)
        self._descriptions: Flights[Family, dict[str, dict[str, object]]] = Flights(_DESCRIBED_SECONDS)

    async def family(self, name: str, fresh_seconds: float = math.inf) -> Family:
        """The family as it is now, give or take `fresh_seconds`, the catalogue's or these, if they are fewer.

        Raises ModelServerError, FamilyMisfitError.
        """
        age = time.monotonic() - self._checked.get(name, -math.inf)
        if name in self._known and age < min(fresh_seconds, self._fresh_seconds):
            return self._known[name]
        return await self._flights.join(name, lambda: self._look(name))

    def forget(self, family: Family) -> None:
        """Learn the family again when it is next asked for, unless it was since this one."""
        if self._known.get(family.name) is family:
            del self._known[family.name]
            self._flights.forget(family.name)

    async def reconsider(self, family: Family) -> None:
        """After a call of one of its models failed: raise what says more than that, if the servers do.

        Raises ReplacedError if a model has another version now, and no server has that of the family any more;
        UnreachableError, ModelUnavailableError, FamilyMisfitError if there is no such family now.
        """
        with contextlib.suppress(BadModelAnswerError, TimeoutError):
            async with asyncio.timeout(PROBE_SECONDS):
                now = await self.family(family.name, _SHARED_SECONDS)
                if now.versions == family.versions or await self._remaining(family):
                    return
            model, version = next(each for each in family.versions.items() if each not in now.versions.items())
            raise ReplacedError(model, f"version {now.versions[model]} has taken the place of {version}")

    async def _remaining(self, family: Family) -> bool:
        """Whether all of it is still loaded, here or there."""
        return await self._remains.join(family, lambda: self._server.has(family.versions))

    async def check(self, name: str) -> Family:
        """The family as it is this moment. Raises NotReadyError, naming every model that is missing."""
        versions, causes = await self._versions(name)
        if causes:
            raise NotReadyError.because(causes)
        try:
            return await self._family_of(name, versions)
        except EaselError as exc:
            raise NotReadyError.because([exc]) from exc

    async def check_all(self) -> list[Family]:
        """All families, after asking for each; who asks meanwhile, or within a second, shares the answer.

        Raises NotReadyError, naming every model that is missing.
        """
        return await self._checks.join(self.names, self._check_all)

    async def _check_all(self) -> list[Family]:
        families, causes = await _gather([self.check(name) for name in self.names])
        if causes:
            raise NotReadyError.because(causes)
        return families

    async def descriptions(self, family: Family) -> dict[str, dict[str, object]]:
        """What each model says about itself (parameters, weights, precision); nothing for one that does not.

        It is asked now and then only: this is a call of a network, for which nobody had to stand in line.
        """
        return await self._descriptions.join(family, lambda: self._describe(family))

    async def _describe(self, family: Family) -> dict[str, dict[str, object]]:
        answers = await asyncio.gather(*(self._description(*model) for model in family.versions.items()))
        return dict(zip(family.versions, answers, strict=True))

    async def _description(self, model: str, version: str) -> dict[str, object]:
        try:
            description = await self._server.predict(
                model,
                version,
                "describe",
                lambda: {"key": [""]},
                ["description"],
                lambda columns: orjson.loads(columns["description"][0]),
            )
        except (ModelServerError, ValueError, TypeError, LookupError):
            return {}
        return description if isinstance(description, dict) else {}

    async def _look(self, name: str) -> Family:
        self._checked[name] = time.monotonic()
        since = self._absent_since.pop(name, asyncio.get_running_loop().time())
        try:
            versions, causes = await self._versions(name)
            if causes:
                # As long as one of them may come, there is hope.
                raise max(causes, key=lambda cause: isinstance(cause, UnreachableError))
            return await self._family_of(name, versions)
        except UnreachableError:
            raise
        except (ModelUnavailableError, FamilyMisfitError) as error:
            self._absent_since[name] = error.since = since
            raise

    async def _versions(self, name: str) -> tuple[dict[str, Version], list[EaselError]]:
        """The versions of the models, or what is wrong with each that has none."""
        models = [model_name(name, network) for network in NETWORKS]
        try:
            return dict(zip(models, await self._server.available_versions(*models), strict=True)), []
        except ModelServerError as exc:
            self._known.pop(name, None)
            _, causes = await _gather([self._server.available_versions(model) for model in models])
            return {}, causes or [exc]

    async def _family_of(self, name: str, versions: Mapping[str, Version]) -> Family:
        """The family whose models have these versions, learned if it is not the known one."""
        numbers = {model: version.number for model, version in versions.items()}
        if name not in self._known or self._known[name].versions != numbers:
            try:
                learned = await self._learn(name)
            except FamilyMisfitError as exc:
                # One model after the other gets its new version.
                changing = [model for model, version in versions.items() if version.is_changing]
                if not changing:
                    raise
                raise UnreachableError(changing[0], f"another version is being loaded; until then, {exc}") from exc
            # While servers differ, one may have said the versions and another the metadata.
            if name not in self._known or self._known[name].versions != learned.versions:
                self._known[name] = learned
        self._checked[name] = time.monotonic()
        return self._known[name]

    async def _learn(self, name: str) -> Family:
        models = [model_name(name, network) for network in NETWORKS]
        metadata = await self._server.metadata(*models)
        text_encoder, diffusion_model, decoder = map(parse_model, models, metadata)
        return fit_together(name, text_encoder, diffusion_model, decoder, self._token_length)


async def _gather(calls: Sequence[Awaitable[T]]) -> tuple[list[T], list[EaselError]]:
    """The results and the errors of calls made at once."""

    async def outcome(call: Awaitable[T]) -> tuple[T | None, EaselError | None]:
        try:
            return await call, None
        except EaselError as exc:
            return None, exc

    outcomes = await asyncio.gather(*map(outcome, calls))
    return [result for result, error in outcomes if result is not None], [error for _, error in outcomes if error]
