"""How long a request goes on asking the model servers."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

from proxy.errors import (
    BadModelAnswerError,
    FamilyMisfitError,
    ModelServerError,
    ModelUnavailableError,
    RefusedCallError,
    UnreachableError,
)
from proxy.tracing import described

_log = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 2.0
MOST_BAD_ANSWERS = 5
# A model server that is started again in a container takes six seconds.
PATIENCE_SECONDS = 10.0


@dataclass(frozen=True)
class Patience:
    """For how long the same is asked for again.

    unreachable_seconds: while no server can be reached, or one still loads the model.
    absent_seconds: while servers say that they have not the model, or none that fits.
    is_told: whether the log tells each time.
    """

    unreachable_seconds: float
    absent_seconds: float
    is_told: bool = True


# Nothing has begun, many may come, and each is told when to come again.
AT_ARRIVAL = Patience(PATIENCE_SECONDS, 0, is_told=False)
# A server that is away comes back. A model that is nowhere may be between two versions; or it was taken away for good.
ACCEPTED = Patience(math.inf, PATIENCE_SECONDS)


async def nothing_more() -> None:
    """There is nothing more to say of an error than it says itself."""


class Retries:
    """Makes a call again that no server answered, after a pause, until one does, patience ends or `check` raises.

    A call whose answers are bad is made until there were five of them, of all servers together: a model with bad
    weights will not get better.
    """

    def __init__(
        self,
        check: Callable[[], Awaitable[None]],
        patience: Patience = ACCEPTED,
        *,
        explain: Callable[[], Awaitable[None]] = nothing_more,
        first_pause_seconds: float = FIRST_PAUSE_SECONDS,
    ) -> None:
        """check: awaited before a call is made again; what it raises ends it.

        explain: awaited after an error of a model server; what it raises is taken for the error instead.
        first_pause_seconds: the shortest.
        """
        self._check, self._patience, self._explain = check, patience, explain
        self._wait = wait_random_exponential(
            min=first_pause_seconds, multiplier=2 * first_pause_seconds, max=LONGEST_PAUSE_SECONDS
        )

    async def __call__(self, call: Callable[[], Awaitable[T]]) -> T:
        """What the call returns when it succeeds. Raises what it raises, and what the check does."""
        round_ = 0

        async def attempt() -> T:
            nonlocal round_
            round_ += 1
            try:
                with described(round=round_):
                    return await call()
            except ModelServerError:
                await self._explain()
                raise

        retrying = AsyncRetrying(
            retry=retry_if_exception(_Outlook(self._patience).may_help),
            wait=self._wait,
            before=self._before,
            before_sleep=_tell if self._patience.is_told else None,
            reraise=True,
        )
        return await retrying(attempt)

    async def _before(self, state: RetryCallState) -> None:
        if state.attempt_number > 1:
            await self._check()


class _Outlook:
    """Whether it may help to make one call again."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._bad_answers = 0
        self._last: BaseException | None = None
        self._was_unreachable: bool | None = None
        self._since = _now()

    def may_help(self, error: BaseException) -> bool:
        """Ask after each error, in turn."""
        if isinstance(error, BadModelAnswerError):
            if error is not self._last:  # what is shared may come twice
                self._bad_answers += error.answers
            self._last = error
            return not isinstance(error, RefusedCallError) and self._bad_answers < MOST_BAD_ANSWERS
        if not isinstance(error, ModelUnavailableError | FamilyMisfitError):
            return False
        is_unreachable = isinstance(error, UnreachableError)
        if is_unreachable != self._was_unreachable:
            # A call that nobody answers has already taken its time.
            if not is_unreachable or self._was_unreachable is not None:
                self._since = _now()
            self._was_unreachable = is_unreachable
        if is_unreachable:
            return _now() - self._since < self._patience.unreachable_seconds
        since = self._since if error.since is None else error.since
        return _now() - since < self._patience.absent_seconds


def _now() -> float:
    return asyncio.get_running_loop().time()


def _tell(state: RetryCallState) -> None:
    error = state.outcome and state.outcome.exception()
    _log.warning("%s; asked again in %.2f s, for the %d. time", error, state.upcoming_sleep, state.attempt_number)
