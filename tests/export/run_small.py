"""Runs the export's command line in a process of its own, with the small family in the table.

Usage: python -m tests.export.run_small FILE_LIMIT_BYTES ARGUMENTS...; a limit of 0 is none. Past the limit writes fail,
as on a full disk.
"""

from __future__ import annotations

import resource
import signal
import sys

from export.cli import main
from export.families import FAMILIES
from tests.export.small import SMALL

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what runs in the background
    if limit_bytes := int(sys.argv[1]):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
    FAMILIES[SMALL.name] = SMALL
    sys.exit(main(sys.argv[2:]))
