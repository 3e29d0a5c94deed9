"""The socket that the server listens on."""

import socket
from contextlib import closing

import pytest

from model_server.errors import StartError
from model_server.listener import bind


@pytest.mark.parametrize("host", ["127.0.0.1", "::"])
def test_connections_send_without_delay(host: str) -> None:
    """Otherwise an answer's body waits for the acknowledgement of its header, which the client sends after 40 ms."""
    with closing(bind(host, 0)) as bound:
        with closing(socket.create_connection(("127.0.0.1", bound.getsockname()[1]))):
            accepted, _ = bound.accept()
        with closing(accepted):
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_an_address_that_is_taken_is_named() -> None:
    with closing(bind("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
        with pytest.raises(StartError, match=rf"cannot listen on 127\.0\.0\.1:{port}: "):
            bind("127.0.0.1", port)
