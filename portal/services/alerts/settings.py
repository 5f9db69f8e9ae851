"""Read and save the alert rules, the run time, email recipients, and the first answer."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from portal.engine.events.catalogue import EventName
from portal.extensions import settings
from portal.lib.clock import common_now
from portal.lib.typed_values import is_email, tidy_email
from portal.models.alerts import AlertSettings, FirstAnswer
from portal.services import audit
from portal.services.alerts.rules import DAYS, MOST_DAYS, AlertRules, Moment
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import Refusal, Stale
from portal.services.core.unit_of_work import insert_or_ignore, session, writing

ONE_ROW: Final = 1
GRACE: Final = timedelta(minutes=15)  # the time a run gets to finish
ONE_DAY: Final = timedelta(days=1)
TARGET: Final = ("alert_settings", ONE_ROW, "Alerts")


# The column with each kind's email addresses.
ADDRESSES: Final[Mapping[EventName, str]] = {
    EventName.CHECKOUT_OVERDUE: "mail_overdue",
    EventName.MAINTENANCE_DUE: "mail_maintenance",
    EventName.WARRANTY_EXPIRING: "mail_warranty",
    EventName.LOW_STOCK: "mail_low_stock",
}
CALLED: Final[Mapping[EventName, str]] = {
    EventName.CHECKOUT_OVERDUE: "overdue",
    EventName.MAINTENANCE_DUE: "maintenance",
    EventName.WARRANTY_EXPIRING: "warranty",
    EventName.LOW_STOCK: "low-stock",
}
LATE: Final = EventName.CHECKOUT_OVERDUE  # the kind that holders are reminded of
MOST_ADDRESSES: Final = 20  # per kind
LONGEST_HOLDER_TEXT: Final = 1_000
LONGEST_SHOWN: Final = 60  # characters of an invalid address


@dataclass(frozen=True, slots=True, kw_only=True)
class Emails:
    """Email recipients: the addresses for each kind, and holders of overdue assets.

    `holder_text` is the organization's own paragraph in reminders to holders.
    """

    mail_overdue: Sequence[str] = ()
    mail_maintenance: Sequence[str] = ()
    mail_warranty: Sequence[str] = ()
    mail_low_stock: Sequence[str] = ()
    remind_holder: bool = False
    holder_text: str = ""

    def of(self, event: str) -> Sequence[str]:
        """Return the addresses that get this kind's emails."""
        addresses: Sequence[str] = getattr(self, ADDRESSES[EventName(event)])
        return addresses

    def events_of(self, address: str) -> list[EventName]:
        """Return the kinds that this address gets."""
        return [event for event in ADDRESSES if address in self.of(event)]


@dataclass(frozen=True, slots=True)
class Stored:
    """The settings in force. `version` 0 means never changed."""

    rules: AlertRules
    emails: Emails = Emails()
    version: int = 0
    first_answer: str | None = None
    first_answer_at: datetime | None = None

    @property
    def is_answered(self) -> bool:
        """Return whether the alerts due before the first run have been decided on."""
        return self.first_answer_at is not None


def read(current: Session | None = None, *, is_locked: bool = False) -> Stored:
    """Return the settings in force. `is_locked` keeps them unchanged until the transaction ends."""
    lock = {"read": True} if is_locked else None
    reader = current or session()
    row = reader.get(AlertSettings, ONE_ROW, populate_existing=True, with_for_update=lock)
    return _stored(row)


def moment(now: datetime, rules: AlertRules | None = None) -> Moment:
    """Return the moment `now` with `rules`, or with the rules in force."""
    return Moment(rules or read().rules, now, zone())


def zone() -> ZoneInfo:
    """Return the organization's time zone, in which days and times of day are counted."""
    return settings().timezone


def save(actor: Actor, version: int, rules: AlertRules, emails: Emails | None = None) -> bool:
    """Save the settings. Return False if unchanged. Raises `Refusal` and `Stale`.

    `emails` None keeps the email settings.
    """
    _refuse_unfit(rules)
    if emails is not None:
        emails = _tidied(emails)
    with writing() as current:
        require(current, actor, "alerts.settings")
        row = locked(current)
        if row.version != version:
            raise Stale("Someone else changed these settings after you opened the page.")
        before = _stored(row)
        now = _columns(rules) | _columns_of_emails(emails or before.emails)
        changes = _changes(_columns(before.rules) | _columns_of_emails(before.emails), now)
        if not changes:
            return False
        for name, value in now.items():
            setattr(row, name, value)
        row.version += 1
        audit.record(current, actor, "alert_settings.updated", target=TARGET, changes=changes)
        return True


def answer(current: Session, actor: Actor, given: FirstAnswer) -> bool:
    """Store the first answer in the caller's transaction. Return False if already answered."""
    row = locked(current)
    if row.first_answer_at is not None:
        return False
    row.first_answer, row.first_answer_at = given, common_now()
    changes = {"first_answer": {"from": None, "to": given}}
    audit.record(current, actor, "alert_settings.answered", target=TARGET, changes=changes)
    return True


def forget_addresses(current: Session, addresses: Collection[str]) -> None:
    """Remove these addresses, in the transaction that erases their person."""
    row = current.get(AlertSettings, ONE_ROW, with_for_update=True, populate_existing=True)
    if row is None:
        return
    theirs = {address.lower() for address in addresses}
    kept = {
        name: [email for email in getattr(row, name) if email not in theirs]
        for name in ADDRESSES.values()
    }
    if any(kept[name] != getattr(row, name) for name in kept):
        for name, left in kept.items():
            setattr(row, name, left)
        row.version += 1  # otherwise a page opened earlier could save the addresses again


def typed_addresses(lines: Iterable[str]) -> list[str]:
    """Return the addresses in stored form, without duplicates."""
    return list(dict.fromkeys(filter(None, map(tidy_email, lines))))


def locked(current: Session) -> AlertSettings:
    """Return the settings row locked for update, creating it if needed."""
    values = {"id": ONE_ROW, "version": 0, **_columns(AlertRules()), **_columns_of_emails(Emails())}
    make = insert_or_ignore(current.connection())(AlertSettings).values(values)
    current.execute(make.on_conflict_do_nothing())
    return current.get_one(AlertSettings, ONE_ROW, with_for_update=True)


def _stored(row: AlertSettings | None) -> Stored:
    if row is None:
        return Stored(AlertRules())
    names = [name for name in AlertRules.__dataclass_fields__ if name != "at"]
    rules = AlertRules(**{name: getattr(row, name) for name in names})
    rules = replace(rules, at=time.fromisoformat(row.time_of_day))
    emails = Emails(**{field.name: getattr(row, field.name) for field in fields(Emails)})
    return Stored(rules, emails, row.version, row.first_answer, row.first_answer_at)


def _columns(rules: AlertRules) -> dict[str, Any]:
    columns = asdict(rules)
    at: time = columns.pop("at")
    return {**columns, "time_of_day": f"{at:%H:%M}"}


def _columns_of_emails(emails: Emails) -> dict[str, Any]:
    columns = asdict(emails)
    return columns | {name: list(columns[name]) for name in ADDRESSES.values()}


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {"from": old[name], "to": new[name]} for name in new if old[name] != new[name]}


def _tidied(emails: Emails) -> Emails:
    """Return the email settings in stored form. Raises `Refusal` for an invalid field."""
    tidied: dict[str, Any] = {}
    for event, name in ADDRESSES.items():
        addresses = tidied[name] = typed_addresses(getattr(emails, name))
        wrong = [address for address in addresses if not is_email(address)]
        if wrong:
            shown = wrong[0] if len(wrong[0]) <= LONGEST_SHOWN else f"{wrong[0][:LONGEST_SHOWN]}…"
            expected = f"Enter one email address per line for {CALLED[event]} alerts"
            raise Refusal(
                f"{expected}, such as office@example.com. “{shown}” isn’t one", field=name
            )
        if len(addresses) > MOST_ADDRESSES:
            extra = f"“{addresses[MOST_ADDRESSES]}” is number {MOST_ADDRESSES + 1}"
            expected = f"Enter at most {MOST_ADDRESSES} email addresses for {CALLED[event]} alerts"
            raise Refusal(f"{expected}. {extra}", field=name)
    text = " ".join(emails.holder_text.split())
    if len(text) > LONGEST_HOLDER_TEXT:
        sentence = f"Enter at most {LONGEST_HOLDER_TEXT:,} characters"
        raise Refusal(sentence, field="holder_text")
    return replace(emails, holder_text=text, **tidied)


def _refuse_unfit(rules: AlertRules) -> None:
    for name, (least, sentence) in DAYS.items():
        value = getattr(rules, name)
        if value is not None and not least <= value <= MOST_DAYS:
            raise Refusal(sentence, field=name)


@dataclass(frozen=True, slots=True)
class Slot:
    """One day's run: its day, and the instant when it becomes due."""

    day: date
    due_at: datetime


def last_slot(now: datetime, at: time, zone: ZoneInfo) -> Slot:
    """Return the latest run due by `now`."""
    today = now.astimezone(zone).date()
    slot = slot_of(today, at, zone)
    return slot if slot.due_at <= now else slot_of(today - ONE_DAY, at, zone)


def next_slot(now: datetime, at: time, zone: ZoneInfo) -> Slot:
    """Return the first run that is not due yet at `now`."""
    last = last_slot(now, at, zone)
    return slot_of(last.day + ONE_DAY, at, zone)


def slot_of(day: date, at: time, zone: ZoneInfo) -> Slot:
    # A time that the clocks skip moves forward by the length of the gap.
    return Slot(day, datetime.combine(day, at, zone).astimezone(UTC))


def is_late(now: datetime, last: Slot, *, has_run: bool) -> bool:
    """Return whether the run of `last` should have finished by now but has not."""
    return not has_run and now > last.due_at + GRACE
