"""Who is who, and how much work it is to find out."""

import asyncio
import hmac
from pathlib import Path

import pytest
from argon2 import extract_parameters

from proxy import keys
from proxy.errors import InvalidKeyError, RateLimitedError
from proxy.keyring import FAILURES_PER_MINUTE, Keyring
from proxy.keys import HASHER, Key
from tests.proxy.watched_hasher import WatchedHasher


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.toml"


@pytest.fixture
def alice(file: Path) -> str:
    """Alice's key."""
    return keys.add(file, Key("alice", ""))


@pytest.fixture
def bob(file: Path) -> str:
    """Bob's key."""
    return keys.add(file, Key("bob", "", 5, 2))


@pytest.fixture
def hasher() -> WatchedHasher:
    return WatchedHasher()


@pytest.fixture
def keyring(file: Path, alice: str, bob: str, hasher: WatchedHasher) -> Keyring:
    return Keyring(file, hasher=hasher)


async def refused(keyring: Keyring, presented: str, address: str = "a") -> None:
    with pytest.raises(InvalidKeyError):
        await keyring.owner(presented, address)


async def exhaust(keyring: Keyring, address: str) -> None:
    """Send as many wrong keys from the address as it may."""
    for i in range(FAILURES_PER_MINUTE):
        await refused(keyring, f"alice.{i}", address)


async def test_only_the_right_key_is_right(file: Path, alice: str, bob: str) -> None:
    """Neither another's, nor a part, nor anything that a header may hold, also when the right one is known already."""
    keyring = Keyring(file)
    for _ in range(2):
        assert (await keyring.owner(alice, "a")).name == "alice"
        assert (await keyring.owner(bob, "a")).requests_per_minute == 5
    assert keyring.concurrent_requests("bob") == 2
    assert keyring.concurrent_requests("alice") is None
    wrong = [
        "", ".", "alice", "alice.", alice[:-1], alice + "x", alice.upper(), f"bob.{alice.partition('.')[2]}",
        f" {alice}", "alice." + "x" * 100_000, "alice.\0", "alice.\udcff", "ålice.x", "$argon2id$",
    ]  # fmt: skip
    for i, presented in enumerate(wrong):
        await refused(keyring, presented, f"address {i}")


async def test_only_the_first_request_takes_a_hash(keyring: Keyring, alice: str, hasher: WatchedHasher) -> None:
    """Also when eight come at once with the same key: one of them is hashed for all."""
    await asyncio.gather(*(keyring.owner(alice, "a") for _ in range(8)))
    for address in "abc":
        await keyring.owner(alice, address)
    assert len(hasher.verified) == 1


async def test_a_known_key_is_compared_in_constant_time(
    keyring: Keyring, alice: str, hasher: WatchedHasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever hmac.compare_digest says is so: no other comparison has a say, and none is made of the key itself."""
    await keyring.owner(alice, "a")
    monkeypatch.setattr(hmac, "compare_digest", lambda _a, _b: False)
    await keyring.owner(alice, "a")
    assert len(hasher.verified) == 2
    compared: list[bytes] = []
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: bool(compared.extend((a, b))) or True)
    assert (await keyring.owner("alice.other", "a")).name == "alice"
    assert len(hasher.verified) == 2
    assert [len(value) for value in compared] == [32, 32]
    assert compared[0] != compared[1]


async def test_no_key_is_kept(keyring: Keyring, alice: str) -> None:
    """What is remembered of keys, right or wrong, has nothing of them in it."""
    await keyring.owner(alice, "a")
    await refused(keyring, "alice.guess")
    held = repr(vars(keyring))
    assert "alice" in held
    for presented in (alice, "alice.guess"):
        assert presented.partition(".")[2] not in held


async def test_an_unknown_name_takes_as_long_as_a_wrong_key(file: Path, alice: str) -> None:
    """Nobody learns which names there are: both take one hash, and the hashes are of one cost."""
    hasher = WatchedHasher(HASHER.time_cost, HASHER.memory_cost)
    keyring = Keyring(file, hasher=hasher)
    await keyring.owner(alice, "a")
    hasher.verified.clear()
    for presented in ("alice.x", "nobody.x"):
        await refused(keyring, presented)
    known, unknown = hasher.verified
    assert known != unknown
    assert extract_parameters(known) == extract_parameters(unknown)


async def test_hashing_does_not_hold_up_others(keyring: Keyring, alice: str, bob: str, hasher: WatchedHasher) -> None:
    """While a key is looked at, who is known comes in."""
    await keyring.owner(bob, "a")
    hasher.begun.clear()
    hasher.may_end.clear()
    task = asyncio.create_task(keyring.owner(alice, "a"))
    await asyncio.to_thread(hasher.begun.wait)
    assert (await keyring.owner(bob, "a")).name == "bob"
    assert not task.done()
    hasher.may_end.set()
    assert (await task).name == "alice"
    assert hasher.was_let


async def test_who_guesses_is_stopped(keyring: Keyring, alice: str, bob: str, hasher: WatchedHasher) -> None:
    """After ten wrong keys of an address nothing more is hashed for it; a known key comes in, and a new one elsewhere.

    A new one that is right is refused as well, with the time after which it is not.
    """
    await keyring.owner(alice, "bad")
    guesses = await asyncio.gather(*(keyring.owner(f"alice.{i}", "bad") for i in range(40)), return_exceptions=True)
    looked_at = sum(isinstance(guess, InvalidKeyError) for guess in guesses)
    assert FAILURES_PER_MINUTE <= looked_at <= FAILURES_PER_MINUTE + 1
    assert sum(isinstance(guess, RateLimitedError) for guess in guesses) == 40 - looked_at
    assert len(hasher.verified) == 1 + looked_at
    with pytest.raises(RateLimitedError) as limited:
        await keyring.owner(bob, "bad")
    assert 0 < (limited.value.retry_after_seconds or 0) <= 60
    assert (await keyring.owner(alice, "bad")).name == "alice"
    assert (await keyring.owner(bob, "good")).name == "bob"
    assert (await keyring.owner(bob, "bad")).name == "bob"


async def test_a_wrong_key_that_comes_again_is_no_guess(keyring: Keyring, bob: str, hasher: WatchedHasher) -> None:
    """A program whose key was taken away locks out nobody behind the same address, and takes one hash."""
    for _ in range(3 * FAILURES_PER_MINUTE):
        await refused(keyring, "alice.old", "office")
    assert len(hasher.verified) == 1
    assert (await keyring.owner(bob, "office")).name == "bob"


async def test_the_guesses_of_one_address_are_not_anothers(keyring: Keyring, bob: str, hasher: WatchedHasher) -> None:
    """Also when both come with the same key at the same time."""
    await exhaust(keyring, "bad")
    bad, good = await asyncio.gather(keyring.owner(bob, "bad"), keyring.owner(bob, "good"), return_exceptions=True)
    assert isinstance(bad, RateLimitedError)
    assert isinstance(good, Key)


async def test_wrong_keys_are_forgotten_in_the_end(keyring: Keyring, hasher: WatchedHasher) -> None:
    """Of however many addresses they come: the oldest of more than a thousand takes a hash again."""
    for i in range(1001):
        await refused(keyring, f"nobody.{i}", f"address {i}")
    await refused(keyring, "nobody.1000", "a")
    assert len(hasher.verified) == 1001
    await refused(keyring, "nobody.0", "a")
    assert len(hasher.verified) == 1002
