"""The HTTP server under the application: a bound socket, keep-alive, patience with an end, and an orderly stop."""

import asyncio
import socket
from collections.abc import Callable
from types import FrameType

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from model_server.application import Application
from model_server.errors import StartError

# Longer than clients keep idle connections, so that it is they who close them and no request is lost in between.
_KEEP_ALIVE_SECONDS = 75
# For all of a request to come, and for a client to take what it was sent.
_PATIENCE_SECONDS = 60
# Shorter than what Docker (10 s, or as the compose files have it 30) waits before it kills.
_GRACE_SECONDS = 20
_BACKLOG = 1024


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises StartError if the address cannot be had."""
    try:
        bound = _listening(host, port)
    except OSError as error:
        raise StartError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    # Connections inherit this. Without, an answer's body waits up to 40 ms for the acknowledgement of its header;
    # asyncio sees to it only for sockets that it opened itself.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return bound


def _listening(host: str, port: int) -> socket.socket:
    if host == "::":
        return socket.create_server((host, port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_BACKLOG)
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    return socket.create_server((host, port), family=family, backlog=_BACKLOG)


class Protocol(H11Protocol):
    """HTTP/1.1 that cuts a connection whose client takes too long over its request, or over taking the answer."""

    patience_seconds: float = _PATIENCE_SECONDS
    _end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        super().connection_lost(exc)
        self._watch(is_open=False)

    def handle_events(self) -> None:
        """Read what came, which may be a part of a request."""
        super().handle_events()
        self._watch()

    def pause_writing(self) -> None:
        """Wait until the client has taken some of the answer."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """Go on with the answer."""
        super().resume_writing()
        self._watch()

    def _watch(self, *, is_open: bool = True) -> None:
        """Have the connection cut in time, unless it is the server's turn, or uvicorn's time for idle ones runs."""
        is_read = self.conn.their_state is h11.IDLE and self.timeout_keep_alive_task is None
        is_waiting = is_open and (is_read or self.conn.their_state is h11.SEND_BODY or self.flow.write_paused)
        if is_waiting and self._end is None:
            self._end = self.loop.call_later(self.patience_seconds, self.transport.abort)
        elif not is_waiting and self._end is not None:
            self._end.cancel()
            self._end = None


class _Server(uvicorn.Server):
    def __init__(self, before_stop: Callable[[], None], config: uvicorn.Config) -> None:
        super().__init__(config)
        self._before_stop = before_stop

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; whoever asks twice, by whatever signal, waits for nobody."""
        self.force_exit = self.should_exit
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._before_stop()
        await super().shutdown(sockets)


class Listener:
    """Serves the application on a socket until `stop` or a signal, and lets requests that are under way finish.

    While it runs, uvicorn holds SIGTERM and SIGINT; at the end it raises what came again, for the handlers before it.
    """

    def __init__(self, application: Application, before_stop: Callable[[], None]) -> None:
        """`before_stop` is called before the wait for the requests that are under way."""
        self._server = _Server(
            before_stop,
            uvicorn.Config(
                application,
                http=Protocol,
                lifespan="off",
                interface="asgi3",
                access_log=False,
                log_config=None,
                log_level="warning",
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=_GRACE_SECONDS,
            ),
        )

    def run(self, bound: socket.socket) -> None:
        """Serve; returns once stopped."""
        self._server.run(sockets=[bound])

    def stop(self) -> None:
        """End `run`; a second call does not wait for requests under way. Safe in a signal handler."""
        self._server.force_exit = self._server.should_exit
        self._server.should_exit = True
