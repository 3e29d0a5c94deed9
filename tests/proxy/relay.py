"""A TCP relay whose connections break when a test says so."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit


class Relay:
    """Passes bytes to the server at `target` and back.

    target: may be changed, for connections to come. requests: what the client sent over each connection.
    is_mute: whether connections break rather than pass on an answer. left: how often a client hung up.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.is_mute = False
        self.left = 0
        self.requests: list[bytearray] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def run(self) -> None:
        """Relay until it listens no more."""
        with contextlib.suppress(OSError):
            while True:
                self._relay(self._listener.accept()[0])

    def _relay(self, client: socket.socket) -> None:
        address = urlsplit(self.target)
        server = socket.create_connection((address.hostname or "", address.port or 0))
        self._open += [client, server]
        self.requests.append(bytearray())
        threading.Thread(target=self._ask, args=(client, server, self.requests[-1])).start()
        threading.Thread(target=self._answer, args=(server, client)).start()

    def _ask(self, client: socket.socket, server: socket.socket, request: bytearray) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                request += data
                server.sendall(data)
            self.left += 1
            server.shutdown(socket.SHUT_WR)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if self.is_mute:
                    self.cut()
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        """Break all connections at once, as a router that is switched off and on does."""
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._open.clear()

    def leave(self) -> None:
        """Break all connections, and take no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()


@contextlib.contextmanager
def relayed(target: str) -> Iterator[Relay]:
    """A relay to the target, until the end of the block."""
    relay = Relay(target)
    thread = threading.Thread(target=relay.run)
    thread.start()
    try:
        yield relay
    finally:
        relay.leave()
        thread.join()
