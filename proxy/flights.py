"""One call for all who want the same at the same time."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Flights(Generic[K, V]):
    """Calls that are under way, by what they are for."""

    def __init__(self, kept_seconds: float = 0) -> None:
        """kept_seconds: for how long what a call led to, well or not, is the result for who comes later too."""
        self._kept_seconds = kept_seconds
        self._calls: dict[K, asyncio.Task[V]] = {}

    async def join(self, key: K, call: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """The result of the call for `key` that is there, or of `call`, which then is. Raises what it raises.

        Who stops waiting stops nobody else.
        """
        if key not in self._calls:
            task = self._calls[key] = asyncio.create_task(call())
            task.add_done_callback(lambda landed: self._land(key, landed))
        return await asyncio.shield(self._calls[key])

    def _land(self, key: K, task: asyncio.Task[V]) -> None:
        if self._kept_seconds:
            asyncio.get_running_loop().call_later(self._kept_seconds, self._calls.pop, key)
        else:
            del self._calls[key]
        if not task.cancelled():
            task.exception()  # perhaps nobody waits any more, and asyncio would complain of an error that nobody saw
