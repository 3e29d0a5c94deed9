"""Who is who: as the file says it now, and quickly."""

import asyncio
import contextlib
import logging
import statistics
import time
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from proxy import keys
from proxy.errors import InvalidKeyError, RateLimitedError
from proxy.keyring import FAILURES_PER_MINUTE, Keyring
from proxy.keys import Key

SLOW = PasswordHasher(time_cost=30, memory_cost=19 * 1024, parallelism=1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.toml"


@pytest.fixture
def alice(file: Path) -> str:
    """Alice's key."""
    return keys.add(file, Key("alice", ""))


@pytest.fixture
def slow(file: Path) -> None:
    """A file in which alice.x takes long to be known."""
    write(file, f'[keys.alice]\nhash = "{SLOW.hash("alice.x")}"\n')


def write(file: Path, text: str | None) -> None:
    if text is None:
        file.unlink()
    else:
        file.write_text(text)


async def seconds(keyring: Keyring, presented: str, address: str = "1.1.1.1") -> float:
    start = time.perf_counter()
    with contextlib.suppress(InvalidKeyError):
        await keyring.owner(presented, address)
    return time.perf_counter() - start


async def test_only_the_right_key_is_right(file: Path, alice: str) -> None:
    """Neither another's, nor a part, nor anything that a header may hold, also when the right one is known already."""
    bob = keys.add(file, Key("bob", "", 5, 2))
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
        with pytest.raises(InvalidKeyError):
            await keyring.owner(presented, f"address {i}")


async def test_only_the_first_request_takes_a_hash(file: Path, slow: None) -> None:
    """Also when eight come at once with the same key: one of them is hashed for all."""
    keyring = Keyring(file)
    start = time.perf_counter()
    await asyncio.gather(*(keyring.owner("alice.x", "a") for _ in range(8)))
    together = time.perf_counter() - start
    again = [await seconds(keyring, "alice.x") for _ in range(9)]
    start = time.perf_counter()
    SLOW.verify(keys.read(file)["alice"].hash, "alice.x")
    once = time.perf_counter() - start
    assert once / 2 < together < once * 3
    assert statistics.median(again) < once / 100


async def test_an_unknown_name_takes_as_long_as_a_wrong_key(file: Path, alice: str) -> None:
    """Nobody learns which names there are."""
    keyring = Keyring(file)
    await keyring.owner(alice, "a")
    wrong = [await seconds(keyring, f"alice.{i}", f"a{i}") for i in range(9)]
    unknown = [await seconds(keyring, f"nobody{i}.x", f"b{i}") for i in range(9)]
    assert 0.5 < statistics.median(wrong) / statistics.median(unknown) < 2


async def test_hashing_does_not_hold_up_others(file: Path, slow: None) -> None:
    """The event loop goes on while a slow hash is looked at."""
    keyring = Keyring(file)
    task = asyncio.create_task(keyring.owner("alice.x", "a"))
    longest, last = 0.0, time.perf_counter()
    while not task.done():
        await asyncio.sleep(0.001)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    assert longest < 0.05


async def test_the_file_is_followed(file: Path, alice: str) -> None:
    """A key that was added is known, one that was removed is not, also if it was remembered."""
    keyring = Keyring(file, check_seconds=0)
    await keyring.owner(alice, "a")
    bob = keys.add(file, Key("bob", ""))
    assert (await keyring.owner(bob, "a")).name == "bob"
    keys.remove(file, "alice")
    with pytest.raises(InvalidKeyError):
        await keyring.owner(alice, "a")
    new = keys.add(file, Key("alice", ""))
    with pytest.raises(InvalidKeyError):
        await keyring.owner(alice, "b")
    assert (await keyring.owner(new, "c")).name == "alice"


async def test_a_key_that_is_removed_while_it_is_hashed_is_not_valid(file: Path, slow: None) -> None:
    keyring = Keyring(file, check_seconds=0)
    task = asyncio.create_task(keyring.owner("alice.x", "a"))
    await asyncio.sleep(0.05)
    write(file, "")
    with pytest.raises(InvalidKeyError):
        await keyring.owner("nobody.x", "b")
    with pytest.raises(InvalidKeyError):
        await task


@pytest.mark.parametrize("broken", ["[keys.alice\n", '[keys.alice]\nhash = "secret"\n', None])
async def test_a_broken_file_changes_nothing(
    file: Path, alice: str, broken: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once, with its line and without what it says, and followed again when it is whole."""
    keyring = Keyring(file, check_seconds=0)
    write(file, broken)
    for _ in range(3):
        assert (await keyring.owner(alice, "a")).name == "alice"
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert ("line" if broken else "No such file") in record.message
    assert "secret" not in record.message
    write(file, "")
    with pytest.raises(InvalidKeyError):
        await keyring.owner(alice, "a")


async def test_the_file_is_not_looked_at_all_the_time(file: Path, alice: str) -> None:
    keyring = Keyring(file, check_seconds=60)
    keys.remove(file, "alice")
    assert (await keyring.owner(alice, "a")).name == "alice"


async def test_who_guesses_is_stopped(file: Path, alice: str) -> None:
    """After ten wrong keys of an address no more are looked at; a known key and other addresses are as before."""
    bob = keys.add(file, Key("bob", ""))
    keyring = Keyring(file)
    await keyring.owner(alice, "bad")
    guesses = await asyncio.gather(*(keyring.owner(f"alice.{i}", "bad") for i in range(40)), return_exceptions=True)
    looked_at = sum(isinstance(guess, InvalidKeyError) for guess in guesses)
    assert FAILURES_PER_MINUTE <= looked_at <= FAILURES_PER_MINUTE + 1
    assert sum(isinstance(guess, RateLimitedError) for guess in guesses) == 40 - looked_at
    with pytest.raises(RateLimitedError) as refused:
        await keyring.owner(bob, "bad")
    assert 50 <= refused.value.retry_after_seconds <= 60
    assert (await keyring.owner(alice, "bad")).name == "alice"
    assert (await keyring.owner(bob, "good")).name == "bob"
