"""Runs the proxy: python -m proxy."""

import contextlib
import signal
import sys
from types import FrameType

import uvicorn
from pydantic import ValidationError
from uvicorn.supervisors import Multiprocess

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
        log_level=settings.log_level,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
    with contextlib.suppress(KeyboardInterrupt):
        if settings.workers > 1:
            _Workers(config, [config.bind_socket()]).run()
        else:
            uvicorn.Server(config).run()
    return 0


def _end(_: int, __: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # another one, while Python ends, changes nothing
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
