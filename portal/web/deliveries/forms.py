"""The filter above the log. It lives in the address; what is typed over there narrows nothing."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, TypeVar
from uuid import UUID

from wtforms import Form, SelectField, StringField

from portal.engine.events.catalogue import CATALOGUE, EventName
from portal.engine.reasons import Reason, ReasonGroup, reasons_in, title
from portal.lib.clock import utcnow
from portal.services.deliveries.log import pages as log_pages
from portal.services.deliveries.log.filters import LogFilter, StatusFilter
from portal.web.forms.base import tidy
from portal.web.forms.query_values import beginning_of, day_or_none, end_of, uuid_or_none
from portal.web.frame.status_tags import delivery_tag

E = TypeVar("E", bound=StrEnum)

PERIODS: Final = {
    "hour": ("Last hour", timedelta(hours=1)),
    "day": ("Last 24 hours", timedelta(days=1)),
    "week": ("Last 7 days", timedelta(days=7)),
}
LARGEST_ASSET_ID: Final = 2**31 - 1
MOST_TYPED: Final = 120


class LogFilterForm(Form):
    """Webhook, event, status, reason, time, and a search for a delivery's id or an asset."""

    q = StringField("Delivery id or asset", filters=[tidy])
    webhook = SelectField("Webhook", validate_choice=False)
    event = SelectField("Event", validate_choice=False)
    time = SelectField("When", validate_choice=False)
    status = SelectField("Status", validate_choice=False)
    reason = SelectField("Reason", validate_choice=False)
    code = StringField("Answered with code", filters=[tidy])
    since = StringField("From", filters=[tidy])
    until = StringField("To", filters=[tidy])
    asset = StringField("Asset", filters=[tidy])

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.webhook.choices = [
            ("", "All webhooks"),
            *map(_webhook_choice, log_pages.webhook_names()),
        ]
        events = [(str(event.value), event.name) for event in CATALOGUE]
        self.event.choices = [("", "All events"), *events]
        periods = [(value, words) for value, (words, _) in PERIODS.items()]
        self.time.choices = [("", "Any time"), *periods]
        statuses = [(str(status), status_words(status)) for status in StatusFilter]
        self.status.choices = [("", "All"), *statuses]
        self.reason.choices = _reason_choices()

    def chosen(self) -> LogFilter:
        """What the log is narrowed to."""
        return LogFilter(
            status=_one_of(StatusFilter, self.status.data),
            webhook=uuid_or_none(self.webhook.data),
            event=_one_of(EventName, self.event.data),
            asset_id=_asset_id(self.asset.data),
            search="" if uuid_or_none(self.q.data) else (self.q.data or "")[:MOST_TYPED],
            reasons=_reasons(self.reason.data),
            code=_code(self.code.data),
            delivery=uuid_or_none(self.q.data),
            since=max(
                filter(None, (self._period(), beginning_of(day_or_none(self.since.data)))),
                default=None,
            ),
            until=end_of(day_or_none(self.until.data)),
        )

    def _period(self) -> datetime | None:
        period = PERIODS.get(self.time.data or "")
        return utcnow() - period[1] if period else None


def status_words(status: StatusFilter) -> str:
    """What the log calls a status that it can be narrowed to."""
    return "Needs attention" if status is StatusFilter.ATTENTION else delivery_tag(status).word


def _webhook_choice(webhook: tuple[UUID, str, bool]) -> tuple[str, str]:
    public_id, name, is_deleted = webhook
    return str(public_id), f"{name} (deleted)" if is_deleted else name


def _reason_choices() -> dict[str, list[tuple[str, str]]]:
    """Each group whole, then its reasons; two reasons with the same words are one choice."""
    choices = {"Any": [("", "Any reason")]}
    for group in ReasonGroup:
        named: dict[str, str] = {}
        for reason in reasons_in(group):
            named.setdefault(title(reason), str(reason))
        single = [(value, words) for words, value in named.items()]
        choices[group.label] = [(str(group), f"All of “{group.label}”"), *single]
    return choices


def _reasons(text: str | None) -> tuple[Reason, ...]:
    """A group stands for its reasons, and a reason for all that read the same."""
    if group := _one_of(ReasonGroup, text):
        return tuple(reasons_in(group))
    chosen = _one_of(Reason, text)
    return tuple(each for each in Reason if title(each) == title(chosen)) if chosen else ()


def _code(text: str | None) -> int | None:
    """A status code of HTTP."""
    is_one = text and text.isascii() and text.isdigit() and len(text) == 3
    return int(text) if is_one and text else None


def _one_of(kind: type[E], text: str | None) -> E | None:
    return kind(text) if text in set(kind) else None


def _asset_id(text: str | None) -> int | None:
    if not text or not text.isascii() or not text.isdigit() or len(text) > 10:
        return None
    return int(text) if int(text) <= LARGEST_ASSET_ID else None
