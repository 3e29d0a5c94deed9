"""What happened, as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.chaos.faults import KILL
from tests.chaos.users import NOT_ACCEPTED, Outcome, User

_BAD = (Outcome.WRONG, Outcome.OTHER)
# What the proxy's log says of pictures that it had begun.
_AGAIN, _ANEW = "; asked again", "the picture begins again"
LEAST_RIGHT, LEAST_KILLS, LONG_SECONDS = 21, 20, 300
# In a short run, one restart of the proxy counts for much.
MOST_AWAY, MOST_AWAY_SHORT = 0.1, 0.5


@dataclass(frozen=True)
class Report:
    """All of a run. asked_seconds: how long it was to be. faults: by kind. log: the proxy's.

    statuses: with which the proxy ended, each time.
    """

    seed: int
    asked_seconds: float
    seconds: float
    faults: Mapping[str, int]
    users: Sequence[User]
    statuses: Sequence[int]
    log: str

    @property
    def outcomes(self) -> Counter[Outcome]:
        """Of all users together."""
        return sum((user.outcomes for user in self.users), Counter())

    @property
    def is_good(self) -> bool:
        """Whether nobody lost anything, though enough went wrong."""
        return not self.complaints

    @property
    def complaints(self) -> list[str]:
        """What was not as it should be, a sentence each."""
        told = [complaint for user in self.users for complaint in user.complaints]
        begun = {id_ for user in self.users for id_ in user.refused if id_ in self.log}
        under_way = [line for line in self.log.splitlines() if _AGAIN in line or _ANEW in line]
        away = {id_ for user in self.users for id_ in user.away}
        lost = {id_ for id_ in away if any(line.endswith(f"[{id_}]") for line in under_way)}
        kills = self.faults.get(KILL, 0)
        is_long = self.asked_seconds >= LONG_SECONDS
        most_away = MOST_AWAY if is_long else MOST_AWAY_SHORT
        wrong = {
            "the proxy ended with another status than 0": any(self.statuses),
            "the proxy's log has a traceback": "Traceback" in self.log,
            f"there are fewer than {LEAST_RIGHT} right pictures": self.outcomes[Outcome.RIGHT] < LEAST_RIGHT,
            "somebody did not get what was asked for": any(self.outcomes[bad] for bad in _BAD),
            f"requests that found no proxy are in its log: {begun}": begun,
            f"requests that were begun got a 503: {lost}": lost,
            f"{kills} servers were killed, and not {LEAST_KILLS}": is_long and kills < LEAST_KILLS,
            f"more than {most_away:.0%} of the requests were not accepted": self.away > most_away,
        }
        return told + [sentence for sentence, is_so in wrong.items() if is_so]

    @property
    def away(self) -> float:
        """The share of the requests that were not accepted."""
        return sum(self.outcomes[outcome] for outcome in NOT_ACCEPTED) / max(1, self.outcomes.total())

    def __str__(self) -> str:
        seconds = sorted(second for user in self.users for second in user.seconds)
        longest = f"{seconds[-1]:.1f}" if seconds else "-"
        median = f"{seconds[len(seconds) // 2]:.2f}" if seconds else "-"
        accepted = sum(count for outcome, count in self.outcomes.items() if outcome not in NOT_ACCEPTED)
        rows = {
            "| fault": "times |",
            "|---": "---|",
            **{f"| {kind}": f"{count} |" for kind, count in self.faults.items()},
            f"| **{len(self.users)} users, {self.seconds:.0f} s, seed {self.seed}**": "**requests** |",
            "| accepted": f"{accepted} |",
            **{f"| {outcome}": f"{self.outcomes[outcome]} |" for outcome in Outcome},
            "| share that was not accepted": f"{self.away:.1%} |",
            "| calls that failed on a server": f"{self.log.count('WARNING proxy.servers')} |",
            "| pictures begun again by new versions": f"{self.log.count(_ANEW)} |",
            "| calls made again after a pause": f"{self.log.count(_AGAIN)} |",
            "| seconds of a picture, median and longest": f"{median}, {longest} |",
            "| exit statuses of the proxy": f"{', '.join(map(str, self.statuses)) or '-'} |",
        }
        return "\n".join([*(f"{name} | {value}" for name, value in rows.items()), *self.complaints])
