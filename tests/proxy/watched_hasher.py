"""A hasher that says what it is asked, and takes its time when a test says so."""

import threading

from argon2 import PasswordHasher

PATIENCE_SECONDS = 30


class WatchedHasher(PasswordHasher):
    """Its own hashes are cheap, unless a test says otherwise.

    verified: hashes that were looked at, in order. begun: set when one is; may_end: cleared by tests that hold it up.
    was_let: whether all that were held up were let go in the end.
    """

    def __init__(self, time_cost: int = 1, memory_cost: int = 64) -> None:
        super().__init__(time_cost, memory_cost, parallelism=1)
        self.verified: list[str] = []
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.may_end.set()
        self.was_let = True

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # noqa: A002 - argon2's name
        self.verified.append(str(hash))
        self.begun.set()
        self.was_let &= self.may_end.wait(PATIENCE_SECONDS)
        return super().verify(hash, password)
