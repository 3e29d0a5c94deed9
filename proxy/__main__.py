"""Runs the proxy: python -m proxy."""

import sys
from functools import partial

import uvicorn
from pydantic import ValidationError

from proxy.api.arrival import LARGEST_HEAD_BYTES, PatientProtocol
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
    uvicorn.run(
        "proxy.app:worker",
        factory=True,
        workers=settings.workers,
        host=settings.host,
        port=settings.port,
        log_level=settings.log_level,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        http=partial(PatientProtocol, read_seconds=settings.read_seconds),  # type: ignore[arg-type]
        ws="none",
        h11_max_incomplete_event_size=LARGEST_HEAD_BYTES,
        forwarded_allow_ips=list(settings.trusted_proxies),  # by itself, uvicorn believes whatever this machine sends
        server_header=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
