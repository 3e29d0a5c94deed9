"""Runs the proxy: python -m proxy."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from functools import partial
from tempfile import TemporaryDirectory
from types import FrameType

import uvicorn
from pydantic import ValidationError
from uvicorn.supervisors import Multiprocess

from proxy import logs
from proxy.api.arrival import LARGEST_HEAD_BYTES, PatientProtocol
from proxy.settings import Settings


class _Workers(Multiprocess):
    """Several processes that answer on one socket."""

    def terminate_all(self) -> None:
        """Let them finish; who connects now is refused, instead of waiting for nobody."""
        for sock in self.sockets:
            sock.close()
        super().terminate_all()


def main() -> int:
    """Serve until a signal, and until the work that is under way then is done; exit status 2 if a setting is wrong."""
    try:
        settings = Settings()
    except ValidationError as exc:
        for problem in exc.errors():
            name = "EASEL_" + str(problem["loc"][0]).upper().removeprefix("EASEL_")
            print(f"{name}: received {problem['input']!r}: {problem['msg']}", file=sys.stderr)
        return 2
    # Uvicorn sends itself the signal again that it stopped for; by default that is no good end of a process.
    signal.signal(signal.SIGTERM, _end)
    config = uvicorn.Config(
        "proxy.app:worker",
        factory=True,
        workers=settings.workers,
        host=settings.host,
        port=settings.port,
        log_config=logs.configuration(settings.log_format, settings.log_level),
        log_level=settings.log_level,
        access_log=False,  # the proxy has its own, without what was asked for
        timeout_graceful_shutdown=settings.shutdown_seconds,
        http=partial(PatientProtocol, read_seconds=settings.read_seconds),  # type: ignore[arg-type]
        ws="none",
        h11_max_incomplete_event_size=LARGEST_HEAD_BYTES,
        forwarded_allow_ips=list(settings.trusted_proxies),  # by itself, uvicorn believes whatever this machine sends
        server_header=False,
    )
    with contextlib.suppress(KeyboardInterrupt):
        if settings.workers > 1:
            with _counted_together():
                _Workers(config, [config.bind_socket()]).run()
        else:
            uvicorn.Server(config).run()
    return 0


@contextlib.contextmanager
def _counted_together() -> Iterator[None]:
    """Let workers add up what they count, in a folder that prometheus_client finds by the environment."""
    with TemporaryDirectory(prefix="easel-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        yield


def _end(_: int, __: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # another one, while Python ends, changes nothing
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
