"""So much in a minute, and not more."""

from proxy.rates import Rates


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_minute_moves_on() -> None:
    """The third within a minute waits until the first is a minute ago, not for the next full minute."""
    clock = Clock()
    rates = Rates(clock)
    for seconds in (0, 50):
        clock.now = 1000 + seconds
        assert rates.wait("a", 2) == 0
        rates.count("a", 2)
    assert rates.wait("a", 2) == 10
    assert rates.wait("b", 2) == 0
    clock.now = 1059.5
    assert rates.wait("a", 2) == 0.5
    clock.now = 1060
    assert rates.wait("a", 2) == 0
    rates.count("a", 2)
    assert rates.wait("a", 2) == 50


def test_a_lower_limit_holds_at_once() -> None:
    """What was counted under a higher limit counts under a lower one."""
    rates = Rates(Clock())
    for _ in range(5):
        rates.count("a", 10)
    assert rates.wait("a", 10) == 0
    assert rates.wait("a", 5) == 60


def test_who_did_nothing_for_a_minute_is_forgotten() -> None:
    """However many there were."""
    clock = Clock()
    rates = Rates(clock)
    for i in range(10_000):
        clock.now += 0.006
        rates.count(f"caller {i}", 3)
    assert len(rates) == 10_000
    clock.now += 30
    rates.count("a", 3)
    assert len(rates) == 5_001
    clock.now += 60
    rates.count("a", 3)
    assert len(rates) == 1
