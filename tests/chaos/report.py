"""What happened, as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.chaos.users import NOT_ACCEPTED, Outcome, User

_BAD = (Outcome.WRONG, Outcome.OTHER)


@dataclass(frozen=True)
class Report:
    """All of a run. faults: by kind. statuses: with which the proxy ended, each time. log: the proxy's."""

    seed: int
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
        """Whether nobody lost anything."""
        is_sound = not any(self.statuses) and "Traceback" not in self.log
        return is_sound and self.outcomes[Outcome.RIGHT] > 0 and not any(self.outcomes[bad] for bad in _BAD)

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
            "| calls that failed on a server": f"{self.log.count('WARNING proxy.servers')} |",
            "| calls made again after a pause": f"{self.log.count('; asked again')} |",
            "| seconds of a picture, median and longest": f"{median}, {longest} |",
            "| exit statuses of the proxy": f"{', '.join(map(str, self.statuses)) or '-'} |",
        }
        complaints = [complaint for user in self.users for complaint in user.complaints]
        return "\n".join([*(f"{name} | {value}" for name, value in rows.items()), *complaints])
