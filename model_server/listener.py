"""The HTTP server under the application: a bound socket, keep-alive, and an orderly stop."""

import socket
from collections.abc import Callable

import uvicorn

from model_server.application import Application
from model_server.errors import StartError

# Longer than clients keep idle connections, so that it is they who close them and no request is lost in between.
_KEEP_ALIVE_SECONDS = 75
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


class _Server(uvicorn.Server):
    def __init__(self, before_stop: Callable[[], None], config: uvicorn.Config) -> None:
        super().__init__(config)
        self._before_stop = before_stop

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
