"""How long a client may take to send a request, and to take its answer."""

import array
import asyncio
import fcntl
import re
import sys
import termios
from http import HTTPStatus
from typing import Any, cast

import h11
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

from proxy.api.headers import NO_PAGE
from proxy.logs import REQUEST_ID_HEADER

# Two captions of the longest, percent-encoded, take 45 kB.
LARGEST_HEAD_BYTES = 1 << 16
_BYTES_PER_SECOND = 10_000
_REQUEST_LINE = re.compile(rb"[A-Z]+ (?P<path>/[!->@-~]*)[ ?]")


class PatientProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, which by itself waits for ever.

    A request has `read_seconds` to arrive, and a second more for each 10 kB of it; whoever takes longer gets a 408. A
    client that takes less than 10 kB a second of its answer, over `read_seconds`, is cut off.
    """

    def __init__(self, *args: Any, read_seconds: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_seconds = read_seconds
        self._arrival: asyncio.TimerHandle | None = None
        self._began, self._received = 0.0, 0
        self._departure: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a request."""
        super().connection_made(transport)
        # So that it is known of every byte that waits; those of a complete answer would wait for ever.
        transport.set_write_buffer_limits(high=0)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing any more."""
        super().connection_lost(exc)
        self._stop_waiting()
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Read a part of a request, and see whether there is more of it to come."""
        self._received += len(data)
        # h11 finds a head too long only while it is not complete: what is beyond the limit comes after that.
        first = LARGEST_HEAD_BYTES + 1 - len(self.conn.trailing_data[0]) if self.conn.their_state is h11.IDLE else 0
        for part in (data[:first], data[first:]) if first > 0 else (data,):
            if part and not self.transport.is_closing():
                super().data_received(part)
        self._see()

    def on_response_complete(self) -> None:
        """Go on to what else was sent already."""
        super().on_response_complete()
        self._see()

    @property
    def _is_arriving(self) -> bool:
        """Whether a request has begun, and there is more of it to come."""
        has_begun = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
        return has_begun or self.conn.their_state is h11.SEND_BODY

    def _see(self) -> None:
        if not self._is_arriving:
            self._stop_waiting()
        elif self._arrival is None:
            self._expect()

    def _expect(self) -> None:
        self._began, self._received = self.loop.time(), 0
        self._arrival = self.loop.call_later(self._read_seconds, self._check_arrival)

    def _stop_waiting(self) -> None:
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None

    def _check_arrival(self) -> None:
        left = self._began + self._read_seconds + self._received / _BYTES_PER_SECOND - self.loop.time()
        if left > 0:
            self._arrival = self.loop.call_later(left, self._check_arrival)
        elif self._is_arriving:
            seconds = f"{self._read_seconds:g} s"
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, f"the request did not arrive within {seconds}, or too slowly")
        else:  # browsers connect before they know what to ask for, and would take an answer for that to their request
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, or a head that is too long."""
        status = getattr(sys.exception(), "error_status_hint", HTTPStatus.BAD_REQUEST)
        if status == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
            msg = f"the address and the headers of a request may have {LARGEST_HEAD_BYTES} bytes"
        self._refuse(HTTPStatus(status), msg)

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        """Say why, unless an answer has begun already, and close the connection."""
        seconds = self.loop.time() - self._began if self._arrival else 0.0
        self._stop_waiting()
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if not self.transport.is_closing():
            if self.conn.our_state is h11.SEND_RESPONSE:
                self._answer(cast(Scope, self.scope), status, message, None)
            elif self.conn.our_state is h11.IDLE:
                self._answer(self._begun(), status, message, seconds)
        self.transport.close()

    def _begun(self) -> Scope:
        """What is known of a request whose head has not arrived, or is none."""
        line = _REQUEST_LINE.match(self.conn.trailing_data[0])
        path = line["path"].decode() if line else ""
        return {"type": "http", "method": "", "path": path, "headers": [], "client": self.client}

    def _answer(self, scope: Scope, status: HTTPStatus, message: str, seconds: float | None) -> None:
        """Refuse a request in the shape of its API. seconds: that it took, if the application does not know of it."""
        # Imported here, because it is all of the application, for which the parent of several workers has no use.
        from proxy.api import dialects, failures, watching

        response = failures.answer(Request(scope), status, dialects.spoken(HTTPException(status, message)))
        watching.refused(scope, status, seconds)
        own = {REQUEST_ID_HEADER: watching.request_id(scope), "Connection": "close"}
        response.headers.update(NO_PAGE | own)
        events = (
            h11.Response(status_code=status, headers=response.raw_headers, reason=status.phrase),
            h11.Data(data=b"" if scope["method"] == "HEAD" else bytes(response.body)),
            h11.EndOfMessage(),
        )
        self.transport.write(b"".join(self.conn.send(event) or b"" for event in events))

    def pause_writing(self) -> None:
        """The client takes less than it is sent."""
        super().pause_writing()
        self._watch_departure()

    def resume_writing(self) -> None:
        """The client has caught up, or is gone."""
        super().resume_writing()
        if self._departure is not None:
            self._departure.cancel()
            self._departure = None

    def _watch_departure(self) -> None:
        self._departure = self.loop.call_later(self._read_seconds, self._check_departure, self._unread_bytes)

    @property
    def _unread_bytes(self) -> int:
        """What the client has not taken: of what is here, and of the megabytes that the system may hold."""
        return self.transport.get_write_buffer_size() + _queued_bytes(self.transport.get_extra_info("socket").fileno())

    def _check_departure(self, left_before: int) -> None:
        if left_before - self._unread_bytes >= self._read_seconds * _BYTES_PER_SECOND:
            self._watch_departure()
        else:
            self.transport.abort()


def _queued_bytes(descriptor: int) -> int:
    """Bytes that the system holds for a socket's other side; 0 where it does not tell."""
    count = array.array("i", [0])
    try:
        fcntl.ioctl(descriptor, termios.TIOCOUTQ, count)
    except OSError:
        return 0
    return count[0]
