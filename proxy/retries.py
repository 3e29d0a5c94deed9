"""How long a request goes on asking the model servers."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

from proxy.errors import BadModelAnswerError, RefusedCallError, UnreachableError
from proxy.tracing import described

_log = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 2.0
MOST_BAD_ANSWERS = 5


class Retries:
    """Makes a call again that no server answered, after a pause, until one does or `check` raises.

    A call whose answers are bad is made until there were five of them, of all servers together: a model with bad
    weights will not get better.
    """

    def __init__(
        self, check: Callable[[], Awaitable[None]], *, first_pause_seconds: float = FIRST_PAUSE_SECONDS
    ) -> None:
        """check: awaited before a call is made again; what it raises ends it. first_pause_seconds: the shortest."""
        self._check = check
        self._wait = wait_random_exponential(
            min=first_pause_seconds, multiplier=2 * first_pause_seconds, max=LONGEST_PAUSE_SECONDS
        )

    async def __call__(self, call: Callable[[], Awaitable[T]]) -> T:
        """What the call returns when it succeeds. Raises what it raises, and what the check does."""
        bad_answers = 0

        def may_help(error: BaseException) -> bool:
            nonlocal bad_answers
            if isinstance(error, BadModelAnswerError):
                bad_answers += error.answers
                return not isinstance(error, RefusedCallError) and bad_answers < MOST_BAD_ANSWERS
            return isinstance(error, UnreachableError)

        round_ = 0

        async def attempt() -> T:
            nonlocal round_
            round_ += 1
            with described(round=round_):
                return await call()

        retrying = AsyncRetrying(
            retry=retry_if_exception(may_help), wait=self._wait, before=self._before, before_sleep=_tell, reraise=True
        )
        return await retrying(attempt)

    async def _before(self, state: RetryCallState) -> None:
        if state.attempt_number > 1:
            await self._check()


def _tell(state: RetryCallState) -> None:
    error = state.outcome and state.outcome.exception()
    _log.warning("%s; asked again in %.2f s, for the %d. time", error, state.upcoming_sleep, state.attempt_number)
