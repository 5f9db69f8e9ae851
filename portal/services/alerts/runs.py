"""Run alert checks, on schedule or on request, firing each due alert in its own transaction.

A run is a task (`tasks`) whose cursor lets it resume after being killed. The ledger's unique key
keeps concurrent runs from firing an alert twice.
"""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from operator import itemgetter
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, literal_column, select, update
from sqlalchemy.orm import Session

from portal.engine.events.catalogue import EventName
from portal.lib.clock import common_now
from portal.models.alerts import AlertRun, FirstAnswer, RunKind, RunOutcome
from portal.models.assets import Asset
from portal.models.tasks import IS_UNDER_WAY, Task, TaskState
from portal.services import audit, tasks
from portal.services.alerts import ledger
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.kinds import KINDS, AlertKind, chunks
from portal.services.alerts.rules import Moment
from portal.services.alerts.settings import last_slot
from portal.services.assets import queries as asset_queries
from portal.services.core.permissions import SYSTEM, Actor, require
from portal.services.core.queries import COUNT_LIMIT
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import insert_or_ignore, session, writing
from portal.services.outbox.publish import Audience
from portal.services.tasks import Kind, Step

log = logging.getLogger(__name__)

NAME: Final = "alerts"
PERMISSION: Final = "alerts.settings"
FIRED: Final = "fired"
PASSED: Final = "passed"
# At least this many runs are kept, and all runs of the latest days. Otherwise repeated use of
# Check now could delete a day's run, which would then start again.
KEPT: Final = 100
DAYS_KEPT: Final = timedelta(days=7)
# After this many failures an alert is left to the next run, so that it does not block others.
MOST_FAILURES: Final = 2
SHOWN: Final = 100  # alerts in a preview
TRY_AGAIN: Final = timedelta(hours=1)
TARGET: Final = ("alert_settings", alert_settings.ONE_ROW, "Alerts")

# An audience, and its number of alerts by event.
AudienceCounts = tuple[Audience, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Place:
    """A run's position: the index in `KINDS`, the last scanned subject id, and the ids to do."""

    kind: int = 0
    after: int = 0
    todo: tuple[int, ...] = ()

    @property
    def is_end(self) -> bool:
        return self.kind >= len(KINDS)


@dataclass(frozen=True, slots=True)
class ComingAlert:
    """An alert that a run would send. `details` are in the form of the ledger."""

    event: EventName
    asset_id: int
    asset_tag: str
    asset_name: str
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Preview:
    """The alerts that a run would send: counts by event, the first alerts, and late checkout ids.

    Counting stops at `COUNT_LIMIT`.
    """

    counts: Mapping[EventName, int]
    first: list[ComingAlert]
    checkouts: Collection[int]

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def is_capped(self) -> bool:
        """Return whether counting stopped at the limit, so that there can be more."""
        return self.total >= COUNT_LIMIT


def preview(now: datetime, shown: int = SHOWN) -> Preview:
    """Return the alerts that a run at `now` would send, reading each chunk in a transaction."""
    moment = alert_settings.moment(now)
    counts: dict[EventName, int] = {}
    first: list[ComingAlert] = []
    checkouts: list[int] = []
    for kind, scanned in chunks(session(), moment):
        due = ledger.due(session(), scanned)
        if due:
            counts[kind.event] = counts.get(kind.event, 0) + len(due)
            checkouts += due if kind.event is alert_settings.LATE else []
            coming = (_coming(kind, moment, id_) for id_ in due[: shown - len(first)])
            first += [alert for alert in coming if alert is not None]
        session().rollback()
        if sum(counts.values()) >= COUNT_LIMIT:
            break
    return Preview(counts, first, checkouts)


def has_due(now: datetime) -> bool:
    """Return whether a run at `now` would send anything."""
    moment = alert_settings.moment(now)
    return any(ledger.due(session(), scanned) for _, scanned in chunks(session(), moment))


def start_due(now: datetime) -> bool:
    """Start the daily run if it is due. Return whether it started.

    One run makes up for missed days. Until the first question is answered, the run sends nothing
    and only stores the number of waiting alerts. If none wait, the question is skipped. In an empty
    register, the day's run waits for the first asset.
    """
    stored = alert_settings.read()
    slot = last_slot(now, stored.rules.at, alert_settings.zone())
    if _has_begun(slot.day, now) or task_under_way(session()):
        return False
    if not stored.is_answered and not asset_queries.has_assets():
        return False
    waiting = 0 if stored.is_answered else preview(now, 0).total
    with writing() as current:
        failed = (AlertRun.slot == slot.day, AlertRun.outcome == RunOutcome.FAILED)
        current.execute(update(AlertRun).where(*failed).values(slot=None))
        run = enter(current, SYSTEM, RunKind.SCHEDULED, slot=slot.day)
        if run is None:
            return False
        if waiting:
            run.waiting = waiting
            finish(run, RunOutcome.ASKED)
        elif stored.is_answered:
            have_done(current, SYSTEM, run)
        else:
            # With nothing to ask about, all alerts due from now on are sent.
            alert_settings.answer(current, SYSTEM, FirstAnswer.NOTHING)
            finish(run, RunOutcome.DONE)
        return True


def request_run(actor: Actor) -> UUID:
    """Queue a run. Return the public id of its task, or of the task already in progress."""
    now = common_now()
    if not alert_settings.read().is_answered and has_due(now):
        raise Refusal("First decide about the alerts that are already due.")
    with writing() as current:
        require(current, actor, "alerts.settings")
        return _start(current, actor, "alerts.run")


def answer_first(actor: Actor, *, send: bool) -> UUID:
    """Send or mark the alerts due before the first run. Return the task's public id."""
    first_answer = FirstAnswer.SEND if send else FirstAnswer.MARK
    with writing() as current:
        require(current, actor, "alerts.settings")
        if not alert_settings.answer(current, actor, first_answer):
            raise Refusal("Someone has already decided about these alerts.")
        return _start(current, actor, "alerts.run" if send else "alerts.marked")


def mark_as_sent(actor: Actor) -> UUID:
    """Queue a run that enters due alerts without sending them. Return its task's public id.

    Raises `Refusal` while a run that sends alerts is in progress.
    """
    with writing() as current:
        require(current, actor, "alerts.settings")
        alert_settings.answer(current, actor, FirstAnswer.MARK)
        return _start(current, actor, "alerts.marked")


def _has_begun(day: date, now: datetime) -> bool:
    """Return whether the day's run exists, ignoring one that failed over `TRY_AGAIN` ago."""
    run = session().scalars(select(AlertRun).where(AlertRun.slot == day)).first()
    if run is None:
        return False
    ended = run.finished_at or now
    return run.outcome != RunOutcome.FAILED or now < ended + TRY_AGAIN


def _start(current: Session, actor: Actor, action: str) -> UUID:
    is_marking = action == "alerts.marked"
    # If two requests arrive at once, the second finds the run that the first one started.
    alert_settings.locked(current)
    under_way = task_under_way(current)
    if under_way is not None:
        query = select(AlertRun.is_marking).where(AlertRun.task_public_id == under_way)
        if current.scalar(query) is not is_marking:
            raise Refusal("A check is running. Wait until it finishes.")
        return under_way
    run = enter(current, actor, RunKind.MANUAL, is_marking=is_marking)
    if run is None:
        raise RuntimeError("A run without a slot was taken for another")
    audit.record(current, actor, action, target=TARGET)
    return have_done(current, actor, run)


def _coming(kind: AlertKind, moment: Moment, subject_id: int) -> ComingAlert | None:
    current = session()
    asset_id = kind.asset_of(current, subject_id)
    asset = current.get(Asset, asset_id) if asset_id else None
    alert = kind.decide(current, moment, asset, subject_id) if asset else None
    if asset is None or alert is None:
        return None
    details = ledger.details_of(alert.facts)
    return ComingAlert(kind.event, asset.id, asset.asset_tag, asset.name, details)


def enter(
    current: Session,
    actor: Actor,
    kind: RunKind,
    *,
    slot: date | None = None,
    is_marking: bool = False,
) -> AlertRun | None:
    """Store a run and delete old ones. Return None if the day's run is already stored."""
    row = insert_or_ignore(current.connection())(AlertRun).values(
        kind=kind, slot=slot, is_marking=is_marking, actor_name=actor.name
    )
    made = row.on_conflict_do_nothing(index_elements=[AlertRun.slot]).returning(AlertRun.id)
    run_id = current.execute(made).scalar_one_or_none()
    if run_id is None:
        return None
    is_old = AlertRun.id <= run_id - KEPT, AlertRun.started_at < common_now() - DAYS_KEPT
    current.execute(delete(AlertRun).where(*is_old))
    return current.get_one(AlertRun, run_id)


def have_done(current: Session, actor: Actor, run: AlertRun) -> UUID:
    """Queue the run as a task, after the commit. Return the task's public id."""
    task = tasks.start(current, actor, NAME, total=0, params={"run_id": run.id})
    run.task_public_id = task.public_id
    return task.public_id


def run(kind: RunKind, now: datetime | None = None) -> Mapping[str, int]:
    """Do a whole run synchronously. Return the number of fired alerts by event."""
    with writing() as current:
        run = enter(current, SYSTEM, kind)
        run_id = run.id if run else 0
    now = now or common_now()
    place = Place()
    while not place.is_end:
        with writing() as current:
            place, _ = advance(current, _locked(current, run_id), place, now)
    with writing() as current:
        run = _locked(current, run_id)
        finish(run, RunOutcome.DONE)
        return dict(run.counts)


def advance(current: Session, run: AlertRun, place: Place, now: datetime) -> tuple[Place, bool]:
    """Fire one alert or scan the next chunk. Return the new place and whether an alert fired."""
    kind, moment = KINDS[place.kind], alert_settings.moment(now)
    if not place.todo:
        scanned = kind.scan(current, moment, place.after)
        if not scanned:
            return Place(place.kind + 1), False
        todo = tuple(ledger.due(current, scanned))
        return replace(place, after=scanned[-1][0], todo=todo), False
    subject_id, *rest = place.todo
    place = replace(place, todo=tuple(rest))
    asset_id = kind.asset_of(current, subject_id)
    asset = current.get(Asset, asset_id, with_for_update=True) if asset_id else None
    if asset is None or asset.deleted_at is not None:
        return place, False
    alert = kind.decide(current, moment, asset, subject_id)
    if alert is None:
        return place, False
    audience = ledger.fire(current, asset, alert, moment, is_sent=not run.is_marking)
    if audience is None:
        return place, False
    run.counts = _one_more(run.counts, kind.event)
    if not run.is_marking:
        length = 4 if audience.inbox else 3 if audience.kept else 2
        key = "+".join(map(str, audience[:length]))
        run.audiences = {**run.audiences, key: _one_more(run.audiences.get(key, {}), kind.event)}
    return place, True


def audiences(run: AlertRun) -> list[AudienceCounts]:
    """Return the run's alert counts by event for each audience, widest audience first."""
    counts_of = [
        (Audience(*map(int, key.split("+"))), counts) for key, counts in run.audiences.items()
    ]
    return sorted(counts_of, key=itemgetter(0), reverse=True)


def finish(run: AlertRun, outcome: RunOutcome) -> None:
    """Store the run's outcome and end time."""
    run.outcome, run.finished_at = outcome, common_now()


def task_under_way(current: Session) -> UUID | None:
    """Return the public id of the running or waiting run's task."""
    tasks_ = select(Task.public_id).where(literal_column(f"({IS_UNDER_WAY})"), Task.kind == NAME)
    return current.scalars(tasks_.order_by(Task.id.desc()).limit(1)).first()


def _one_more(counts: Mapping[str, int], event: str) -> dict[str, int]:
    return {**counts, event: counts.get(event, 0) + 1}


def _step(current: Session, task: Task) -> Step:
    run = _locked(current, task.params["run_id"])
    place = _read(task.cursor)
    if place.is_end:
        finish(run, RunOutcome.DONE)
        return tasks.DONE
    if task.failures > MOST_FAILURES and place.todo:
        log.error("Left an alert (%s) for the next run.", KINDS[place.kind].event)
        place = replace(place, todo=place.todo[1:])
        task.count(PASSED)
    else:
        place = _go_on(current, task, run, place)
    task.cursor = {"kind": place.kind, "after": place.after, "todo": list(place.todo)}
    return tasks.MORE


def _go_on(current: Session, task: Task, run: AlertRun, place: Place) -> Place:
    was_at_one = bool(place.todo)
    place, has_fired = advance(current, run, place, common_now())
    if was_at_one:
        task.count(FIRED if has_fired else PASSED)
    else:
        task.total += len(place.todo)
    return place


def _ended(current: Session, task: Task) -> None:
    is_stopped = task.state == TaskState.STOPPED
    run = _locked(current, task.params["run_id"])
    finish(run, RunOutcome.STOPPED if is_stopped else RunOutcome.FAILED)


def _locked(current: Session, run_id: int) -> AlertRun:
    return current.get_one(AlertRun, run_id, with_for_update=True)


def _read(cursor: dict[str, Any]) -> Place:
    todo = tuple(cursor.get("todo", ()))
    return Place(cursor.get("kind", 0), cursor.get("after", 0), todo)


KIND: Final = Kind(name=NAME, permission=PERMISSION, step=_step, ended=_ended)
