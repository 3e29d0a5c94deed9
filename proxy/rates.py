"""How often somebody did something in the last minute."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable

_MINUTE = 60.0


class Rates:
    """Counts what each one did within the last minute, and forgets who did nothing."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # By the time of the last one, the oldest first.
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._times)

    def wait(self, who: str, most: int) -> float:
        """Seconds until it is less than `most` in a minute; 0 if it is so now."""
        times = self._times.get(who, ())
        return max(0.0, times[-most] + _MINUTE - self._clock()) if len(times) >= most else 0.0

    def count(self, who: str, most: int) -> None:
        """One more; no more than the last `most` are remembered."""
        now = self._clock()
        times = self._times.setdefault(who, deque())
        times.append(now)
        while len(times) > most:
            times.popleft()
        self._times.move_to_end(who)
        while next(iter(self._times.values()))[-1] <= now - _MINUTE:
            self._times.popitem(last=False)
