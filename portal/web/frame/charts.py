"""Bars as SVG, made here, with their numbers in words. No script draws anything.

What arrived stands on the axis, what arrived late on top of it, and failed attempts hang below: it
is read without colours.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Final

from portal.lib.clock import utcnow
from portal.services.deliveries.trends import Span, Trend
from portal.web.frame.wording import number, plural, zone

Label = Callable[[datetime], str]
# Where what failed from one time until another is listed.
Place = Callable[[datetime, datetime], str]

HOURS: Final = 24
DAYS: Final = 7
LEAST: Final = 2.0  # one that failed among ten thousand is still to be seen
STEPS: Final = (1, 2, 4, 6, 10)  # the ends of an axis, each times a power of ten
LINE: Final = 14.0  # what a number beside a line needs
LETTER, GAP = 7, 6  # one of a number, and what stands between it and its line


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Width and height, in the units of the drawing; `left` and `below`: what the numbers and
    the labels of the axes take of it. `every`: each so-many-th bar has its label; 0: none has."""

    css: str
    width: int
    height: int
    left: int = 0
    right: int = 0
    top: int = 0
    below: int = 0
    every: int = 0


@dataclass(frozen=True, slots=True)
class Bar:
    """One span: `parts` are (kind, y, height) of those there are, delivered, late and failed;
    `words` say the same. `url`: where what failed in it is listed; blank where nothing did."""

    x: float
    width: float
    parts: list[tuple[str, float, float]]
    words: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Drawing:
    """The chart at one width. `axis`: the y of the line on which bars stand; `lines`: (y, number)
    of all lines with a number; `labels`: (x, words) below, of the middle of their bars."""

    frame: Frame
    axis: float
    lines: list[tuple[float, str]]
    bars: list[Bar]
    labels: list[tuple[float, str]]

    @property
    def right(self) -> int:
        """Return where the lines end."""
        return self.frame.width - self.frame.right


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart as the template draws it. `delivered`, `late`, `failed`: "29 arrived", "3 of them
    late" or nothing, "11 failed attempts". `total`: what arrived and what failed, if any, for where
    there is little room. `unit`: "One bar an hour"."""

    title: str
    unit: str
    delivered: str
    late: str
    failed: str
    total: str
    is_empty: bool
    drawings: list[Drawing]

    @property
    def numbers(self) -> list[Bar]:
        """Return each span, for its words."""
        return self.drawings[0].bars


SMALL: Final = (Frame(css="chart-spark", width=84, height=28, top=4, below=4),)


def _large(every: int, every_on_phones: int) -> tuple[Frame, ...]:
    edges = {"left": 34, "right": 4, "top": 8, "below": 22}
    return (
        Frame(css="chart-wide", width=760, height=190, every=every, **edges),
        Frame(css="chart-narrow", width=330, height=150, every=every_on_phones, **edges),
    )


def last_hours() -> list[datetime]:
    """Return the edges of the last 24 hours, the present one included."""
    end = utcnow().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    return [end - timedelta(hours=HOURS - hour) for hour in range(HOURS + 1)]


def last_days() -> list[datetime]:
    """Return the edges of the last 7 days, today included, as days are for the person who looks."""
    today = utcnow().astimezone(zone()).date()
    first = today - timedelta(days=DAYS - 1)
    days = [first + timedelta(days=day) for day in range(DAYS + 1)]
    return [datetime.combine(day, time(), zone()).astimezone(UTC) for day in days]


def hours_chart(trend: Trend, failures: Place | None = None) -> Chart:
    """Return the last 24 hours. `failures`: where they are listed."""
    words = _hour, _hour
    return _chart("the last 24 hours", "One bar an hour", trend, _large(4, 8), words, failures)


def days_chart(
    trend: Trend | None, frames: Sequence[Frame] | None = None, failures: Place | None = None
) -> Chart:
    """Return the last 7 days; None: nothing happened in them."""
    frames, words = frames or _large(1, 1), (_day, _weekday)
    known = trend or Trend(())
    return _chart("the last 7 days", "One bar a day", known, frames, words, failures)


def _chart(
    title: str,
    unit: str,
    trend: Trend,
    frames: Sequence[Frame],
    words: tuple[Label, Label],
    failures: Place | None,
) -> Chart:
    delivered = f"{number(trend.delivered)} arrived"
    failed = plural(trend.failed_attempts, "failed attempt")
    return Chart(
        title=f"What arrived in {title}",
        unit=unit,
        delivered=delivered,
        late=f"{number(trend.late)} of them late" if trend.late else "",
        failed=failed,
        total=f"{delivered}, {failed}" if trend.failed_attempts else delivered,
        is_empty=not (trend.delivered or trend.failed_attempts),
        drawings=[_drawing(trend.spans, frame, *words, failures) for frame in frames],
    )


def _drawing(
    spans: Sequence[Span], frame: Frame, in_full: Label, in_short: Label, failures: Place | None
) -> Drawing:
    up = _end(max((span.delivered for span in spans), default=0))
    down = _end(max((span.failed_attempts for span in spans), default=0))
    room = frame.height - frame.top - frame.below
    unit = room / max(1, up + down)
    axis = frame.top + up * unit
    lines = _lines(up, down, axis, unit) if frame.left else []
    longest = max((len(words) for _, words in lines), default=0)
    frame = replace(frame, left=max(frame.left, GAP + LETTER * longest)) if lines else frame
    step = (frame.width - frame.left - frame.right) / max(1, len(spans))
    begins = [frame.left + place * step for place in range(len(spans))]
    return Drawing(
        frame,
        round(axis, 2),
        lines,
        [
            replace(
                _bar(span, x + step * 0.14, step * 0.72, (axis, unit), in_full(span.begins)),
                url=failures(span.begins, span.ends) if failures and span.failed_attempts else "",
            )
            for span, x in zip(spans, begins, strict=True)
        ],
        [
            (round(x + step / 2, 2), in_short(span.begins))
            for place, (span, x) in enumerate(zip(spans, begins, strict=True))
            if frame.every and place % frame.every == 0
        ],
    )


def _lines(up: int, down: int, axis: float, unit: float) -> list[tuple[float, str]]:
    """Zero, both ends and the middle of what arrived, where there is room for them."""
    statement = [(axis, 0), (axis - up * unit, up), (axis + down * unit, down)]
    if up % 2 == 0:
        statement.append((axis - up * unit / 2, up // 2))
    shown: list[tuple[float, str]] = []
    for y, count in statement:
        if all(abs(y - other) >= LINE for other, _ in shown):
            shown.append((round(y, 2), number(count)))
    return shown


def _end(most: int) -> int:
    """Return where the axis ends: a round number that nothing is above."""
    power = 1
    while most > STEPS[-1] * power:
        power *= 10
    return next(step * power for step in STEPS if step * power >= most) if most else 0


def _bar(span: Span, x: float, width: float, scale: tuple[float, float], label: str) -> Bar:
    axis, unit = scale
    late = _length(span.late, unit)
    # All together as high as they count, also where the smallest was made longer.
    longer = late - span.late * unit
    in_time = _length(span.delivered - span.late, unit, longer)
    parts = [
        ("delivered", axis - in_time, in_time),
        ("late", axis - in_time - late, late),
        ("failed", axis + 1, _length(span.failed_attempts, unit)),
    ]
    shown = [(kind, round(y, 2), round(length, 2)) for kind, y, length in parts if length]
    return Bar(round(x, 2), round(width, 2), shown, f"{label}: {_in_words(span)}")


def _in_words(span: Span) -> str:
    late = f", {number(span.late)} of them late" if span.late else ""
    failed = plural(span.failed_attempts, "failed attempt")
    return f"{number(span.delivered)} arrived{late}, {failed}"


def _length(count: int, unit: float, longer: float = 0.0) -> float:
    return max(LEAST, count * unit - longer) if count else 0.0


def _hour(at: datetime) -> str:
    return f"{at.astimezone(zone()):%H:%M}"


def _day(at: datetime) -> str:
    local = at.astimezone(zone())
    return f"{local:%a}, {local:%b} {local.day}"


def _weekday(at: datetime) -> str:
    is_today = at.astimezone(zone()).date() == utcnow().astimezone(zone()).date()
    return "today" if is_today else f"{at.astimezone(zone()):%a}"
