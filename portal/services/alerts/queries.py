"""Read alerts and the state of alert runs for pages, System, and the dashboard."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from operator import itemgetter
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import joinedload

from portal.engine.events.catalogue import EventName
from portal.lib.paging import Page
from portal.models.alerts import Alert, AlertRun, RunOutcome
from portal.models.assets import Asset
from portal.models.deliveries import Delivery
from portal.services.alerts import runs as alert_runs
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.kinds import BY_EVENT, KINDS
from portal.services.alerts.runs import AudienceCounts
from portal.services.alerts.settings import GRACE, Stored, is_late, last_slot, next_slot
from portal.services.core.keyset import newest_first
from portal.services.core.queries import capped
from portal.services.core.refusals import NotFound
from portal.services.core.unit_of_work import session
from portal.services.outbox.publish import Audience, audience_of

NAMED: Final = 12  # coming alerts whose assets are named


class Which(StrEnum):
    """The lists of alerts, where `OPEN` means neither acknowledged nor resolved."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFilter:
    """A filter for alerts. None matches any."""

    which: Which = Which.OPEN
    event: str | None = None
    asset_id: int | None = None


@dataclass(frozen=True, slots=True)
class AlertDeliveries:
    """Delivery counts of an alert's event by stored status. `only` is the id of a sole delivery."""

    counts: Mapping[str, int]
    only: UUID | None

    @property
    def total(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class RunStatus:
    """The state of the alert runs.

    `last` is the latest finished run. `checked_at` is the end of the latest successful run.
    `running` is the public id of the current run's task. `is_late` means that the daily run should
    have finished by now. `needs_first_answer` means that a person must first decide about the
    alerts that are already due.
    """

    stored: Stored
    last: AlertRun | None
    checked_at: datetime | None
    running: UUID | None
    last_due_at: datetime
    next_at: datetime
    is_late: bool
    needs_first_answer: bool


@dataclass(frozen=True, slots=True)
class DueNow:
    """Counts of alerts by kind: due now (`capped`) and coming in the next run.

    `tags` holds the tags of some assets that coming alerts are about.
    """

    due: Mapping[EventName, int]
    coming: Mapping[EventName, int]
    tags: Mapping[EventName, Sequence[str]]

    @property
    def total_coming(self) -> int:
        return sum(self.coming.values())


def due_now(now: datetime) -> DueNow:
    """Count the alerts due at `now`, sent or not. Ends the session's transactions."""
    coming = alert_runs.preview(now, NAMED)
    tags: dict[EventName, list[str]] = defaultdict(list)
    for alert in coming.first:
        tags[alert.event].append(alert.asset_tag)
    due = {kind.event: count_due(kind.event, now) for kind in KINDS}
    return DueNow(due, coming.counts, tags)


def count_due(event: EventName, now: datetime) -> int:
    """Count the subjects that are in the state of this alert kind (`capped`)."""
    return capped(session(), BY_EVENT[event].in_state(alert_settings.moment(now)))


def audiences_of(counts: Mapping[EventName, int]) -> list[AudienceCounts]:
    """Return the audiences that would get these alerts now, in the form of `runs.audiences`."""
    by_audience: dict[Audience, dict[str, int]] = {}
    for event, count in counts.items():
        by_audience.setdefault(audience_of(session(), event), {})[event] = count
    return sorted(by_audience.items(), key=itemgetter(0), reverse=True)


def list_alerts(
    chosen: AlertFilter, cursor: str | None = None, size: int | None = None
) -> Page[Alert]:
    """Return a page of alerts with their assets, newest first."""
    alerts = select(Alert).where(*_matching(chosen)).options(joinedload(Alert.asset))
    return newest_first(alerts, Alert.id, cursor, size)


def count_alerts(chosen: AlertFilter) -> int:
    """Count the matching alerts (`capped`)."""
    return capped(session(), select(Alert.id).where(*_matching(chosen)))


def has_any() -> bool:
    return session().execute(select(Alert.id).limit(1)).first() is not None


def find(public_id: UUID) -> Alert:
    """Return the alert with its asset. Raises `NotFound`."""
    with_asset = select(Alert).where(Alert.public_id == public_id).options(joinedload(Alert.asset))
    alert = session().scalars(with_asset).one_or_none()
    if alert is None:
        raise NotFound("This alert doesn’t exist.")
    return alert


def deliveries_of(listed: Sequence[Alert]) -> Mapping[int, AlertDeliveries]:
    """Return each alert event's deliveries by the alert's row id, omitting alerts without any."""
    events = {alert.event_id: alert.id for alert in listed if alert.event_id is not None}
    grouped = (
        select(Delivery.event_id, Delivery.status, func.count(), func.min(Delivery.id))
        .where(Delivery.event_id.in_(events))
        .group_by(Delivery.event_id, Delivery.status)
    )
    counts: dict[int, dict[str, int]] = {}
    ids: dict[int, int] = {}
    for event_id, status, count, delivery_id in session().execute(grouped):
        counts.setdefault(event_id, {})[status] = count
        ids[event_id] = delivery_id
    single = [ids[event_id] for event_id, by in counts.items() if sum(by.values()) == 1]
    rows = select(Delivery.event_id, Delivery.public_id).where(Delivery.id.in_(single))
    only = {row[0]: row[1] for row in session().execute(rows)}
    return {events[id_]: AlertDeliveries(by, only.get(id_)) for id_, by in counts.items()}


def runs(limit: int = 10) -> Sequence[AlertRun]:
    """Return the latest runs, newest first."""
    newest = (AlertRun.started_at.desc(), AlertRun.id.desc())
    return session().scalars(select(AlertRun).order_by(*newest).limit(limit)).all()


def run_status(now: datetime) -> RunStatus:
    current, stored, zone = session(), alert_settings.read(), alert_settings.zone()
    last = last_slot(now, stored.rules.at, zone)
    ended = select(AlertRun).where(AlertRun.outcome.is_not(None))
    has_run = current.scalar(
        select(AlertRun.id).where(
            AlertRun.slot == last.day,
            AlertRun.outcome.in_([RunOutcome.DONE, RunOutcome.ASKED, RunOutcome.STOPPED]),
        )
    )
    late = is_late(now, last, has_run=has_run is not None)
    return RunStatus(
        stored=stored,
        last=current.scalars(ended.order_by(AlertRun.finished_at.desc()).limit(1)).first(),
        checked_at=current.scalar(
            select(func.max(AlertRun.finished_at)).where(
                AlertRun.outcome.in_([RunOutcome.DONE, RunOutcome.ASKED])
            )
        ),
        running=alert_runs.task_under_way(current),
        last_due_at=last.due_at,
        next_at=next_slot(now, stored.rules.at, zone).due_at,
        is_late=late and _was_here(last.due_at - GRACE),
        needs_first_answer=not stored.is_answered and alert_runs.has_due(now),
    )


def _was_here(at: datetime) -> bool:
    """Return whether any asset existed before `at`, because a newly set up portal is not late."""
    old = select(Asset.id).where(Asset.created_at < at, Asset.deleted_at.is_(None)).limit(1)
    return session().scalar(old) is not None


def _matching(chosen: AlertFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if chosen.which is Which.OPEN:
        conditions += [Alert.acknowledged_at.is_(None), Alert.resolved_at.is_(None)]
    if chosen.which is Which.ACKNOWLEDGED:
        conditions.append(Alert.acknowledged_at.is_not(None))
    if chosen.event is not None:
        conditions.append(Alert.event == chosen.event)
    if chosen.asset_id is not None:
        conditions.append(Alert.asset_id == chosen.asset_id)
    return conditions
