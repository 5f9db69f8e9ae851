"""Email alerts to the addresses of their kind and to holders of overdue assets.

The transaction that stores emails also marks their alerts with the same `mailed_at`. So an email
finds its alerts when it is written, however late. An increasing number would miss alerts that an
earlier transaction commits later.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, case, func, literal, select, update
from sqlalchemy.orm import Session, joinedload

from portal.database.engine import AnyRow
from portal.engine.events.catalogue import EventName
from portal.extensions import settings
from portal.models.alerts import Alert, AlertRun
from portal.models.assets import Asset
from portal.models.assignments import Assignment, Staff
from portal.models.mails import Mail
from portal.services.alerts import runs
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.recipients import holders_reached, reached_by
from portal.services.alerts.sentences import NAMES, fired_words, sentence
from portal.services.alerts.settings import LATE
from portal.services.core.time_zones import moment_words
from portal.services.core.unit_of_work import database_time, session, writing
from portal.services.mail import mails
from portal.services.mail.mailer import Letter
from portal.services.mail.mails import Writer

ALERTS: Final = "alerts"
HOLDER: Final = "alert_holder"
MOST_LINES: Final = 50


def tell_new() -> int:
    """Store one email per address about all new alerts. Return the number of alerts.

    Safe to run concurrently. Alerts wait until a running check ends, so that they share one email.
    All alerts wait until the first question is answered.
    """
    if runs.task_under_way(session()):
        return 0
    with writing() as current:
        # The lock keeps emails from being stored for an address after an erasure removes it.
        stored = alert_settings.read(current, is_locked=True)
        if not stored.is_answered:
            return 0
        now, emails = database_time(current), stored.emails
        reached = {event: reached_by(current, emails, event) for event in NAMES}
        new = select(Alert.id).where(Alert.mailed_at.is_(None))
        # Alerts locked by another transaction are mailed a minute later.
        free = new.with_for_update(skip_locked=True, key_share=True)
        addresses = {event: literal(to, Alert.mailed_to.type) for event, to in reached.items()}
        values = {"mailed_at": now, "mailed_to": case(addresses, value=Alert.event)}
        taken = update(Alert).where(Alert.id.in_(free)).values(values)
        returned = taken.returning(Alert.event, Alert.assignment_id, Alert.fired_at)
        alerts = current.execute(returned.execution_options(synchronize_session=False)).all()
        if not alerts:
            return 0
        events = {alert.event for alert in alerts}
        for address in dict.fromkeys(to for event in events for to in reached[EventName(event)]):
            mails.write(current, ALERTS, address=address)
        late = [alert.assignment_id for alert in alerts if alert.event == LATE]
        holders = holders_reached(current, emails, late)
        for staff_id in sorted(set(holders.values())):
            mails.write(current, HOLDER, staff_id=staff_id)
        is_theirs = Alert.mailed_at == now, Alert.assignment_id.in_(holders)
        current.execute(update(Alert).where(*is_theirs).values(is_holder_told=True))
        _note_in_runs(current, alerts, reached, holders)
        return len(alerts)


def follow(run: AlertRun) -> bool:
    """Return whether emails about a finished check's alerts are due within a minute."""
    if not mails.is_on() or run.finished_at is None:
        return False
    emails = alert_settings.read().emails
    if not any(
        emails.of(event) or (event == LATE and emails.remind_holder) for event in run.counts
    ):
        return False
    unmailed = Alert.mailed_at.is_(None), Alert.fired_at.between(run.started_at, run.finished_at)
    return session().scalar(select(Alert.id).where(*unmailed).limit(1)) is not None


def _note_in_runs(
    current: Session,
    found: Sequence[AnyRow],
    reached: Mapping[EventName, Sequence[str]],
    holders: Mapping[int, int],
) -> None:
    """Store in each check how many addresses and holders are emailed about its alerts."""
    since = min(row.fired_at for row in found)
    for run in current.scalars(select(AlertRun).where(AlertRun.finished_at >= since)):
        end = run.finished_at or run.started_at
        own = [row for row in found if run.started_at <= row.fired_at <= end]
        addresses = {to for row in own for to in reached[row.event]}
        reminded = {holders[row.assignment_id] for row in own if row.assignment_id in holders}
        run.mailed_to = max(run.mailed_to, len(addresses))
        run.holders_told = max(run.holders_told, len(reminded))


def write(current: Session, mail: Mail, zone: ZoneInfo) -> Letter | None:
    """Write the email to an address, with the unresolved alerts that it still gets."""
    address = mail.address or ""
    events = alert_settings.read(current).emails.events_of(address)
    conditions = (*_of(mail), Alert.event.in_(events))
    grouped = select(Alert.event, func.count()).where(*conditions).group_by(Alert.event)
    counts = {row[0]: row[1] for row in current.execute(grouped)}
    if not counts:
        return None
    places = {event: place for place, event in enumerate(NAMES)}
    order = (case(places, value=Alert.event), Alert.id)
    shown = select(Alert).where(*conditions).options(joinedload(Alert.asset)).order_by(*order)
    alerts = current.scalars(shown.limit(MOST_LINES)).all()
    total, base = sum(counts.values()), settings().base_url
    parts = []
    for event, many in ((event, counts[event]) for event in NAMES if event in counts):
        lines = [_line(alert, zone) for alert in alerts if alert.event == event]
        parts += [f"{NAMES[event]} ({many:,})"] * (total > 1 and bool(lines)) + lines
    more = total - len(alerts)
    if more:
        parts.append(f"And {more:,} more {'alert' if more == 1 else 'alerts'}.")
    parts.append(f"View all alerts:\n{base}/alerts")
    parts.append(
        f"Times are in the {zone.key} time zone. You get this email because an administrator of "
        f"the asset register at {urlsplit(base).netloc} added {address}. To stop these emails, "
        "ask an administrator to remove the address under Alert settings."
    )
    return Letter(_subject(alerts, counts), "\n\n".join(parts) + "\n")


def remind(current: Session, mail: Mail, zone: ZoneInfo) -> Letter | None:
    """Write the reminder to a holder about the assets that are still overdue."""
    staff = current.get(Staff, mail.staff_id)
    held = select(Assignment.id).where(Assignment.staff_id == mail.staff_id)
    conditions = (*_of(mail), Alert.event == LATE, Alert.assignment_id.in_(held))
    shown = select(Alert).where(*conditions).options(joinedload(Alert.asset)).order_by(Alert.id)
    alerts = current.scalars(shown.limit(MOST_LINES)).all()
    stored = alert_settings.read(current).emails
    if staff is None or not alerts or not stored.remind_holder:
        return None
    lines = [f"{_called(alert.asset)}\n{_due(alert, zone)}" for alert in alerts]
    is_one, many = len(alerts) == 1, f"{len(alerts):,} overdue assets"
    parts = [
        f"{' '.join(staff.name.split())}, you have {'an overdue asset' if is_one else many}:",
        *lines,
        f"Return {'it' if is_one else 'them'} now.",
        *([stored.holder_text] if stored.holder_text else []),
        f"The asset register at {urlsplit(settings().base_url).netloc} sent this reminder "
        f"automatically. Times are in the {zone.key} time zone.",
    ]
    return Letter(_subject(alerts, {LATE: len(alerts)}, "assets"), "\n\n".join(parts) + "\n")


WRITERS: Final[Mapping[str, Writer]] = {ALERTS: write, HOLDER: remind}


def _of(mail: Mail) -> tuple[ColumnElement[bool], ...]:
    """Return conditions for the unresolved alerts of an email."""
    return Alert.mailed_at == mail.created_at, Alert.resolved_at.is_(None)


def _subject(alerts: Sequence[Alert], counts: Mapping[str, int], called: str = "alerts") -> str:
    """Return "Overdue: LAP-0012 ThinkPad T14", "Overdue: 3 alerts", or "3 alerts: 1 overdue, …"."""
    asset, many = alerts[0].asset, sum(counts.values())
    if len(counts) > 1:
        return f"{many:,} alerts: {fired_words(counts)}"
    subject = f"{asset.asset_tag} {asset.name}" if many == 1 else f"{many:,} {called}"
    return f"{NAMES[EventName(alerts[0].event)]}: {subject}"


def _line(alert: Alert, zone: ZoneInfo) -> str:
    happened = sentence(alert.event, alert.details, partial(moment_words, zone=zone))
    link = f"{settings().base_url}/assets/{alert.asset_id}"
    return f"{_called(alert.asset)}\n{_on_one_line(happened)}\n{link}"


def _due(alert: Alert, zone: ZoneInfo) -> str:
    return f"Due {moment_words(datetime.fromisoformat(alert.details['due_at']), zone)}"


def _called(asset: Asset) -> str:
    return _on_one_line(f"{asset.asset_tag}, {asset.name}")


def _on_one_line(text: str) -> str:
    return " ".join(text.split())
