"""How many steps a call gets, as calls take their time."""

import pytest

from proxy.pace import MOST_STEPS_PER_CALL, SECONDS_PER_CALL, CappedPace, FixedPace, LearnedPace, Pace


def calls(pace: Pace, steps: int, seconds_per_step: float, rows: int = 1) -> list[int]:
    """The steps of each call of a picture on a server of that speed."""
    taken = []
    while sum(taken) < steps:
        count = pace.steps(rows, steps - sum(taken))
        pace.took(rows, count, count * seconds_per_step)
        taken.append(count)
    return taken


def test_a_fixed_pace_never_changes() -> None:
    pace = FixedPace(3)
    pace.took(1, 3, 100.0)
    assert [pace.steps(1, left) for left in (7, 4, 1)] == [3, 3, 1]


@pytest.mark.parametrize(
    ("seconds_per_step", "steps", "expected"),
    [
        (0.010, 20, [20]),
        (0.010, 50, [25, 25]),
        (0.050, 20, [5, 5, 5, 5]),
        (0.050, 23, [5, 5, 5, 4, 4]),  # equal lengths, not 5, 5, 5, 5, 3
        (0.200, 3, [1, 1, 1]),
        (12.0, 3, [1, 1, 1]),
        (0.0, 50, [25, 25]),
    ],
)
def test_calls_of_a_quarter_of_a_second(seconds_per_step: float, steps: int, expected: list[int]) -> None:
    pace = LearnedPace()
    assert calls(pace, 2, seconds_per_step)[0] == 1, "nothing is known yet"
    assert calls(pace, steps, seconds_per_step) == expected
    assert max(expected) == 1 or max(expected) * seconds_per_step <= SECONDS_PER_CALL
    assert max(expected) <= MOST_STEPS_PER_CALL


def test_a_busy_server_is_not_taken_for_a_slow_network() -> None:
    """Shorter calls would make it busier still."""
    pace = LearnedPace()
    calls(pace, 20, 0.05)
    calls(pace, 20, 1.0)
    assert calls(pace, 20, 0.05) == [5, 5, 5, 5]


def test_more_rows_are_other_work() -> None:
    pace = LearnedPace()
    calls(pace, 20, 0.01)
    assert pace.steps(16, 20) == 1
    calls(pace, 20, 0.12, rows=16)
    assert calls(pace, 4, 0.12, rows=16) == [2, 2]
    assert calls(pace, 20, 0.01) == [20]


def test_a_server_that_came_back_slower_is_learned_anew() -> None:
    """Otherwise calls that are too long now would be sent, and fail, for ever."""
    pace = LearnedPace()
    calls(pace, 20, 0.01)
    pace.failed(rows=2)
    assert pace.steps(1, 20) == 20
    pace.failed(rows=1)
    assert calls(pace, 20, 12.0) == [1] * 20


def test_a_capped_pace_stops_where_it_is_looked_at() -> None:
    """Calls are as long as the other pace wants them, none goes past the next fourth step, and the other learns."""
    assert calls(CappedPace(FixedPace(3), 4, 11), 11, 0.01) == [3, 1, 3, 1, 3]
    assert calls(CappedPace(FixedPace(25), 4, 11), 11, 0.01) == [4, 4, 3]
    learned = LearnedPace()
    assert calls(CappedPace(learned, 4, 11), 11, 0.08) == [1, 3, 2, 2, 3]
    assert learned.steps(1, 11) == 3
    pace = CappedPace(learned, 4, 11)
    pace.failed(1)
    assert learned.steps(1, 11) == 1
