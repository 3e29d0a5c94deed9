"""A client of the proxy that watches its pictures while they are drawn."""

import contextlib
import time
from collections.abc import Callable, Generator, Mapping
from types import TracebackType
from typing import Any, Self

import httpx
import orjson
from httpx_sse import ServerSentEvent, connect_sse

# Somewhat more than the proxy is ever silent: it sends a comment every 15 s.
_TIMEOUT = httpx.Timeout(60, connect=10)
# Before each attempt to come back; together less than the 5 s for which the proxy goes on without a watcher.
_BACK_OFF_SECONDS = (0.1, 0.4, 1.0, 2.0)
_NO_CONTENT = 204
_KEPT_OUT = (401, 429)

Tell = Callable[[str, Mapping[str, Any]], None]
"""Called with the name and the data of an event: see the proxy's `GET /generate/events`."""


class ClientError(Exception):
    """There is no picture; the message is one sentence."""


class Client:
    """A connection to the proxy at `url`, with an API key if it asks for one."""

    def __init__(self, url: str, key: str | None = None) -> None:
        self._url = url
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # An Easel is a neighbour: HTTP_PROXY and the like are for the world outside.
        self._http = httpx.Client(base_url=url, headers=headers, timeout=_TIMEOUT, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def draw(self, parameters: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
        """What POST /generate answers.

        tell: called with every event before the last. An exception of its own, or Ctrl-C, cancels the work.
        Raises ClientError.
        """
        job, data = None, {}
        try:
            with contextlib.closing(self._events(parameters)) as events:
                for event in events:
                    data = event.json()
                    if event.event in ("result", "error"):
                        break
                    job = data["job"]
                    tell(event.event, data)
        except ClientError:
            raise
        except BaseException:
            if job is not None:
                self._cancel(job)
            raise
        if "error" in data:
            raise ClientError(data["error"]["message"])
        return data

    def _events(self, parameters: Mapping[str, Any]) -> Generator[ServerSentEvent]:
        """The events of one picture without end, over as many connections as it takes.

        The last event's id leads back to the picture. Before the first, asking again would draw another.
        """
        last_id, waits = "", iter(_BACK_OFF_SECONDS)
        while True:
            broken = httpx.HTTPError("the connection ended before the picture was done")
            try:
                with contextlib.closing(self._connection(parameters, last_id)) as events:
                    for event in events:
                        last_id, waits = event.id, iter(_BACK_OFF_SECONDS)
                        yield event
            except httpx.HTTPError as exc:
                broken = exc
            wait = next(waits, None)
            if not last_id or wait is None:
                reason = str(broken) or type(broken).__name__
                raise ClientError(f"{self._url}: no proxy answers there, or not any more: {reason}") from broken
            time.sleep(wait)

    def _connection(self, parameters: Mapping[str, Any], last_id: str) -> Generator[ServerSentEvent]:
        """The events after the one of that id; of a new picture if it is empty."""
        headers = {"Last-Event-ID": last_id} if last_id else {}
        with connect_sse(self._http, "GET", "generate/events", params=dict(parameters), headers=headers) as source:
            answer = source.response
            if last_id and answer.status_code == _NO_CONTENT:
                raise ClientError(f"{self._url}: the connection broke, and the picture is not known there any more")
            if not answer.is_success or not answer.headers.get("content-type", "").startswith("text/event-stream"):
                raise ClientError(f"{self._url}: {_said(answer)}")
            # Comments, which say only that the connection is alive, come as events without data.
            yield from (event for event in source.iter_sse() if event.data)

    def _cancel(self, job: str) -> None:
        """If that fails, the proxy ends the work by itself when nobody listens any more."""
        with contextlib.suppress(httpx.HTTPError):
            self._http.get("generate/cancel", params={"job": job})


def _said(answer: httpx.Response) -> str:
    """Why there are no events; who is kept out by an Easel is told so in its own words."""
    if answer.status_code in _KEPT_OUT:
        with contextlib.suppress(ValueError, TypeError, LookupError):
            return str(orjson.loads(answer.read())["error"]["message"])
    return f"answered with status {answer.status_code}, not as an Easel proxy does"
