"""What a benchmark hands back: lines of one table, printed as they come."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """One figure: what was measured, its value with unit, and what belongs to it."""

    what: str
    value: str
    note: str = ""


HEAD = "| What | Measured | Remark |\n| --- | ---: | --- |"


def show(line: Line) -> None:
    """Print one line of the table at once."""
    print(f"| {line.what} | {line.value} | {line.note} |", flush=True)


def milliseconds(seconds: float) -> str:
    """A short time, as people compare it."""
    return f"{seconds * 1000:.1f} ms"


def quantile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all stay below or at."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def p50_p99(seconds: Sequence[float]) -> str:
    """Median and 99th percentile of some times."""
    return f"{milliseconds(statistics.median(seconds))} / {milliseconds(quantile(seconds, 0.99))}"
