"""Define the filter form of the log."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Any, Final, TypeVar
from uuid import UUID

from wtforms.fields.core import UnboundField
from wtforms.validators import ValidationError

from portal.engine.events.catalogue import CATALOGUE, EventName
from portal.engine.reasons import Reason, ReasonGroup, alike, reasons_in, title
from portal.lib.clock import utcnow
from portal.services.core.permissions import CONTENT
from portal.services.deliveries import log as log_pages
from portal.services.deliveries.statuses import EARLIER, FailedBetween, LogFilter, StatusFilter
from portal.web.forms.filter_form import ChosenField, FilterForm, RowField, SearchField
from portal.web.forms.parsing import TypedField, day_begins, read_begin, read_end, uuid_or_none
from portal.web.frame.access import can
from portal.web.frame.status_tags import DELIVERY
from portal.web.frame.wording import day_of, exact_day, zone

E = TypeVar("E", bound=StrEnum)

Span = tuple[datetime, datetime | None]
A_DAY: Final = timedelta(days=1)
# At eight in the morning, people look for events since they left in the evening.
EVENING, MORNING = time(18), time(8)
# A choice among the reasons for deliveries without an attempt.
UNTRIED: Final = "none"
CODE: Final = re.compile(r"[1-5](?:\d\d|\dx|xx)", re.ASCII)


def _lately(length: timedelta) -> Callable[[], Span]:
    return lambda: (utcnow() - length, None)


def _yesterday() -> Span:
    today = utcnow().astimezone(zone()).date()
    return day_begins(today - A_DAY), day_begins(today)


def _last_night() -> Span:
    """Return yesterday evening to this morning, since no one means the coming night."""
    today = utcnow().astimezone(zone()).date()
    begin = datetime.combine(today - A_DAY, EVENING, zone())
    return begin.astimezone(UTC), datetime.combine(today, MORNING, zone()).astimezone(UTC)


PERIODS: Final[dict[str, tuple[str, Callable[[], Span]]]] = {
    "hour": ("Last hour", _lately(timedelta(hours=1))),
    "day": ("Last 24 hours", _lately(A_DAY)),
    "night": ("Last night (18:00 to 08:00)", _last_night),
    "yesterday": ("Yesterday", _yesterday),
    "week": ("Last 7 days", _lately(timedelta(days=7))),
}
# Status filters that no delivery has as its status.
NO_STATUSES: Final = {
    StatusFilter.ATTENTION: "Needs attention",
    StatusFilter.OPEN: "Queued or retrying",
    StatusFilter.UNDELIVERED: "Undelivered",
}
# Status filters that links use but the form doesn't offer.
NO_CHOICES: Final = (StatusFilter.OPEN, StatusFilter.UNDELIVERED)
# The same periods, applied to the time of a failed attempt.
FAILED: Final = "failed"
FAILED_IN: Final[dict[str, str]] = {
    "hour": "Failed in the last hour",
    "day": "Failed in the last 24 hours",
    "night": "Failed last night (18:00 to 08:00)",
    "yesterday": "Failed yesterday",
    "week": "Failed in the last 7 days",
}


def read_codes(text: str) -> tuple[int, int]:
    """Return the first and last code of 404, 50x, or 5xx. Raises `ValueError`."""
    code = text.lower()
    if not CODE.fullmatch(code):
        raise ValueError("as 3 digits, such as 404 or 5xx")
    return int(code.replace("x", "0")), int(code.replace("x", "9"))


class LogFilterForm(FilterForm):
    q = SearchField("Asset or delivery ID")
    webhook = ChosenField("Webhook")
    event = ChosenField("Event")
    time = ChosenField("Time")
    status = ChosenField("Status", filters=[lambda word: _today(word)])
    reason = ChosenField("Reason")
    code = TypedField("Response code", read=read_codes, called="code")
    answer = SearchField("Response contains")
    since = TypedField("From", read=read_begin, called="time")
    until = TypedField("To", read=read_end, called="time")
    asset = RowField("Asset")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.webhook.choices = [
            ("", "All webhooks"),
            *map(_webhook_choice, log_pages.webhook_names()),
        ]
        events = [(str(event.value), event.name) for event in CATALOGUE]
        self.event.choices = [("", "All events"), *events]
        self.time.choices = _time_choices()
        # A status that only links use is a choice while it is selected.
        statuses = [
            (str(status), status_words(status))
            for status in StatusFilter
            if status not in NO_CHOICES or self.status.data == status
        ]
        self.status.choices = [("", "All statuses"), *statuses]
        self.reason.choices = _reason_choices()

    def chosen(self) -> LogFilter:
        """Return the filter. `validate` has to succeed first."""
        since, until = self._times()
        by_failure = (self.time.data or "").startswith(FAILED)
        return LogFilter(
            status=_one_of(StatusFilter, self.status.data),
            webhook=uuid_or_none(self.webhook.data),
            event=_one_of(EventName, self.event.data),
            asset_id=self.asset.row_id,
            search="" if uuid_or_none(self.q.data) else self.q.data or "",
            reasons=_reasons(self.reason.data),
            untried=self.reason.data == UNTRIED,
            codes=self.code.data,
            delivery=uuid_or_none(self.q.data),
            since=None if by_failure else since,
            until=None if by_failure else until,
            failed=FailedBetween(since, until) if by_failure else None,
            answer=self.answer.data or "",
        )

    def _times(self) -> tuple[datetime | None, datetime | None]:
        """Return the start and end of the chosen period within the typed times."""
        period = PERIODS.get((self.time.data or "").removeprefix(f"{FAILED}-"))
        begin, end = period[1]() if period else (None, None)
        since = max(filter(None, (begin, self.since.data)), default=None)
        return since, min(filter(None, (end, self.until.data)), default=None)

    def validate_answer(self, field: SearchField) -> None:
        """Refuse a search of responses that the user may not read.

        Its matches would reveal parts of them.
        """
        if field.data and not can(CONTENT):
            raise ValidationError("You can’t search responses with your role")

    def validate_until(self, field: TypedField) -> None:
        """Check that the second time comes after the first."""
        if self.since.data and field.data and field.data <= self.since.data:
            raise ValidationError("Enter a time later than From")


# The query parameters of the filter.
FILTERS: Final = frozenset(
    name for name, field in vars(LogFilterForm).items() if isinstance(field, UnboundField)
)


def status_words(status: StatusFilter) -> str:
    """Return the label of a status filter."""
    return NO_STATUSES.get(status) or DELIVERY[status].word


def _today(word: str | None) -> str | None:
    """Return the current name of a status, which old URLs call by a former name."""
    return StatusFilter(word) if word in EARLIER else word


def _time_choices() -> dict[str, list[tuple[str, str]]]:
    """Return each period twice, for the time of storage and for that of a failed attempt."""
    failed = [(failed_in(span), words) for span, words in FAILED_IN.items()]
    return {
        "Any": [("", "Any time")],
        "When the event happened": [(span, words) for span, (words, _) in PERIODS.items()],
        "When an attempt failed": [*failed, (FAILED, "Failed between two times")],
    }


def failed_in(span: str = "") -> str:
    """Return the query value for "an attempt failed in `span`"."""
    return f"{FAILED}-{span}" if span else FAILED


def time_words(choice: str) -> str:
    """Return "Failed last night (Nov 27, 18:00 to Nov 28, 08:00)" for a choice of time.

    Return "" for a period without an end, which its label describes fully.
    """
    span = choice.removeprefix(f"{FAILED}-")
    words, between = PERIODS.get(span, ("", None))
    begin, end = between() if between else (None, None)
    if begin is None or end is None:
        return ""
    called = (words if span == choice else FAILED_IN[span]).partition(" (")[0]
    first, last = begin.astimezone(zone()), end.astimezone(zone())
    is_whole_day = first.time() == last.time() == time() and last.date() - first.date() == A_DAY
    if is_whole_day:
        return f"{called} ({day_of(begin)})"
    return f"{called} ({exact_day(begin)} to {exact_day(end)})"


def _webhook_choice(webhook: tuple[UUID, str, bool]) -> tuple[str, str]:
    public_id, name, is_deleted = webhook
    return str(public_id), f"{name} (deleted)" if is_deleted else name


def _reason_choices() -> dict[str, list[tuple[str, str]]]:
    """Return each group and its reasons. Reasons with the same words share a choice."""
    choices = {"All": [("", "All reasons"), (UNTRIED, "No attempt yet")]}
    for group in ReasonGroup:
        named: dict[str, str] = {}
        for reason in reasons_in(group):
            named.setdefault(title(reason), str(reason))
        single = [(value, words) for words, value in named.items()]
        choices[group.label] = [(str(group), f"All of “{group.label}”"), *single]
    return choices


def _reasons(text: str | None) -> tuple[Reason, ...]:
    """Return the reasons of the chosen group, or all reasons with the chosen one's words."""
    if group := _one_of(ReasonGroup, text):
        return tuple(reasons_in(group))
    chosen = _one_of(Reason, text)
    return alike(chosen) if chosen else ()


def _one_of(kind: type[E], text: str | None) -> E | None:
    return kind(text) if text in set(kind) else None
