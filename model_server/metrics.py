"""Counters and histograms with labels, and the text in which Prometheus reads them."""

import threading
import time
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

Labels = tuple[str, ...]

# Label values come from requests too: names of models that there are not.
_MOST_SERIES = 1000
_LONGEST_LABEL = 200
_OTHER = "other"


class Stopwatch:
    """Counts from the moment it is made."""

    def __init__(self) -> None:
        self._started = time.perf_counter_ns()

    @property
    def microseconds(self) -> int:
        """Whole microseconds so far."""
        return (time.perf_counter_ns() - self._started) // 1000


class Counter:
    """A sum for each combination of label values, which only grows; may be used from many threads."""

    def __init__(self, name: str, *label_names: str) -> None:
        self.name = name
        self._label_names = label_names
        self._sums: dict[Labels, int] = {}
        self._lock = threading.Lock()

    def add(self, amount: int, *labels: str) -> None:
        """Add to the sum under these label values, which are in the order of the labels' names.

        Long values are cut, and combinations beyond a thousand share one sum: the memory stays bounded.
        """
        labels = tuple(label[:_LONGEST_LABEL] for label in labels)
        with self._lock:
            if labels not in self._sums and len(self._sums) >= _MOST_SERIES:
                labels = (_OTHER,) * len(labels)
            self._sums[labels] = self._sums.get(labels, 0) + amount

    def lines(self) -> Iterator[str]:
        """The counter in Prometheus' text format, without HELP, which TensorFlow Serving does not print either."""
        with self._lock:
            sums = sorted(self._sums.items())
        yield f"# TYPE {self.name} counter"
        for labels, total in sums:
            yield f"{self.name}{{{_label_text(self._label_names, labels)}}} {total}"


class Histogram:
    """Counts of values by size for each combination of label values; may be used from many threads."""

    def __init__(self, name: str, limits: Sequence[float], *label_names: str) -> None:
        """`limits`: the upper ends of all buckets but the last, which has none."""
        self.name = name
        self._limits = limits
        self._label_names = label_names
        self._buckets: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}
        self._lock = threading.Lock()

    def observe(self, value: float, *labels: str) -> None:
        """Count a value under these label values. One that equals a limit is above it, as in TensorFlow."""
        bucket = bisect_right(self._limits, value)
        with self._lock:
            if labels not in self._buckets:
                self._buckets[labels] = [0] * (len(self._limits) + 1)
            self._buckets[labels][bucket] += 1
            self._sums[labels] = self._sums.get(labels, 0.0) + value

    def lines(self) -> Iterator[str]:
        """The histogram in Prometheus' text format, numbers in six digits as TensorFlow Serving prints them."""
        with self._lock:
            points = [(labels, list(counts), self._sums[labels]) for labels, counts in sorted(self._buckets.items())]
        yield f"# TYPE {self.name} histogram"
        ends = [*(f"{limit:g}" for limit in self._limits), "+Inf"]
        for labels, counts, total in points:
            text = _label_text(self._label_names, labels)
            before = f"{text}," if text else ""
            reached = 0
            for end, count in zip(ends, counts, strict=True):
                reached += count
                yield f'{self.name}_bucket{{{before}le="{end}"}} {reached}'
            yield f"{self.name}_sum{{{text}}} {total:g}"
            yield f"{self.name}_count{{{text}}} {reached}"


def exponential_limits(scale: float, growth: float, count: int) -> list[float]:
    """`count` limits: the first is `scale`, each next one `growth` times the one before."""
    return [scale * growth**power for power in range(count)]


def exposition(metrics: Iterable[Counter | Histogram]) -> bytes:
    """The page that Prometheus reads: all metrics in the order of their names."""
    ordered = sorted(metrics, key=lambda metric: metric.name)
    return "".join(f"{line}\n" for metric in ordered for line in metric.lines()).encode()


def _label_text(names: Labels, values: Labels) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))


def _escaped(value: str) -> str:
    """A label's value as it may stand between quotes. What is no UTF-8 would make Prometheus refuse the whole page."""
    text = value.encode("utf-8", "backslashreplace").decode()
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
