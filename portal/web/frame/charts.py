"""Draw bar charts as SVG without scripts, with their numbers in words.

Bars are stacked attempts, which delivered, delivered late, or failed.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final

from flask import url_for

from portal.lib.clock import utcnow
from portal.services.deliveries.trends import Span, Trend
from portal.web.frame.status_tags import Tab
from portal.web.frame.wording import number, zone

Label = Callable[[datetime], str]
# Returns the URL of the list of a span's deliveries.
Place = Callable[[Span], str]

HOURS: Final = 24
DAYS: Final = 7
WEEKS: Final = 5
WEEK: Final = "week"  # the URL's value for the 7-day chart
DAY: Final = "day"
LEAST: Final = 2.0  # keeps one failure among ten thousand visible
STEPS: Final = (1, 2, 4, 6, 10)  # the ends of the axis, each times a power of ten
LETTER, GAP = 7, 6  # width of a digit, and space between a number and its line


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The size of a drawing, in its own units.

    `left` and `below` are the space for numbers and labels of the axes. One bar in `every` has a
    label, and none if it is 0.
    """

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
    """One span. `parts` are (kind, y, height) of its delivered, late, and failed attempts.

    Parts without attempts are left out. `words` say the same. `url` leads to the list of its
    deliveries, and is "" if there are none.
    """

    x: float
    width: float
    parts: list[tuple[str, float, float]]
    words: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Drawing:
    """The chart at one width.

    `axis` is the y of the line on which bars stand. `lines` are (y, number) of all lines with a
    number. `labels` are (x, words) below the bars, with the x of their middle.
    """

    frame: Frame
    axis: float
    lines: list[tuple[float, str]]
    bars: list[Bar]
    labels: list[tuple[float, str]]

    @property
    def right(self) -> int:
        """Return the x of the lines' end."""
        return self.frame.width - self.frame.right


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart as the template draws it, with the number of attempts of each kind."""

    title: str
    delivered: int
    late: int
    failed: int
    drawings: list[Drawing]

    @property
    def is_empty(self) -> bool:
        return not (self.delivered or self.failed)

    @property
    def numbers(self) -> list[Bar]:
        """Return the bars of one drawing, for their words."""
        return self.drawings[0].bars


SMALL: Final = (Frame(css="chart-spark", width=84, height=28, top=4, below=4),)


def _large(every: int, every_on_phones: int) -> tuple[Frame, ...]:
    edges = {"left": 34, "right": 4, "top": 8, "below": 22}
    return (
        Frame(css="chart-wide", width=760, height=190, every=every, **edges),
        Frame(css="chart-narrow", width=330, height=150, every=every_on_phones, **edges),
    )


def last_hours() -> list[datetime]:
    """Return the edges of the last 24 hours, including the current one."""
    end = utcnow().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    return [end - timedelta(hours=HOURS - hour) for hour in range(HOURS + 1)]


def last_days() -> list[datetime]:
    """Return the edges of the last 7 days in the reader's time zone, including today."""
    today = utcnow().astimezone(zone()).date()
    first = today - timedelta(days=DAYS - 1)
    days = [first + timedelta(days=day) for day in range(DAYS + 1)]
    return [datetime.combine(day, time(), zone()).astimezone(UTC) for day in days]


def last_weeks(days: int) -> list[datetime]:
    """Return the edges of the weeks since Monday in the reader's time zone, at most `WEEKS`.

    The last one is the current week. All begin within the last `days`.
    """
    now = utcnow()
    today = now.astimezone(zone()).date()
    monday = today - timedelta(days=today.weekday())
    mondays = [monday + timedelta(days=7 * (week - WEEKS + 1)) for week in range(WEEKS + 1)]
    edges = [datetime.combine(day, time(), zone()).astimezone(UTC) for day in mondays]
    return [edge for edge in edges if edge >= now - timedelta(days=days)]


def hours_chart(trend: Trend, place: Place | None = None) -> Chart:
    """Draw the last 24 hours. `place` returns the URLs of bars."""
    words = _hour, _hour
    return _chart("last 24 hours", trend, _large(4, 8), words, place)


def days_chart(
    trend: Trend | None,
    frames: Sequence[Frame] | None = None,
    place: Place | None = None,
    most: int = 0,
) -> Chart:
    """Draw the last 7 days. `trend` is None if nothing happened in them.

    `most`: the largest number of attempts in a span of all charts beside it.
    """
    frames, words = frames or _large(1, 1), (_day, _weekday)
    return _chart("last 7 days", trend or Trend(()), frames, words, place, most)


def most_in(trends: Iterable[Trend]) -> int:
    """Return the largest number of attempts in one span."""
    return max((_attempts(span) for trend in trends for span in trend.spans), default=0)


def _attempts(span: Span) -> int:
    return span.delivered + span.failed_attempts


def period_tabs(endpoint: str, *, is_week: bool, **values: Any) -> list[Tab]:
    """Return the tabs of a chart's periods, on the page at `endpoint`."""
    return [
        Tab(words, url_for(endpoint, period=period, _anchor=DAY, **values), here)
        for words, period, here in (("24 hours", DAY, not is_week), ("7 days", WEEK, is_week))
    ]


def _chart(
    title: str,
    trend: Trend,
    frames: Sequence[Frame],
    words: tuple[Label, Label],
    place: Place | None,
    most: int = 0,
) -> Chart:
    end = _end(max(most, most_in([trend])))
    return Chart(
        f"Delivery attempts, {title}",
        trend.delivered,
        trend.late,
        trend.failed_attempts,
        [_drawing(trend.spans, end, frame, *words, place) for frame in frames],
    )


def _drawing(
    spans: Sequence[Span],
    end: int,
    frame: Frame,
    in_full: Label,
    in_short: Label,
    place: Place | None,
) -> Drawing:
    axis = frame.height - frame.below
    unit = (axis - frame.top) / max(1, end)
    ends = [0, end // 2, end] if end % 2 == 0 else [0, end]
    lines = [(round(axis - count * unit, 2), number(count)) for count in sorted({*ends})]
    if frame.left:
        longest = max(len(words) for _, words in lines)
        frame = replace(frame, left=max(frame.left, GAP + LETTER * longest))
    step = (frame.width - frame.left - frame.right) / max(1, len(spans))
    begins = [frame.left + index * step for index in range(len(spans))]
    return Drawing(
        frame,
        axis,
        lines if frame.left else [],
        [
            Bar(
                round(x + step * 0.14, 2),
                round(step * 0.72, 2),
                _parts(span, axis, unit),
                f"{in_full(span.begins)}: {_in_words(span)}",
                place(span) if place and _attempts(span) else "",
            )
            for span, x in zip(spans, begins, strict=True)
        ],
        [
            (round(x + step / 2, 2), in_short(span.begins))
            for index, (span, x) in enumerate(zip(spans, begins, strict=True))
            if frame.every and index % frame.every == 0
        ],
    )


def _end(most: int) -> int:
    """Return the end of the axis, a round number that no bar exceeds."""
    power = 1
    while most > STEPS[-1] * power:
        power *= 10
    return next(step * power for step in STEPS if step * power >= most) if most else 0


def _parts(span: Span, axis: float, unit: float) -> list[tuple[str, float, float]]:
    """Stack the parts from the axis up.

    Small parts are made longer to be visible. The largest part gives up that length, so that the
    height of the stack matches the count.
    """
    counts = {
        "delivered": span.delivered - span.late,
        "late": span.late,
        "failed": span.failed_attempts,
    }
    heights = {kind: max(LEAST, many * unit) for kind, many in counts.items() if many}
    if heights:
        largest = max(heights, key=heights.__getitem__)
        longer = sum(heights.values()) - sum(counts.values()) * unit
        heights[largest] = max(LEAST, heights[largest] - longer)
    parts, top = [], axis
    for kind, height in heights.items():
        top -= height
        parts.append((kind, round(top, 2), round(height, 2)))
    return parts


def _in_words(span: Span) -> str:
    late = f" ({number(span.late)} late)" if span.late else ""
    return f"{number(span.delivered)} delivered{late}, {number(span.failed_attempts)} failed"


def _hour(at: datetime) -> str:
    return f"{at.astimezone(zone()):%H:%M}"


def _day(at: datetime) -> str:
    local = at.astimezone(zone())
    return f"{local:%a}, {local:%b} {local.day}"


def _weekday(at: datetime) -> str:
    is_today = at.astimezone(zone()).date() == utcnow().astimezone(zone()).date()
    return "today" if is_today else f"{at.astimezone(zone()):%a}"
