"""Prints what was counted, and keeps what others left out of what is measured."""

import gc

import pytest
from _pytest.terminal import TerminalReporter
from hypothesis import HealthCheck, Phase, settings

from tests.fuzz.share import COUNTS, FIGURES, LONG, SEED

# The short share is the same every time, so that it fails for who broke it, and not for who comes next.
settings.register_profile(
    "fuzz",
    deadline=None,
    derandomize=not LONG,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate, Phase.target, Phase.shrink],
)


@pytest.fixture(autouse=True)
def _frozen() -> None:
    """A collection looks through TensorFlow and Keras too: a second, which no input has cost."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    if not COUNTS:
        return
    terminalreporter.section(f"fuzzing, {'long' if LONG else 'short'}, seed {SEED}")
    for name, count in sorted(COUNTS.items()):
        terminalreporter.write_line(f"{count:>9,}  {name}")
    for figure in FIGURES:
        terminalreporter.write_line(f"{'':>9}  {figure}")
