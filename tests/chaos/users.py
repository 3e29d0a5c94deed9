"""Users who draw one picture after the other, and say how it went."""

from __future__ import annotations

import asyncio
import io
import itertools
import random
import time
from base64 import b64decode
from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import httpx
import orjson
from PIL import Image

from tests.chaos.stack import FAMILY, VARIED, Proxy

Asked = Mapping[str, Any]
Right = dict[tuple[str, bool], list[list[bytes]]]
"""The essences that an answer may have, as the two kinds of versions draw it, by what is `shown`."""
CAPTIONS = ("red heart", "rocket", "octopus", "blue car", "snail", "pizza", "purple umbrella", "cat")
STEPS = 20
DEADLINE_SECONDS = 60.0
SHORT_SECONDS = 1.5
_AGAIN_SECONDS = 2.0  # as Retry-After says


class Outcome(StrEnum):
    """How a request ended."""

    RIGHT = "the right bytes"
    LATE = f"504 after the {DEADLINE_SECONDS:g} s that it had"
    SHORT = f"504 after the {SHORT_SECONDS:g} s that it asked for"
    WRONG = "wrong: other bytes, or 504 too early"
    OTHER = "other: another status, or no answer"
    REFUSED = "not accepted: no connection"
    AWAY = "not accepted: 503 with Retry-After"


# A proxy that is stopped tells those whose work it had begun, and could not finish, another kind.
_REFUSALS = ("model_unavailable", "not_ready", "queue_full", "family_misfit")
NOT_ACCEPTED = (Outcome.REFUSED, Outcome.AWAY)


def pictures() -> list[Asked]:
    """What the users ask for: a picture each, one request in four of two."""
    return [
        {"caption": caption, "seed": 100 * number, "steps": STEPS, "n": 2 if number % 4 == 3 else 1}
        for number, caption in enumerate(CAPTIONS)
    ]


def shown(way: str, asked: Asked) -> tuple[str, bool]:
    """The caption, and whether several pictures come in one; all else that decides about an answer is the caption's."""
    return asked["caption"], way == "get" and asked["n"] > 1


def essence(file: bytes) -> bytes:
    """The pixels and the parameters of a PNG file, and which of the two kinds of versions it says that it is of."""
    with Image.open(io.BytesIO(file)) as picture:
        text = {name: value for name, value in picture.info.items() if name != "models"}
        return orjson.dumps([kind_of(picture.info["models"]), picture.mode, picture.size, text]) + picture.tobytes()


def kind_of(models: str) -> int:
    """Every other version of the network that varies is the same; models: as a file lists them."""
    versions = dict(model.split() for model in models.split(", "))
    return int(versions[f"{FAMILY}_{VARIED}"]) % 2


class User:
    """One who draws. refused, away: the ids of the requests that found no proxy, or a 503."""

    def __init__(self, proxy: Proxy, number: int, seed: int, right: Right) -> None:
        self._proxy, self._right = proxy, right
        self._random = random.Random(f"{seed} user {number}")
        self._ids = (f"user-{number}-{request}." for request in itertools.count())
        self.refused: list[str] = []
        self.away: list[str] = []
        self.outcomes: Counter[Outcome] = Counter()
        self.seconds: list[float] = []
        self.complaints: list[str] = []

    async def draw_until(self, end: asyncio.Event) -> None:
        """One picture after the other. Who is told to come back is counted once, however often that is."""
        was_away = False
        while not end.is_set():
            asked = self._random.choice(pictures())
            way = self._random.choice(("get", "post", "events"))
            limit = SHORT_SECONDS if self._random.random() < 0.1 else DEADLINE_SECONDS
            outcome = await self._draw(way, asked, limit)
            self.outcomes[outcome] += not (was_away and outcome is Outcome.AWAY)
            was_away = outcome is Outcome.AWAY
            if outcome is Outcome.REFUSED:
                await self._proxy.is_up.wait()
            if outcome is Outcome.AWAY:
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _draw(self, way: str, asked: Asked, limit: float) -> Outcome:
        start, request_id = time.monotonic(), next(self._ids)
        try:
            async with asyncio.timeout(3 * DEADLINE_SECONDS):
                status, answer, accepted = await self.ask(way, {**asked, "deadline_seconds": limit}, request_id)
        except Exception as exc:
            # No connection, or one that the kernel made and the proxy never took.
            refused = isinstance(exc, httpx.ConnectError) and self._proxy.was_away(time.monotonic())
            if refused or (isinstance(exc, httpx.TransportError) and self._proxy.was_closing(start)):
                self.refused.append(request_id)
                return Outcome.REFUSED
            return self._complain(Outcome.OTHER, way, asked, repr(exc))
        seconds = time.monotonic() - start
        if status == 200:
            self.seconds.append(seconds)
            is_right = answer in self._right[shown(way, asked)]
            return Outcome.RIGHT if is_right else self._complain(Outcome.WRONG, way, asked, "other bytes")
        if status == 504 and seconds >= limit - 0.05:
            return Outcome.SHORT if limit == SHORT_SECONDS else Outcome.LATE
        if status == 504:
            return self._complain(Outcome.WRONG, way, asked, f"504 after {seconds:.2f} of {limit:g} s")
        if status == 503 and not accepted:
            self.away.append(request_id)
            return Outcome.AWAY
        return self._complain(Outcome.OTHER, way, asked, f"{status} {answer[0][:200]!r}")

    def _complain(self, outcome: Outcome, way: str, asked: Asked, reason: str) -> Outcome:
        self.complaints.append(f"{outcome}: {way} {asked['caption']}: {reason}")
        return outcome

    async def file(self, way: str, asked: Asked) -> list[bytes]:
        """The essence of each picture, in calm."""
        status, answer, _ = await self.ask(way, asked)
        assert status == httpx.codes.OK, answer
        return answer

    async def ask(self, way: str, asked: Asked, request_id: str = "calm") -> tuple[int, list[bytes], bool]:
        """The status, the essence of each picture or the error, and whether the proxy said before that it begins."""
        url, head = self._proxy.url, {"X-Request-ID": request_id}
        async with httpx.AsyncClient(base_url=url, headers=head, timeout=None, trust_env=False) as client:  # noqa: S113 - above
            if way == "events":
                return await _watch(client, asked)
            if way == "get":
                response = await client.get("/generate", params=asked)
                answer = [essence(response.content) if response.is_success else response.content]
            else:
                response = await client.post("/generate", json=asked)
                answer = _files(response.json()) if response.is_success else [response.content]
        return response.status_code, answer, response.status_code == 503 and not _is_refusal(response)


async def _watch(client: httpx.AsyncClient, asked: Asked) -> tuple[int, list[bytes], bool]:
    """The end of a stream of events. From the first event on, the request is accepted."""
    name, accepted = "", False
    async with client.stream("GET", "/generate/events", params=asked) as response:
        if not response.is_success:
            return response.status_code, [await response.aread()], False
        try:
            async for line in response.aiter_lines():
                if line.startswith("event: "):
                    name, accepted = line.removeprefix("event: "), True
                elif line.startswith("data: ") and name == "result":
                    return 200, _files(orjson.loads(line.removeprefix("data: "))), accepted
                elif line.startswith("data: ") and name == "error":
                    error = orjson.loads(line.removeprefix("data: "))["error"]
                    return 504 if error["type"] == "deadline_exceeded" else 500, [line.encode()], accepted
        except httpx.TransportError as exc:
            raise EOFError(f"the events broke off: {exc!r}") from exc
    raise EOFError("the events ended without a result")


def _is_refusal(answer: httpx.Response) -> bool:
    """Whether a 503 says that nothing was begun, and when to come back."""
    return "retry-after" in answer.headers and answer.json()["error"]["type"] in _REFUSALS


def _files(answer: Any) -> list[bytes]:
    return [essence(b64decode(picture["base64"])) for picture in answer["pictures"]]
