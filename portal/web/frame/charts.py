"""Small stacked bars as SVG, made here, with their numbers in words. No script draws anything."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final

from portal.lib.clock import utcnow
from portal.services.deliveries.trends import Span, Trend
from portal.web.frame.wording import number, plural, zone

Label = Callable[[datetime], str]

HOURS: Final = 24
DAYS: Final = 7
GAP: Final = 2
LEAST: Final = 2  # one that failed among ten thousand is still to be seen


@dataclass(frozen=True, slots=True)
class Size:
    """How wide and high, in the units of the drawing."""

    width: int
    height: int


SMALL: Final = Size(84, 28)
LARGE: Final = Size(480, 96)


@dataclass(frozen=True, slots=True)
class Bar:
    """One span: failed attempts stand on what arrived late, that on what arrived in time.

    `parts`: (kind, y, height) of those there are: delivered, late, failed. `words` say the same.
    """

    x: float
    width: float
    parts: list[tuple[str, float, float]]
    words: str


@dataclass(frozen=True, slots=True)
class Chart:
    """What the template draws. `delivered`, `late`, `failed`: "29 delivered", "3 of them late" or
    nothing, "11 failed attempts". `ends`: what stands under its first and its last bar.
    """

    title: str
    delivered: str
    late: str
    failed: str
    ends: tuple[str, str]
    is_empty: bool
    size: Size
    bars: list[Bar]

    @property
    def total(self) -> str:
        """ "29 delivered, 11 failed attempts", for where there is little room."""
        return f"{self.delivered}, {self.failed}"


def last_hours() -> list[datetime]:
    """The edges of the last 24 hours, the present one included."""
    end = utcnow().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    return [end - timedelta(hours=HOURS - each) for each in range(HOURS + 1)]


def last_days() -> list[datetime]:
    """The edges of the last 7 days, today included, as days are for the person who looks."""
    today = utcnow().astimezone(zone()).date()
    first = today - timedelta(days=DAYS - 1)
    days = [first + timedelta(days=each) for each in range(DAYS + 1)]
    return [datetime.combine(day, time(), zone()).astimezone(UTC) for day in days]


def hours_chart(trend: Trend, size: Size = LARGE) -> Chart:
    """The last 24 hours."""
    return _chart("Last 24 hours", trend, size, _hour, (_first_hour, "Now"))


def days_chart(trend: Trend | None, size: Size = LARGE) -> Chart:
    """The last 7 days; None: nothing happened in them."""
    return _chart("Last 7 days", trend or Trend(()), size, _day, (_day, "Today"))


def _chart(title: str, trend: Trend, size: Size, label: Label, ends: tuple[Label, str]) -> Chart:
    first, last = ends
    most = max((span.delivered + span.failed_attempts for span in trend.spans), default=0)
    step = size.width / max(1, len(trend.spans))
    return Chart(
        title=title,
        delivered=f"{number(trend.delivered)} delivered",
        late=f"{number(trend.late)} of them late" if trend.late else "",
        failed=plural(trend.failed_attempts, "failed attempt"),
        ends=(first(trend.spans[0].begins) if trend.spans else "", last),
        is_empty=most == 0,
        size=size,
        bars=[
            _bar(span, place * step, step - GAP, size.height, most, label(span.begins))
            for place, span in enumerate(trend.spans)
        ],
    )


def _bar(span: Span, x: float, width: float, height: int, most: int, label: str) -> Bar:
    # Those above first: all together stay inside, also where the smallest was made longer.
    counts = {"failed": span.failed_attempts, "late": span.late}
    counts["delivered"] = span.delivered - span.late
    parts, y = [], 0.0
    lengths = {kind: _length(count, most, height) for kind, count in counts.items()}
    lengths["delivered"] = min(lengths["delivered"], height - lengths["failed"] - lengths["late"])
    y = height - sum(lengths.values())
    for kind, length in lengths.items():
        if length:
            parts.append((kind, round(y, 2), round(length, 2)))
        y += length
    return Bar(
        x=round(x, 2), width=round(width, 2), parts=parts, words=f"{label}: {_in_words(span)}"
    )


def _in_words(span: Span) -> str:
    late = f", {number(span.late)} of them late" if span.late else ""
    failed = plural(span.failed_attempts, "failed attempt")
    return f"{number(span.delivered)} delivered{late}, {failed}"


def _length(count: int, most: int, height: int) -> float:
    return max(LEAST, count / most * height) if count else 0.0


def _hour(at: datetime) -> str:
    return f"{at.astimezone(zone()):%H:%M}"


def _first_hour(at: datetime) -> str:
    is_today = at.astimezone(zone()).date() == utcnow().astimezone(zone()).date()
    return f"{'Today' if is_today else 'Yesterday'} {_hour(at)}"


def _day(at: datetime) -> str:
    local = at.astimezone(zone())
    return f"{local:%a} {local.day} {local:%b}"
