"""The texts of PNG files that mean no good: what is wrong is a ValueError and a 422, in bounded time and memory."""

import base64
import random
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable

import httpx
import pytest

from proxy import text_chunks
from tests.fuzz.json_noise import cut, flipped, noise
from tests.fuzz.share import COUNTS, FIGURES, LONG, SEED, share
from tests.proxy.conftest import client, connect, fake  # noqa: F401 - fixtures
from tests.proxy.test_text_chunks import FILE, SIGNATURE, chunk, png

# What a body of 5 MiB may hold; a little of it is JSON.
LARGEST_FILE_BYTES = 3_900_000
MOST_SECONDS = 5.0
MOST_BYTES = 60_000_000
BOMB = zlib.compress(bytes(50_000_000), 9)
LENGTHS = (0, 1, 12, 2**16, 2**31 - 1, 2**31, 2**32 - 1)
KINDS = (b"tEXt", b"zTXt", b"iTXt", b"IEND", b"IDAT", b"IHDR", b"text", b"\0\0\0\0", b"eXIf")


def mutated(chance: random.Random) -> bytes:
    """A file with something wrong in it."""
    return chance.choice(CHANGES)(chance)


def _content(chance: random.Random) -> bytes:
    keyword = chance.choice([b"", b"k", b"parameters", b"\xff\xfe", b"k" * 500])
    packed = chance.choice([zlib.compress(noise(chance, 500)), BOMB, noise(chance)])
    text = chance.choice([packed, cut(chance, packed), flipped(chance, packed), noise(chance, 300)])
    middle = chance.choice([b"", b"\0", b"\0\0", b"\0\1", b"\0\1\0", b"\0\1\0\0\0", b"\0\0\0en\0k\0", b"\0\2\7\0\0"])
    return keyword + middle + text


def _chunks(chance: random.Random) -> bytes:
    return png(*(chunk(chance.choice(KINDS[:3]), _content(chance)) for _ in range(chance.randrange(1, 5))))


def _broken_frames(chance: random.Random) -> bytes:
    """Lengths and checksums that are wrong."""
    content = _content(chance)
    kind, length = chance.choice(KINDS), chance.choice([len(content), chance.choice(LENGTHS)])
    checksum = chance.choice([zlib.crc32(kind + content), 0, chance.getrandbits(32)])
    frame = struct.pack(">I", length) + kind + content + struct.pack(">I", checksum)
    return FILE[:33] + frame + chance.choice([b"", FILE[33:]])


CHANGES: tuple[Callable[[random.Random], bytes], ...] = (
    _chunks,
    _chunks,
    _broken_frames,
    lambda chance: cut(chance, FILE),
    lambda chance: flipped(chance, FILE),
    lambda chance: flipped(chance, _chunks(chance)),
    lambda chance: cut(chance, _chunks(chance)),
    lambda chance: SIGNATURE + noise(chance, 200),
    lambda chance: noise(chance, 200),
)


def test_mutated_files_are_read_or_refused_in_little_memory() -> None:
    chance = random.Random(f"png {SEED}")
    slowest, most = 0.0, 0
    for number in range(share(3000, 100_000)):
        file = mutated(chance)
        if is_measured := number % 20 == 0:  # which makes it slow
            tracemalloc.start()
        start = time.thread_time()
        try:
            text_chunks.read(file)
            COUNTS["png: mutated files that are read"] += 1
        except ValueError:
            COUNTS["png: mutated files that are refused"] += 1
        if is_measured:
            most = max(most, tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        else:
            slowest = max(slowest, time.thread_time() - start)
    assert slowest < 1
    assert most < MOST_BYTES
    FIGURES.append(f"png: at most {slowest * 1000:.0f} ms and {most >> 20} MB a mutated file")


async def test_mutated_files_are_answered_with_200_or_422(client: httpx.AsyncClient) -> None:  # noqa: F811
    chance = random.Random(f"png-info {SEED}")
    for _ in range(share(300, 10_000)):
        encoded = base64.b64encode(mutated(chance)).decode()
        image = chance.choice([encoded, f"data:image/png;base64,{encoded}", cut(chance, encoded.encode()).decode()])
        answer = await client.post("/sdapi/v1/png-info", json={"image": image})
        assert answer.status_code in (200, 422), image
        COUNTS[f"png-info: answered {answer.status_code}"] += 1


def filled(content: bytes) -> bytes:
    """As many of one chunk as there is room for."""
    return png(content * (LARGEST_FILE_BYTES // len(content)))


QUICK = ("bombs", "quotes", "escapes", "blanks")
LARGEST = {
    "chunks without content": filled(chunk(b"IDAT", b"")),
    "texts without a name": filled(chunk(b"tEXt", b"")),
    "compressed texts without text": filled(chunk(b"zTXt", b"k\0\0" + zlib.compress(b""))),
    "broken compressed texts": filled(chunk(b"zTXt", b"k\0\0")),
    "names": png(*(chunk(b"tEXt", b"%x\0" % number) for number in range(LARGEST_FILE_BYTES // 18))),
    "one name": png(chunk(b"tEXt", b"k" * (LARGEST_FILE_BYTES - 100))),
    "a name and no end": png(chunk(b"iTXt", b"k" * (LARGEST_FILE_BYTES - 100))),
    "blocks without content": png(chunk(b"zTXt", b"k\0\0\x78\x9c" + b"\0\0\0\xff\xff" * (LARGEST_FILE_BYTES // 6))),
    "bombs": filled(chunk(b"zTXt", b"k\0\0" + BOMB)),
    "small bombs": filled(chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(20_000)))),
    "text to escape": png(chunk(b"tEXt", b"parameters\0" + b"\x01" * 1_000_000)),
    "fields": png(chunk(b"tEXt", b"parameters\0" + b"a:1," * (1 << 18))),
    "quotes": png(chunk(b"tEXt", b'parameters\0a:1,b:2,c:"' + b'\\"' * 500_000)),
    "quoted fields": png(chunk(b"tEXt", b"parameters\0" + b'a:"b",' * 170_000)),
    "escapes": png(chunk(b"tEXt", b'parameters\0a:1,b:2,c:"' + b"\\u00e9" * 170_000 + b'"')),
    "lines": png(chunk(b"tEXt", b"parameters\0" + b"Negative prompt:\n" * 60_000 + b"x")),
    "blanks": png(chunk(b"tEXt", b'parameters\0a:"b"' + b" " * 1_000_000)),
}


@pytest.mark.parametrize("name", LARGEST)
async def test_the_largest_files_are_answered_in_bounded_time_and_memory(client: httpx.AsyncClient, name: str) -> None:  # noqa: F811
    """The body alone is 5 MB; what is made of it is a few times as much."""
    body = b'{"image": "' + base64.b64encode(LARGEST[name]) + b'"}'
    headers = {"Content-Type": "application/json"}
    start = time.process_time()
    answer = await client.post("/sdapi/v1/png-info", content=body, headers=headers)
    seconds = time.process_time() - start
    assert answer.status_code in (200, 422)
    assert seconds < MOST_SECONDS
    if LONG or name in QUICK:  # measuring memory makes it slow
        tracemalloc.start()
        await client.post("/sdapi/v1/png-info", content=body, headers=headers)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        FIGURES.append(f"png-info: {answer.status_code}, {seconds:.2f} s, {most >> 20} MB, {name} in the largest file")
        assert most < MOST_BYTES
