"""Runs the proxy: python -m proxy."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

import uvicorn
from pydantic import ValidationError

from proxy import logs
from proxy.settings import Settings

_GRACE_SECONDS = 5


def main() -> int:
    """Serve until a signal; exit status 2 if a setting is wrong."""
    try:
        settings = Settings()
    except ValidationError as exc:
        for problem in exc.errors():
            name = "EASEL_" + str(problem["loc"][0]).upper().removeprefix("EASEL_")
            print(f"{name}: received {problem['input']!r}: {problem['msg']}", file=sys.stderr)
        return 2
    with _counted_together(settings.workers):
        uvicorn.run(
            "proxy.app:worker",
            factory=True,
            workers=settings.workers,
            host=settings.host,
            port=settings.port,
            log_config=logs.configuration(settings.log_format, settings.log_level),
            log_level=settings.log_level,
            access_log=False,  # the proxy has its own, without what was asked for
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
    return 0


@contextmanager
def _counted_together(workers: int) -> Iterator[None]:
    """Let several workers add up what they count, in a folder that they find by the environment."""
    if workers == 1:
        yield
        return
    with TemporaryDirectory(prefix="easel-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        yield


if __name__ == "__main__":
    sys.exit(main())
