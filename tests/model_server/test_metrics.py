"""Counters, histograms and the text that Prometheus reads, for values that are known."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from model_server.metrics import Counter, Histogram, Stopwatch, exponential_limits, exposition


def test_counters_print_a_line_for_each_combination_of_labels() -> None:
    """In the order of the labels' values, numbers in full; without labels the braces stay."""
    requests = Counter(":a:requests", "model_name", "status")
    requests.add(1, "m", "OK")
    requests.add(2, "m", "NOT_FOUND")
    requests.add(1_234_567_890_123, "m", "OK")
    runs = Counter(":a:runs")
    runs.add(7)
    assert exposition([runs, requests]).decode() == (
        "# TYPE :a:requests counter\n"
        ':a:requests{model_name="m",status="NOT_FOUND"} 2\n'
        ':a:requests{model_name="m",status="OK"} 1234567890124\n'
        "# TYPE :a:runs counter\n"
        ":a:runs{} 7\n"
    )


def test_whatever_names_come_the_sums_are_bounded_and_lose_nothing() -> None:
    """A thousand series and one for the rest, none of them long; those that were there go on."""
    requests = Counter(":a:requests", "model_name")
    for number in range(3000):
        requests.add(1, f"{number} {'x' * 500}")
        requests.add(1, "0" + " " + "x" * 500)
    lines = list(requests.lines())[1:]
    assert len(lines) == 1001
    assert max(map(len, lines)) < 300
    assert sum(int(line.rsplit(" ", 1)[1]) for line in lines) == 6000
    assert ':a:requests{model_name="other"} 2000' in lines


def test_histograms_print_sums_of_buckets() -> None:
    """Each bucket holds those before it too; a value at a limit is above it; numbers have six digits."""
    sizes = Histogram(":sizes", exponential_limits(1, 2, 4), "kind")
    for size in (0, 2, 3.5, 8, 1_234_567):
        sizes.observe(size, "a")
    sizes.observe(1, "")
    assert exposition([sizes]).decode() == (
        "# TYPE :sizes histogram\n"
        ':sizes_bucket{kind="",le="1"} 0\n'
        ':sizes_bucket{kind="",le="2"} 1\n'
        ':sizes_bucket{kind="",le="4"} 1\n'
        ':sizes_bucket{kind="",le="8"} 1\n'
        ':sizes_bucket{kind="",le="+Inf"} 1\n'
        ':sizes_sum{kind=""} 1\n'
        ':sizes_count{kind=""} 1\n'
        ':sizes_bucket{kind="a",le="1"} 1\n'
        ':sizes_bucket{kind="a",le="2"} 1\n'
        ':sizes_bucket{kind="a",le="4"} 3\n'
        ':sizes_bucket{kind="a",le="8"} 3\n'
        ':sizes_bucket{kind="a",le="+Inf"} 5\n'
        ':sizes_sum{kind="a"} 1.23458e+06\n'
        ':sizes_count{kind="a"} 5\n'
    )


def test_a_histogram_without_labels() -> None:
    sizes = Histogram(":sizes", [10.0])
    sizes.observe(1)
    assert exposition([sizes]).decode().splitlines()[1:] == [
        ':sizes_bucket{le="10"} 1',
        ':sizes_bucket{le="+Inf"} 1',
        ":sizes_sum{} 1",
        ":sizes_count{} 1",
    ]


def test_metrics_without_values_print_their_types() -> None:
    page = exposition([Histogram(":b", [1.0], "x"), Counter(":a")])
    assert page == b"# TYPE :a counter\n# TYPE :b histogram\n"


@pytest.mark.parametrize(
    ("value", "printed"),
    [('a"b', r"a\"b"), ("a\\b", r"a\\b"), ("a\nb", r"a\nb"), ("é", "é"), ("\udcff", r"\\udcff"), ("", "")],
)
def test_label_values_are_escaped(value: str, printed: str) -> None:
    """Quotes, backslashes, ends of lines, and bytes that are no UTF-8."""
    counter = Counter(":c", "name")
    counter.add(1, value)
    assert exposition([counter]).decode() == f'# TYPE :c counter\n:c{{name="{printed}"}} 1\n'


@pytest.fixture
def frequent_switches() -> Iterator[None]:
    """Threads take turns as often as Python can let them."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("frequent_switches")
def test_many_threads_lose_nothing() -> None:
    counter, histogram = Counter(":c", "n"), Histogram(":h", [5.0], "n")

    def count(_: int) -> None:
        for _ in range(5000):
            counter.add(1, "")

    def observe(number: int) -> None:
        for _ in range(5000):
            histogram.observe(number % 10, "")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(40)))
        list(pool.map(observe, range(40)))
    page = exposition([counter, histogram]).decode()
    assert ':c{n=""} 200000\n' in page
    assert ':h_bucket{n="",le="5"} 100000\n' in page
    assert ':h_sum{n=""} 900000\n:h_count{n=""} 200000\n' in page


def test_a_stopwatch_counts_microseconds() -> None:
    watch = Stopwatch()
    first = watch.microseconds
    while watch.microseconds < first + 1000:
        pass
    assert isinstance(watch.microseconds, int)
