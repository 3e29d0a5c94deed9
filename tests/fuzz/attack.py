"""Several users who send requests that mean no good, over sockets."""

import random
import re
import socket
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

from tests.fuzz.raw_requests import Aim, raw_request
from tests.fuzz.share import COUNTS, SEED

ANSWER_SECONDS = 40
_USERS = 8
# A client that has heard nothing for so long after its request, which may be half a one, says that it was all.
_QUIET_SECONDS = 0.25
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


def attack(name: str, port: int, aims: Sequence[Aim], count: int, seed: int = SEED) -> None:
    """Send so many requests; each is answered as HTTP and without a 500, or its connection closed."""

    def user(number: int) -> Counter[str]:
        chance = random.Random(f"{seed} {number}")
        ends: Counter[str] = Counter()
        for _ in range(count // _USERS):
            sent = raw_request(chance, aims)
            received = _exchange(port, sent)
            status = _STATUS.match(received)
            assert status or not received, (sent, received)
            assert not status or status[1] != b"500", (sent, received)
            ends[f"{name}: answered {status[1].decode()}" if status else f"{name}: hung up"] += 1
        return ends

    with ThreadPoolExecutor(_USERS) as users:
        for ends in users.map(user, range(_USERS)):
            COUNTS.update(ends)


def _exchange(port: int, sent: bytes) -> bytes:
    """What the server says to these bytes, until it closes the connection."""
    received = b""
    address = ("127.0.0.1", port)
    with closing(socket.create_connection(address, timeout=ANSWER_SECONDS)) as connection, suppress(ConnectionError):
        connection.sendall(sent)
        connection.settimeout(_QUIET_SECONDS)
        with suppress(TimeoutError):
            received = connection.recv(1 << 16)
        with suppress(OSError):  # the server has cut it
            connection.shutdown(socket.SHUT_WR)
        connection.settimeout(ANSWER_SECONDS)
        while part := connection.recv(1 << 16):
            received += part
    return received
