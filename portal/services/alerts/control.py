"""Alerts: begin a run, by the clock or by hand; preview it; answer the first question."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from portal.engine.events.names import EventName
from portal.lib.clock import common_now
from portal.models.alerts import Alert, AlertRun, FirstAnswer, RunKind, RunOutcome
from portal.models.assets import Asset
from portal.services import audit
from portal.services.alerts import ledger, sources
from portal.services.alerts import runs as alert_runs
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.rules import Moment
from portal.services.alerts.settings import last_slot
from portal.services.alerts.sources import Source
from portal.services.core.permissions import SYSTEM, Actor, require
from portal.services.core.queries import COUNT_LIMIT
from portal.services.core.refusals import NotFound, Refusal
from portal.services.core.unit_of_work import session, writing

SHOWN: Final = 100
TRY_AGAIN: Final = timedelta(hours=1)
TARGET: Final = ("alert_settings", alert_settings.ONE_ROW, "Alerts")


@dataclass(frozen=True, slots=True)
class Coming:
    """An alert that a run would send. `details` as in the ledger."""

    event: EventName
    asset_id: int
    asset_tag: str
    asset_name: str
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Preview:
    """What a run would send: how many by event, up to `COUNT_LIMIT`, and the first of them."""

    counts: Mapping[EventName, int]
    first: list[Coming]

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.counts.values())

    @property
    def is_capped(self) -> bool:
        """Whether we stopped counting, so that there are more."""
        return self.total >= COUNT_LIMIT


def preview(now: datetime, shown: int = SHOWN) -> Preview:
    """What a run at `now` would send. Reads only, chunk by chunk."""
    moment = alert_settings.moment(now)
    counts: dict[EventName, int] = {}
    first: list[Coming] = []
    for source, scanned in sources.chunks(session(), moment):
        due = ledger.due(session(), scanned)
        if due:
            counts[source.event] = counts.get(source.event, 0) + len(due)
            first += _coming(source, moment, due[: shown - len(first)])
        session().rollback()
        if sum(counts.values()) >= COUNT_LIMIT:
            break
    return Preview(counts, first)


def has_due(now: datetime) -> bool:
    """Whether a run at `now` would send anything."""
    moment = alert_settings.moment(now)
    return any(ledger.due(session(), scanned) for _, scanned in sources.chunks(session(), moment))


def start_due(now: datetime) -> bool:
    """Begin the daily run if its time has come; may be asked as often as one likes.

    Missed days are caught up with by one run. Before the first answer it sends nothing, and says
    how many wait; where nothing waits, there is nothing to ask.
    """
    stored = alert_settings.read()
    slot = last_slot(now, stored.rules.at, alert_settings.zone())
    if _has_begun(slot.day, now) or alert_runs.task_under_way(session()):
        return False
    waiting = 0 if stored.is_answered else preview(now, 0).total
    with writing() as current:
        _free(current, slot.day)
        run = alert_runs.enter(current, SYSTEM, RunKind.SCHEDULED, slot=slot.day)
        if run is None:
            return False
        if waiting:
            run.waiting = waiting
            alert_runs.finish(run, RunOutcome.ASKED)
        elif stored.is_answered:
            alert_runs.have_done(current, SYSTEM, run)
        else:
            _nothing_to_ask(current, SYSTEM, run)
        return True


def request_run(actor: Actor) -> UUID:
    """Run now; the public id of the task that does it, also when one is at work already."""
    now = common_now()
    if not alert_settings.read().is_answered and has_due(now):
        raise Refusal("Decide first what becomes of the alerts that are due already.")
    with writing() as current:
        require(current, actor, "alerts.settings")
        return _start(current, actor, "alerts.run")


def answer_first(actor: Actor, *, send: bool) -> UUID:
    """Decide about everything that was due before the first run; the task that carries it out."""
    given = FirstAnswer.SEND if send else FirstAnswer.MARK
    with writing() as current:
        require(current, actor, "alerts.settings")
        if not alert_settings.answer(current, actor, given):
            raise Refusal("This has been decided already.")
        return _start(current, actor, "alerts.run" if send else "alerts.marked")


def mark_as_sent(actor: Actor) -> UUID:
    """Enter what is due now into the ledger without telling anybody; the task that does it.

    Refused while a run is at work that tells of it.
    """
    with writing() as current:
        require(current, actor, "alerts.settings")
        alert_settings.answer(current, actor, FirstAnswer.MARK)
        return _start(current, actor, "alerts.marked")


def run(kind: RunKind, now: datetime | None = None) -> Mapping[str, int]:
    """A whole run, here and now; how many alerts fired, by event. For commands."""
    return alert_runs.do(kind, now or common_now())


def acknowledge(actor: Actor, public_id: UUID) -> bool:
    """Somebody looks after it; False when somebody did already. Raises `NotFound`."""
    with writing() as current:
        user = require(current, actor, "alerts.acknowledge")
        wanted = select(Alert).where(Alert.public_id == public_id).with_for_update()
        alert = current.scalars(wanted.execution_options(populate_existing=True)).one_or_none()
        if alert is None:
            raise NotFound("There is no such alert.")
        if alert.acknowledged_at is not None:
            return False
        alert.acknowledged_at = common_now()
        alert.acknowledged_by_id = user.id if user else None
        alert.acknowledged_by = actor.name
        name = f"{alert.event} {alert.asset.asset_tag}"
        audit.record(current, actor, "alert.acknowledged", target=("alert", public_id, name))
        return True


def _has_begun(day: date, now: datetime) -> bool:
    """Whether the day has its run; one that failed is repeated after a while."""
    begun = session().scalars(select(AlertRun).where(AlertRun.slot == day)).first()
    if begun is None:
        return False
    ended = begun.finished_at or now
    return begun.outcome != RunOutcome.FAILED or now < ended + TRY_AGAIN


def _free(current: Session, day: date) -> None:
    failed = (AlertRun.slot == day, AlertRun.outcome == RunOutcome.FAILED)
    current.execute(update(AlertRun).where(*failed).values(slot=None))


def _nothing_to_ask(current: Session, actor: Actor, run: AlertRun) -> None:
    """The first run found nothing: from now on what becomes due is sent. On an empty register
    nobody has begun to work yet, so the question stays open for what will be brought in."""
    if current.scalar(select(Asset.id).where(Asset.deleted_at.is_(None)).limit(1)) is not None:
        alert_settings.answer(current, actor, FirstAnswer.NOTHING)
    alert_runs.finish(run, RunOutcome.DONE)


def _start(current: Session, actor: Actor, action: str) -> UUID:
    is_marking = action == "alerts.marked"
    alert_settings.locked(current)  # of two at once the second finds the first one's run
    under_way = alert_runs.task_under_way(current)
    if under_way is not None:
        at_work = select(AlertRun.is_marking).where(AlertRun.task_public_id == under_way)
        if current.scalar(at_work) is not is_marking:
            raise Refusal("A check is running at this moment. Wait until it has ended.")
        return under_way
    run = alert_runs.enter(current, actor, RunKind.MANUAL, is_marking=is_marking)
    if run is None:
        raise RuntimeError("A run without a slot was taken for another")
    audit.record(current, actor, action, target=TARGET)
    return alert_runs.have_done(current, actor, run)


def _coming(source: Source, moment: Moment, things: list[int]) -> list[Coming]:
    return [each for thing_id in things for each in _one_coming(source, moment, thing_id)]


def _one_coming(source: Source, moment: Moment, thing_id: int) -> list[Coming]:
    current = session()
    asset_id = source.asset_of(current, thing_id)
    asset = current.get(Asset, asset_id) if asset_id else None
    found = source.judge(current, moment, asset, thing_id) if asset else None
    if asset is None or found is None:
        return []
    details = ledger.details_of(found.facts)
    return [Coming(source.event, asset.id, asset.asset_tag, asset.name, details)]
