"""A run: looks for everything that has become due, each alert in a transaction of its own.

It is a piece of long work (`tasks`) whose cursor says where it goes on: killed at any instant it
does, and the ledger's unique key keeps two runs at once from firing anything twice.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from operator import itemgetter
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, literal_column, select
from sqlalchemy.orm import Session

from portal.lib.clock import common_now
from portal.models.alerts import AlertRun, RunKind, RunOutcome
from portal.models.assets import Asset
from portal.models.tasks import IS_UNDER_WAY, Task, TaskState
from portal.services import tasks
from portal.services.alerts import ledger
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.sources import SOURCES
from portal.services.core.permissions import SYSTEM, Actor
from portal.services.core.unit_of_work import insert_or_ignore, writing
from portal.services.outbox.publish import Audience
from portal.services.tasks import Kind, Step

log = logging.getLogger(__name__)

NAME: Final = "alerts"
PERMISSION: Final = "alerts.settings"
FIRED: Final = "fired"
PASSED: Final = "passed"
# So many runs are kept, and those of the latest days in any case: what a day's run was must not be
# forgotten by pressing Run now, or it would begin again.
KEPT: Final = 100
DAYS_KEPT: Final = timedelta(days=7)
# An alert that fails in so many turns is left to the next run, so that it stands in nobody's way.
MOST_TURNS: Final = 2

# Who hears of some alerts, and how many of each event these are.
AudienceCounts = tuple[Audience, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run is: which source, after which thing, and what of that chunk is still to do."""

    source: int = 0
    after: int = 0
    todo: tuple[int, ...] = ()

    @property
    def is_end(self) -> bool:
        """Whether everything has been looked at."""
        return self.source >= len(SOURCES)


def enter(
    current: Session,
    actor: Actor,
    kind: RunKind,
    *,
    slot: date | None = None,
    is_marking: bool = False,
) -> AlertRun | None:
    """Enter a run; None when this day's has been entered by somebody else."""
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
    """Have the run done as long work, from the commit on; the public id of its task."""
    task = tasks.start(current, actor, NAME, total=0, params={"run_id": run.id})
    run.task_public_id = task.public_id
    return task.public_id


def do(
    kind: RunKind, now: datetime, *, actor: Actor = SYSTEM, is_marking: bool = False
) -> dict[str, int]:
    """Do a whole run here and now; how many fired, by event. For commands."""
    with writing() as current:
        run = enter(current, actor, kind, is_marking=is_marking)
        run_id = run.id if run else 0
    place = Place()
    while not place.is_end:
        with writing() as current:
            place, _ = advance(current, _locked(current, run_id), place, now)
    with writing() as current:
        run = _locked(current, run_id)
        finish(run, RunOutcome.DONE)
        return dict(run.counts)


def advance(current: Session, run: AlertRun, place: Place, now: datetime) -> tuple[Place, bool]:
    """Do the next bit: fire one alert, or find out what the next chunk holds.

    Returns where the run is then, and whether an alert fired.
    """
    source, moment = SOURCES[place.source], alert_settings.moment(now)
    if not place.todo:
        scanned = source.scan(current, moment, place.after)
        if not scanned:
            return Place(place.source + 1), False
        todo = tuple(ledger.due(current, scanned))
        return replace(place, after=scanned[-1][0], todo=todo), False
    thing_id, *rest = place.todo
    place = replace(place, todo=tuple(rest))
    asset_id = source.asset_of(current, thing_id)
    asset = current.get(Asset, asset_id, with_for_update=True) if asset_id else None
    if asset is None or asset.deleted_at is not None:
        return place, False
    found = source.judge(current, moment, asset, thing_id)
    if found is None:
        return place, False
    audience = ledger.fire(current, asset, found, moment, is_sent=not run.is_marking)
    if audience is None:
        return place, False
    run.counts = _one_more(run.counts, source.event)
    if not run.is_marking:
        key = f"{audience.sent}+{audience.held}"
        run.heard = {**run.heard, key: _one_more(run.heard.get(key, {}), source.event)}
    return place, True


def audiences(run: AlertRun) -> list[AudienceCounts]:
    """Who heard of the alerts of a run: how many by event for each audience, the widest first.

    Nothing of runs that an earlier version made.
    """
    found = [(Audience(*map(int, key.split("+"))), counts) for key, counts in run.heard.items()]
    return sorted(found, key=itemgetter(0), reverse=True)


def finish(run: AlertRun, outcome: RunOutcome) -> None:
    """The run has ended."""
    run.outcome, run.finished_at = outcome, common_now()


def task_under_way(current: Session) -> UUID | None:
    """The public id of the task of the run that is at work, or about to be."""
    wanted = select(Task.public_id).where(literal_column(f"({IS_UNDER_WAY})"), Task.kind == NAME)
    return current.scalars(wanted.order_by(Task.id.desc()).limit(1)).first()


def _one_more(counts: Mapping[str, int], event: str) -> dict[str, int]:
    return {**counts, event: counts.get(event, 0) + 1}


def _step(current: Session, task: Task) -> Step:
    run = _locked(current, task.params["run_id"])
    place = _read(task.cursor)
    if place.is_end:
        finish(run, RunOutcome.DONE)
        return tasks.DONE
    if task.failures > MOST_TURNS and place.todo:
        log.error("Left an alert (%s) to the next run.", SOURCES[place.source].event)
        place = replace(place, todo=place.todo[1:])
        task.count(PASSED)
    else:
        place = _go_on(current, task, run, place)
    task.cursor = {"source": place.source, "after": place.after, "todo": list(place.todo)}
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
    return Place(cursor.get("source", 0), cursor.get("after", 0), todo)


KIND: Final = Kind(name=NAME, permission=PERMISSION, step=_step, ended=_ended)
