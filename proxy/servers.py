"""Several equal model servers: which one is asked first, and which one next."""

import asyncio
import logging
from collections.abc import Iterator, Sequence

import httpx

from proxy.breaker import Breaker, Health
from proxy.calls import watched

logger = logging.getLogger(__name__)

PROBE_SECONDS = 2.0
# For what costs a server that is well nothing: a status, metadata.
LOOK_SECONDS = 5.0
# A gateway's, or a server's own: "not now".
_FAILURES = {502, 503, 504}


class Server:
    """One model server: how to reach it, what it has to do, and whether it is set aside."""

    def __init__(self, client: httpx.AsyncClient, call_seconds: float, probe_path: str) -> None:
        """client: its base URL is the server's. call_seconds: for a call, from the connection to the last byte."""
        self._client, self._probe_path = client, probe_path
        self._limits = {"GET": min(LOOK_SECONDS, call_seconds), "POST": call_seconds}
        self.name = client.base_url.netloc.decode()
        self._urls: dict[str, httpx.URL] = {}
        self.breaker = Breaker(self._probe)
        self.in_flight = self.turn = 0
        self.broke_off = False

    async def ask(self, method: str, path: str, content: bytes | None) -> httpx.Response:
        """The server's response. Raises httpx.RequestError, TimeoutError."""
        self.in_flight += 1
        self.broke_off = False
        try:
            with watched(self.name, path) as call:
                async with asyncio.timeout(self._limits[method]):
                    response = await self._client.request(
                        method, self._url(path), content=content, headers=call.headers
                    )
                call.status = response.status_code
        except (httpx.TransportError, TimeoutError) as exc:
            logger.warning("%s %s%s: %r", method, str(self._client.base_url).rstrip("/"), path, exc)
            self.breaker.failed(_health_after(exc))
            self.broke_off = isinstance(exc, httpx.NetworkError | httpx.ProtocolError)
            raise
        except asyncio.CancelledError:
            self.breaker.suspected()
            raise
        finally:
            self.in_flight -= 1
        if response.status_code in _FAILURES:
            self.breaker.failed()
        return response

    async def _probe(self) -> Health:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                response = await self._client.get(self._url(self._probe_path))
        except (httpx.RequestError, TimeoutError) as exc:
            return _health_after(exc)
        return Health.FAILING if response.status_code in _FAILURES else Health.WELL

    def _url(self, path: str) -> httpx.URL:
        """The address of a path, put together once, for which httpx takes 0.2 ms."""
        if path not in self._urls:
            self._urls[path] = self._client.base_url.join(path.lstrip("/"))
        return self._urls[path]

    def rank(self) -> tuple[Health, int, int]:
        """The lowest goes first: the healthy, with the fewest requests in flight, not chosen for the longest time."""
        return self.breaker.health, self.in_flight, self.turn


class Servers:
    """Knows which server is likely to answer first. Those that are set aside come last."""

    def __init__(self, clients: Sequence[httpx.AsyncClient], *, call_seconds: float, probe_path: str) -> None:
        """clients: one for each server, with the server's address as its base URL.

        call_seconds: see Server. probe_path: what a server that is set aside is asked for.
        """
        self._servers = [Server(client, call_seconds, probe_path) for client in clients]
        self._turn = 0

    def round(self) -> Iterator[Server]:
        """Each server once, the best first, for a request that the ones before did not answer.

        None waits for one that hangs, unless all do. A single server comes twice if the connection broke off, which
        may have been an old one.
        """
        left = list(self._servers)
        while left:
            server = min(left, key=Server.rank)
            if server.breaker.health is Health.HANGING and len(left) < len(self._servers):
                return
            left.remove(server)
            self._turn += 1
            server.turn = self._turn
            yield server
            if len(self._servers) == 1 and server.broke_off:
                yield server

    @property
    def one_hangs(self) -> bool:
        """Whether one of them was silent when it was last asked."""
        return any(server.breaker.health is Health.HANGING for server in self._servers)

    def __iter__(self) -> Iterator[Server]:
        """All of them."""
        return iter(self._servers)

    async def close(self) -> None:
        """End what goes on in the background."""
        await asyncio.gather(*(server.breaker.close() for server in self._servers))


def _health_after(error: Exception) -> Health:
    """A server that was not reached, or broke off, fails; one that was silent hangs."""
    return Health.HANGING if isinstance(error, TimeoutError | httpx.TimeoutException) else Health.FAILING
