"""One call for all who want the same at the same time."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass
class _Flight(Generic[V]):
    """A call that is under way; aboard: how many wait for it."""

    call: asyncio.Task[V]
    aboard: int = 0


class Flights(Generic[K, V]):
    """Calls that are under way, by what they are for."""

    def __init__(self, kept_seconds: float = 0) -> None:
        """kept_seconds: for how long what a call led to, well or not, is the result for who comes later too."""
        self._kept_seconds = kept_seconds
        self._flights: dict[K, _Flight[V]] = {}

    async def join(self, key: K, call: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """The result of the call for `key` that is there, or of `call`, which then is. Raises what it raises.

        Who stops waiting stops nobody else; when all have, the call is cancelled.
        """
        if key not in self._flights:
            flight = self._flights[key] = _Flight(asyncio.create_task(call()))
            flight.call.add_done_callback(lambda _: self._land(key, flight))
        flight = self._flights[key]
        flight.aboard += 1
        try:
            return await asyncio.shield(flight.call)
        finally:
            flight.aboard -= 1
            if not flight.aboard and not flight.call.done():
                self._drop(key, flight)  # at once: who comes before the call has ended needs another
                flight.call.cancel()

    def forget(self, key: K) -> None:
        """Who comes from now on needs another call."""
        self._flights.pop(key, None)

    def _land(self, key: K, flight: _Flight[V]) -> None:
        if self._kept_seconds:
            asyncio.get_running_loop().call_later(self._kept_seconds, self._drop, key, flight)
        else:
            self._drop(key, flight)
        if not flight.call.cancelled():
            flight.call.exception()  # perhaps nobody waits any more, and asyncio would complain of it

    def _drop(self, key: K, flight: _Flight[V]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
