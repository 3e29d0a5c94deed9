"""Users who draw one picture after the other, and say how it went."""

from __future__ import annotations

import asyncio
import io
import random
import time
from base64 import b64decode
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import httpx
import orjson
from PIL import Image

Asked = Mapping[str, Any]
CAPTIONS = ("red heart", "rocket", "octopus", "blue car", "snail", "pizza", "purple umbrella", "cat")
STEPS = 20
DEADLINE_SECONDS = 60.0
SHORT_SECONDS = 1.5
# Between SIGTERM and the moment at which the proxy closes its door, and some for a machine that is busy.
_CLOSING_SECONDS = 1.0
_AGAIN_SECONDS = 0.2


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


def essence(file: bytes) -> bytes:
    """The pixels and the parameters of a PNG file, but for the versions of the models that drew it."""
    with Image.open(io.BytesIO(file)) as picture:
        text = {name: value for name, value in picture.info.items() if name != "models"}
        return orjson.dumps([picture.mode, picture.size, text], default=str) + picture.tobytes()


class User:
    """One who draws. right: the essences by caption, empty in the calm run, which fills it."""

    def __init__(self, url: str, number: int, seed: int, right: dict[tuple[str, str], list[bytes]]) -> None:
        self._url, self._right = url, right
        self._random = random.Random(f"{seed} user {number}")
        self.outcomes: Counter[Outcome] = Counter()
        self.seconds: list[float] = []
        self.complaints: list[str] = []

    async def draw_until(self, end: asyncio.Event, closing: Sequence[float]) -> None:
        """One picture after the other; closing: when the proxy was told to end, each time."""
        while not end.is_set():
            asked = self._random.choice(pictures())
            way = self._random.choice(("get", "post", "events"))
            limit = SHORT_SECONDS if self._random.random() < 0.1 else DEADLINE_SECONDS
            outcome = await self._draw(way, asked, limit, closing)
            self.outcomes[outcome] += 1
            if outcome in NOT_ACCEPTED:
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _draw(self, way: str, asked: Asked, limit: float, closing: Sequence[float]) -> Outcome:
        start = time.monotonic()
        accepted = False
        try:
            async with asyncio.timeout(3 * DEADLINE_SECONDS):
                status, answer, accepted = await self.ask(way, {**asked, "deadline_seconds": limit})
        except httpx.ConnectError:
            return Outcome.REFUSED
        except Exception as exc:
            # A connection that the kernel made and the proxy never took.
            if not accepted and isinstance(exc, httpx.TransportError) and _at(closing, start):
                return Outcome.REFUSED
            return self._complain(Outcome.OTHER, way, asked, repr(exc))
        seconds = time.monotonic() - start
        if status == 200:
            self.seconds.append(seconds)
            is_right = answer == self._right[way, asked["caption"]]
            return Outcome.RIGHT if is_right else self._complain(Outcome.WRONG, way, asked, "other bytes")
        if status == 504 and seconds >= limit - 0.05:
            return Outcome.SHORT if limit == SHORT_SECONDS else Outcome.LATE
        if status == 504:
            return self._complain(Outcome.WRONG, way, asked, f"504 after {seconds:.2f} of {limit:g} s")
        if status == 503 and not accepted:
            return Outcome.AWAY
        return self._complain(Outcome.OTHER, way, asked, f"{status} {answer[0][:200]!r}")

    def _complain(self, outcome: Outcome, way: str, asked: Asked, reason: str) -> Outcome:
        self.complaints.append(f"{outcome}: {way} {asked['caption']}: {reason}")
        return outcome

    async def ask(self, way: str, asked: Asked) -> tuple[int, list[bytes], bool]:
        """The status, the essence of each picture or the error, and whether the proxy said before that it begins."""
        async with httpx.AsyncClient(base_url=self._url, timeout=None, trust_env=False) as client:  # noqa: S113 - above
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


def _at(closing: Sequence[float], start: float) -> bool:
    """Whether the proxy was closing its door when a request began."""
    return any(moment - _CLOSING_SECONDS <= start <= moment + _CLOSING_SECONDS for moment in closing)
