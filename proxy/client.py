"""A client of the proxy that watches its pictures while they are drawn."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx
import orjson

# Somewhat more than the proxy is ever silent: it sends a comment every 15 s.
_TIMEOUT = httpx.Timeout(60, connect=10)


class ClientError(Exception):
    """There is no picture; the message is one sentence."""


@dataclass(frozen=True)
class Event:
    """What the proxy says of a picture under way: see its `GET /generate/events`."""

    name: str
    data: dict[str, Any]


class Client:
    """A connection to the proxy at `url`."""

    def __init__(self, url: str) -> None:
        self._url = url
        # An Easel is a neighbour: HTTP_PROXY and the like are for the world outside.
        self._http = httpx.Client(base_url=url, timeout=_TIMEOUT, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def draw(self, parameters: Mapping[str, Any], tell: Callable[[Event], None]) -> dict[str, Any]:
        """What POST /generate answers.

        tell: called with every event before the last. An exception of its own, or Ctrl-C, cancels the work.
        Raises ClientError.
        """
        job = last = None
        try:
            for last in self._events(parameters):
                if last.name in ("result", "error"):
                    break
                job = last.data["job"]
                tell(last)
        except httpx.HTTPError as exc:
            reason = str(exc) or type(exc).__name__
            raise ClientError(f"{self._url}: no proxy answers there, or not any more: {reason}") from exc
        except BaseException:
            if job is not None:
                self._cancel(job)
            raise
        if last is not None and last.name == "error":
            raise ClientError(last.data["error"]["message"])
        if last is None or last.name != "result":
            raise ClientError(f"{self._url}: the connection ended before the picture was done")
        return last.data

    def _events(self, parameters: Mapping[str, Any]) -> Iterator[Event]:
        headers = {"Accept": "text/event-stream"}
        with self._http.stream("GET", "generate/events", params=dict(parameters), headers=headers) as answer:
            if not answer.is_success or not answer.headers.get("content-type", "").startswith(headers["Accept"]):
                raise ClientError(f"{self._url}: answered with status {answer.status_code}, not as an Easel proxy does")
            yield from read_events(answer.iter_bytes())

    def _cancel(self, job: str) -> None:
        """If that fails, the proxy ends the work by itself when nobody listens any more."""
        with contextlib.suppress(httpx.HTTPError):
            self._http.get("generate/cancel", params={"job": job})


def read_events(chunks: Iterable[bytes]) -> Iterator[Event]:
    """The events in chunks of a stream whose lines end in LF, as the proxy's do, each with one line of JSON as data."""
    rest = b""
    for chunk in chunks:
        *blocks, rest = (rest + chunk).split(b"\n\n")
        for block in blocks:
            fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if not line.startswith(b":"))
            if fields:
                yield Event(fields[b"event"].decode(), orjson.loads(fields[b"data"]))
