"""Alert settings: what is alerted of, when, and the answer to the first question."""

from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from portal.extensions import settings
from portal.lib.clock import common_now
from portal.models.alerts import AlertSettings, FirstAnswer
from portal.services import audit
from portal.services.alerts.rules import DAYS, MOST_DAYS, AlertRules, Moment
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import Refusal, Stale
from portal.services.core.unit_of_work import insert_or_ignore, session, writing

ONE_ROW: Final = 1
GRACE: Final = timedelta(minutes=15)  # for a run to end
ONE_DAY: Final = timedelta(days=1)
TARGET: Final = ("alert_settings", ONE_ROW, "Alerts")


@dataclass(frozen=True, slots=True)
class Stored:
    """The settings in force. `version` 0: nobody has changed them yet."""

    rules: AlertRules
    version: int = 0
    first_answer: str | None = None
    first_answer_at: datetime | None = None

    @property
    def is_answered(self) -> bool:
        """Return whether somebody has decided about everything that was due before the first
        run."""
        return self.first_answer_at is not None


def read() -> Stored:
    """The settings in force."""
    return _stored(session().get(AlertSettings, ONE_ROW, populate_existing=True))


def moment(now: datetime, rules: AlertRules | None = None) -> Moment:
    """The rules in force at `now`, in the portal's time zone."""
    return Moment(rules or read().rules, now, zone())


def zone() -> ZoneInfo:
    """The organisation's time zone, in which days and times of day are counted."""
    return settings().timezone


def save(actor: Actor, version: int, rules: AlertRules) -> bool:
    """Change them; False when they were that already. Raises `Refusal`, `Stale`."""
    _refuse_unfit(rules)
    with writing() as current:
        require(current, actor, "alerts.settings")
        row = locked(current)
        if row.version != version:
            raise Stale("Someone else changed these settings after you opened the page.")
        before = _stored(row).rules
        changes = _changes(before, rules)
        if not changes:
            return False
        _fill(row, rules)
        row.version += 1
        audit.record(current, actor, "alert_settings.updated", target=TARGET, changes=changes)
        return True


def answer(current: Session, actor: Actor, given: FirstAnswer) -> bool:
    """Note what was decided, in the caller's transaction; False when that was done already."""
    row = locked(current)
    if row.first_answer_at is not None:
        return False
    row.first_answer, row.first_answer_at = given, common_now()
    changes = {"first_answer": {"from": None, "to": given}}
    audit.record(current, actor, "alert_settings.answered", target=TARGET, changes=changes)
    return True


def locked(current: Session) -> AlertSettings:
    """The one row for update, made if nobody has needed it yet."""
    values = {"id": ONE_ROW, "version": 0, **_columns(AlertRules())}
    make = insert_or_ignore(current.connection())(AlertSettings).values(values)
    current.execute(make.on_conflict_do_nothing())
    return current.get_one(AlertSettings, ONE_ROW, with_for_update=True)


def _stored(row: AlertSettings | None) -> Stored:
    if row is None:
        return Stored(AlertRules())
    names = [name for name in AlertRules.__dataclass_fields__ if name != "at"]
    rules = AlertRules(**{name: getattr(row, name) for name in names})
    rules = replace(rules, at=time.fromisoformat(row.time_of_day))
    return Stored(rules, row.version, row.first_answer, row.first_answer_at)


def _columns(rules: AlertRules) -> dict[str, Any]:
    columns = asdict(rules)
    at: time = columns.pop("at")
    return {**columns, "time_of_day": f"{at:%H:%M}"}


def _fill(row: AlertSettings, rules: AlertRules) -> None:
    for name, value in _columns(rules).items():
        setattr(row, name, value)


def _changes(before: AlertRules, after: AlertRules) -> dict[str, Any]:
    old, new = _columns(before), _columns(after)
    return {name: {"from": old[name], "to": new[name]} for name in new if old[name] != new[name]}


def _refuse_unfit(rules: AlertRules) -> None:
    for name, (least, sentence) in DAYS.items():
        value = getattr(rules, name)
        if value is not None and not least <= value <= MOST_DAYS:
            raise Refusal(sentence, field=name)


@dataclass(frozen=True, slots=True)
class Slot:
    """One day's run: the day it belongs to, and the instant from which on it is due."""

    day: date
    due_at: datetime


def last_slot(now: datetime, at: time, zone: ZoneInfo) -> Slot:
    """The latest run that should have begun by `now`."""
    today = now.astimezone(zone).date()
    slot = slot_of(today, at, zone)
    return slot if slot.due_at <= now else slot_of(today - ONE_DAY, at, zone)


def next_slot(now: datetime, at: time, zone: ZoneInfo) -> Slot:
    """The first run that is not due at `now` yet."""
    last = last_slot(now, at, zone)
    return slot_of(last.day + ONE_DAY, at, zone)


def slot_of(day: date, at: time, zone: ZoneInfo) -> Slot:
    """The run of a day."""
    # A time that the clocks skip becomes the one as long after the gap.
    return Slot(day, datetime.combine(day, at, zone).astimezone(UTC))


def is_late(now: datetime, last: Slot, *, has_run: bool) -> bool:
    """Return whether the run of `last` should have ended by now and has not."""
    return not has_run and now > last.due_at + GRACE
