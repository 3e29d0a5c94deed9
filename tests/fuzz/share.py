"""How much of the fuzzing is done, and what was counted."""

import os
from collections import Counter

LONG = os.environ.get("EASEL_FUZZ") == "long"
"""Whether this is `make fuzz`, and not the short share of it in `make test`."""

SEED = int(os.environ.get("EASEL_FUZZ_SEED", "1"))
"""Where the random choices begin; another number tries other input."""

COUNTS: Counter[str] = Counter()
"""What was tried so far, and what came of it, in words."""

FIGURES: list[str] = []
"""What was measured, a line each."""


def share(short: int, long: int) -> int:
    """How many to try."""
    return long if LONG else short
