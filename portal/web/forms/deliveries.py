"""The filter above the log. It lives in the address; what is typed over there narrows nothing."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, TypeVar
from uuid import UUID

from wtforms import Form, SelectField, StringField

from portal.delivery.events import CATALOGUE, EventName
from portal.lib.clock import utcnow
from portal.services import log
from portal.services.log_filter import LogFilter, StatusFilter
from portal.web.forms.addressed import beginning_of, day_or_none, end_of, uuid_or_none
from portal.web.forms.base import tidy
from portal.web.status_words import delivery_tag

E = TypeVar("E", bound=StrEnum)

PERIODS: Final = {
    "hour": ("Last hour", timedelta(hours=1)),
    "day": ("Last 24 hours", timedelta(days=1)),
    "week": ("Last 7 days", timedelta(days=7)),
}
LARGEST_ASSET_ID: Final = 2**31 - 1


class LogFilterForm(Form):
    """Webhook, event, status, time, and the id of one delivery."""

    q = StringField("Delivery id", filters=[tidy])
    webhook = SelectField("Webhook", validate_choice=False)
    event = SelectField("Event", validate_choice=False)
    time = SelectField("When", validate_choice=False)
    status = SelectField("Status", validate_choice=False)
    since = StringField("From", filters=[tidy])
    until = StringField("To", filters=[tidy])
    asset = StringField("Asset", filters=[tidy])

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.webhook.choices = [("", "All webhooks"), *map(_webhook_choice, log.webhook_names())]
        events = [(str(event.value), event.name) for event in CATALOGUE]
        self.event.choices = [("", "All events"), *events]
        periods = [(value, words) for value, (words, _) in PERIODS.items()]
        self.time.choices = [("", "Any time"), *periods]
        statuses = [(str(status), status_words(status)) for status in StatusFilter]
        self.status.choices = [("", "All"), *statuses]

    @property
    def is_unreadable(self) -> bool:
        """Whether what was typed cannot be the id of any delivery."""
        return bool(self.q.data) and uuid_or_none(self.q.data) is None

    def chosen(self) -> LogFilter:
        """What the log is narrowed to."""
        return LogFilter(
            status=_one_of(StatusFilter, self.status.data),
            webhook=uuid_or_none(self.webhook.data),
            event=_one_of(EventName, self.event.data),
            asset_id=_asset_id(self.asset.data),
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


def _one_of(kind: type[E], text: str | None) -> E | None:
    return kind(text) if text in set(kind) else None


def _asset_id(text: str | None) -> int | None:
    if not text or not text.isascii() or not text.isdigit() or len(text) > 10:
        return None
    return int(text) if int(text) <= LARGEST_ASSET_ID else None
