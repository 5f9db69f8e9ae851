"""The lines of one table that a benchmark returns, printed as they come."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Took(NamedTuple):
    """The time of one request, by the clock and of the processor."""

    seconds: float
    processor: float


@dataclass(frozen=True, slots=True)
class Line:
    """One figure with its title, its value with unit, and a note."""

    what: str
    value: str
    note: str = ""


HEAD = "| What | Measured | Remark |\n| --- | ---: | --- |"


def show(line: Line) -> None:
    """Print one line of the table at once."""
    print(f"| {line.what} | {line.value} | {line.note} |", flush=True)


def milliseconds(seconds: float) -> str:
    """Format a short time in milliseconds."""
    return f"{seconds * 1000:.1f} ms"


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def p50_p99(seconds: Sequence[float]) -> str:
    """Format the median and the 99th percentile of some times."""
    return f"{milliseconds(statistics.median(seconds))} / {milliseconds(quantile(seconds, 0.99))}"
