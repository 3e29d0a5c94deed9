"""The keys of a file at work: who is who, without a password's hash for each request."""

import asyncio
import hashlib
import hmac
import logging
import math
import secrets
import time
from pathlib import Path

from argon2.exceptions import Argon2Error

from proxy import keys
from proxy.errors import InvalidKeyError, RateLimitedError
from proxy.flights import Flights
from proxy.keys import HASHER, Key
from proxy.rates import Rates

_log = logging.getLogger(__name__)

_AT_ONCE = 2
_LONGEST_KEY = 200
FAILURES_PER_MINUTE = 10


class Keyring:
    """Knows keys by the file's hashes, and again by what it remembers: their HMAC under a secret of this process."""

    def __init__(self, path: Path, *, check_seconds: float = 1.0) -> None:
        """check_seconds: how often, at most, to look whether the file has changed. Raises ValueError, OSError."""
        self._path, self._check_seconds = path, check_seconds
        self._keys = keys.read(path)
        self._seen, self._checked = self._stamp(), time.monotonic()
        self._secret = secrets.token_bytes(32)
        self._remembered: dict[str, bytes] = {}
        self._stranger = HASHER.hash(secrets.token_hex())
        self._few = asyncio.Semaphore(_AT_ONCE)
        self._flights: Flights[bytes, Key] = Flights()
        self._failures = Rates()

    def concurrent_requests(self, name: str) -> int | None:
        """How many requests the key of that name may have under way, if it has a limit of its own."""
        key = self._keys.get(name)
        return key.concurrent_requests if key else None

    async def owner(self, presented: str, address: str) -> Key:
        """Whose key it is. Raises InvalidKeyError; RateLimitedError after too many wrong ones from the address."""
        self._look()
        mac = hmac.digest(self._secret, presented.encode(errors="surrogateescape"), hashlib.sha256)
        name = presented.partition(".")[0]
        if hmac.compare_digest(self._remembered.get(name, b""), mac) and name in self._keys:
            return self._keys[name]
        return await self._flights.join(mac, lambda: self._verified(name, presented, mac, address))

    async def _verified(self, name: str, presented: str, mac: bytes, address: str) -> Key:
        async with self._few:
            if wait := self._failures.wait(address, FAILURES_PER_MINUTE):
                raise RateLimitedError(f"{FAILURES_PER_MINUTE} wrong keys a minute of one address", math.ceil(wait))
            key = self._keys.get(name)
            is_right = await asyncio.to_thread(_fits, key.hash if key else self._stranger, presented)
            # Perhaps the file has changed meanwhile.
            if key is None or not is_right or self._keys.get(name) != key:
                self._failures.count(address, FAILURES_PER_MINUTE)
                raise InvalidKeyError("this API key is not valid here")
            self._remembered[name] = mac
            return key

    def _look(self) -> None:
        """Read the file again if it has changed; one that cannot be read leaves the keys as they were."""
        if time.monotonic() - self._checked < self._check_seconds:
            return
        self._checked = time.monotonic()
        stamp = self._stamp()
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._keys = keys.read(self._path)
        except (ValueError, OSError) as exc:
            _log.error("%s: %s; the keys from before stay valid", self._path, exc)
            return
        self._remembered.clear()
        _log.info("%s: %d keys", self._path, len(self._keys))

    def _stamp(self) -> tuple[int, ...] | None:
        """What changes with the file; None if there is none."""
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino


def _fits(hashed: str, presented: str) -> bool:
    if len(presented) > _LONGEST_KEY:
        return False
    try:
        return HASHER.verify(hashed, presented)
    except (Argon2Error, UnicodeError):
        return False
