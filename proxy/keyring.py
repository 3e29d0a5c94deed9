"""The keys of a file at work: who is who, without a password's hash for each request."""

import asyncio
import hashlib
import hmac
import logging
import math
import secrets
import time
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error

from proxy import keys
from proxy.errors import InvalidKeyError, RateLimitedError
from proxy.flights import Flights
from proxy.keys import HASHER, Key
from proxy.rates import Rates

_log = logging.getLogger(__name__)

_AT_ONCE = 2
_LONGEST_KEY = 200
_MOST_WRONG = 1000
FAILURES_PER_MINUTE = 10
_INVALID = "this API key is not valid here"


class Keyring:
    """Knows keys by the file's hashes, and again by what it remembers: their HMAC under a secret of this process.

    Only a key that is new takes a hash, whether it is right or not. One that was right stays known until its entry
    changes, one that was wrong until the file does. Two hashes are made at once, and none for an address that
    sent ten different wrong keys within a minute: a new key from there is refused until the minute has passed, even
    if it is right. Keys that are known come in all the time, and a wrong one that is sent again and again counts once.
    """

    def __init__(self, path: Path, *, check_seconds: float = 1.0, hasher: PasswordHasher = HASHER) -> None:
        """check_seconds: how often, at most, to look whether the file has changed. Raises ValueError, OSError."""
        self._path, self._check_seconds, self._hasher = path, check_seconds, hasher
        self._seen, self._checked = self._stamp(), time.monotonic()
        self._keys = keys.read(path)  # after its stamp, or a change in between would never be seen
        self._secret = secrets.token_bytes(32)
        self._right: dict[str, bytes] = {}  # by the hash in the file
        self._wrong: dict[bytes, None] = {}  # the oldest first
        self._stranger = hasher.hash(secrets.token_hex())
        self._few = asyncio.Semaphore(_AT_ONCE)
        self._flights: Flights[tuple[bytes, str], Key] = Flights()
        self._failures = Rates()

    def concurrent_requests(self, name: str) -> int | None:
        """How many requests the key of that name may have under way, if it has a limit of its own."""
        key = self._keys.get(name)
        return key.concurrent_requests if key else None

    async def owner(self, presented: str, address: str) -> Key:
        """Whose key it is. Raises InvalidKeyError; RateLimitedError for a new key, if the address sent wrong ones."""
        self._look()
        mac = hmac.digest(self._secret, presented.encode(errors="surrogateescape"), hashlib.sha256)
        name = presented.partition(".")[0]
        key = self._keys.get(name)
        if key is not None and hmac.compare_digest(self._right.get(key.hash, b""), mac):
            return key
        if mac in self._wrong:
            raise InvalidKeyError(_INVALID)
        return await self._flights.join((mac, address), lambda: self._verified(name, presented, mac, address))

    async def _verified(self, name: str, presented: str, mac: bytes, address: str) -> Key:
        async with self._few:
            if wait := self._failures.wait(address, FAILURES_PER_MINUTE):
                raise RateLimitedError(f"{FAILURES_PER_MINUTE} wrong keys a minute of one address", math.ceil(wait))
            hashed, is_right = "", False
            while (now := self._hash(name)) != hashed:  # the file may change meanwhile
                hashed = now
                is_right = await asyncio.to_thread(self._fits, hashed, presented)
            if is_right:
                self._right[hashed] = mac
                return self._keys[name]
            self._failures.count(address, FAILURES_PER_MINUTE)
            self._wrong[mac] = None
            if len(self._wrong) > _MOST_WRONG:
                del self._wrong[next(iter(self._wrong))]
            raise InvalidKeyError(_INVALID)

    def _hash(self, name: str) -> str:
        """What the file has for the name, or what fits no key."""
        key = self._keys.get(name)
        return key.hash if key else self._stranger

    def _fits(self, hashed: str, presented: str) -> bool:
        if len(presented) > _LONGEST_KEY:
            return False
        try:
            return self._hasher.verify(hashed, presented)
        except (Argon2Error, UnicodeError):
            return False

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
        hashes = {key.hash for key in self._keys.values()}
        self._right = {hashed: mac for hashed, mac in self._right.items() if hashed in hashes}
        self._wrong.clear()
        _log.info("%s: %d keys", self._path, len(self._keys))

    def _stamp(self) -> tuple[int, ...] | None:
        """What changes with the file; None if there is none."""
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino
