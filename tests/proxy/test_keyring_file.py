"""Keys are as the file says now, and what did not change in it stays known."""

import asyncio
import logging
from pathlib import Path

import pytest

from proxy import keys
from proxy.errors import InvalidKeyError
from proxy.keyring import FAILURES_PER_MINUTE, Keyring
from proxy.keys import Key
from tests.proxy.watched_hasher import WatchedHasher


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.toml"


@pytest.fixture
def alice(file: Path) -> str:
    """Alice's key."""
    return keys.add(file, Key("alice", ""))


def text(file: Path) -> str:
    return file.read_text()


def write(file: Path, said: str | None) -> None:
    if said is None:
        file.unlink()
    else:
        file.write_text(said)


async def refused(keyring: Keyring, presented: str, address: str = "a") -> None:
    with pytest.raises(InvalidKeyError):
        await keyring.owner(presented, address)


async def test_the_file_is_followed(file: Path, alice: str) -> None:
    """A key that was added is known, also if it was wrong before; one that was removed is not, also if it was known."""
    keyring = Keyring(file, check_seconds=0)
    await keyring.owner(alice, "a")
    bob = keys.add(file, Key("bob", ""))
    assert (await keyring.owner(bob, "a")).name == "bob"
    before = text(file)
    keys.remove(file, "alice")
    await refused(keyring, alice)
    new = keys.add(file, Key("alice", ""))
    await refused(keyring, alice)
    assert (await keyring.owner(new, "a")).name == "alice"
    write(file, before)
    assert (await keyring.owner(alice, "a")).name == "alice"


async def test_a_change_while_the_file_is_read_for_the_first_time_is_seen(file: Path, alice: str) -> None:
    class Changing(type(file)):  # type: ignore[misc]
        def read_text(self, *args: str) -> str:
            """As it is, just before somebody adds a key to it."""
            said = file.read_text(*args)
            added.append(keys.add(file, Key(f"bob{len(added)}", "")))
            return said

    added: list[str] = []
    keyring = Keyring(Changing(file), check_seconds=0)
    assert (await keyring.owner(alice, "a")).name == "alice"
    assert (await keyring.owner(added[0], "a")).name == "bob0"


async def test_keys_whose_entries_did_not_change_stay_known(file: Path, alice: str) -> None:
    """They take no hash again, and come in from an address that may not try new ones; new limits hold at once."""
    hasher = WatchedHasher()
    keyring = Keyring(file, check_seconds=0, hasher=hasher)
    await keyring.owner(alice, "a")
    for i in range(FAILURES_PER_MINUTE):
        await refused(keyring, f"alice.{i}")
    looked_at = len(hasher.verified)
    keys.add(file, Key("bob", ""))
    assert (await keyring.owner(alice, "a")).requests_per_minute is None
    write(file, text(file).replace("[keys.bob]", "requests_per_minute = 7\n[keys.bob]"))
    assert (await keyring.owner(alice, "a")).requests_per_minute == 7
    assert len(hasher.verified) == looked_at


@pytest.mark.parametrize("is_kept", [True, False])
async def test_a_file_that_changes_while_a_key_is_hashed(file: Path, alice: str, is_kept: bool) -> None:
    """The key is right if it still is: not if it was removed, but if its limits alone are others."""
    hasher = WatchedHasher()
    keyring = Keyring(file, check_seconds=0, hasher=hasher)
    hasher.may_end.clear()
    task = asyncio.create_task(keyring.owner(alice, "a"))
    await asyncio.to_thread(hasher.begun.wait)
    write(file, f"{text(file)}requests_per_minute = 7\n" if is_kept else "")
    asyncio.get_running_loop().call_soon(hasher.may_end.set)
    await refused(keyring, "nobody.x")
    if is_kept:
        assert (await task).requests_per_minute == 7
    else:
        with pytest.raises(InvalidKeyError):
            await task


async def test_a_key_that_becomes_right_while_it_is_hashed_is_right(file: Path, alice: str) -> None:
    """It is not remembered as wrong until the file changes once more."""
    right, hasher = text(file), WatchedHasher()
    write(file, "")
    keyring = Keyring(file, check_seconds=0, hasher=hasher)
    hasher.may_end.clear()
    task = asyncio.create_task(keyring.owner(alice, "a"))
    await asyncio.to_thread(hasher.begun.wait)
    write(file, right)
    asyncio.get_running_loop().call_soon(hasher.may_end.set)
    await refused(keyring, "nobody.x")
    assert (await task).name == "alice"


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
    await refused(keyring, alice)


async def test_the_file_is_not_looked_at_all_the_time(file: Path, alice: str) -> None:
    keyring = Keyring(file, check_seconds=600)
    keys.remove(file, "alice")
    assert (await keyring.owner(alice, "a")).name == "alice"
