"""One action on many assets: each by the same verb as alone, one event each, one `batch_id`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any, Final
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from portal.engine.events.body import Origin
from portal.models.assets import Action, Asset
from portal.models.assignments import Assignment
from portal.models.tasks import Task, TaskRow
from portal.services import tasks
from portal.services.actions import assignments, incidents, lifecycle
from portal.services.actions.planning import maintenance as planning_maintenance
from portal.services.actions.planning.rules import PlanValues
from portal.services.actions.rules import why_not
from portal.services.assets.queries import AssetFilter, holders, matching
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import NotFound, Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.tasks import Kind, Step

PERMISSION: Final = "assets.edit"
NAME: Final = "bulk"
MOST_ASSETS: Final = 500
DONE: Final = "done"
REFUSED: Final = "refused"


@dataclass(frozen=True, slots=True)
class BulkAsset:
    """One asset of the selection; `why_not` is why the action is refused now."""

    id: int
    asset_tag: str
    name: str
    why_not: str | None


def preview(action: Action, ids: Sequence[int]) -> list[BulkAsset]:
    """Return what the action would come to for each of the assets, as they are now."""
    query = select(Asset).where(Asset.id.in_(ids[:MOST_ASSETS])).order_by(Asset.id)
    held = holders(ids[:MOST_ASSETS])
    return [_chosen(action, asset, held.get(asset.id)) for asset in session().scalars(query)]


def matching_ids(chosen: AssetFilter) -> list[int]:
    """Return what the list shows with this filter; one more than `MOST_ASSETS`: too many."""
    return matching(chosen, MOST_ASSETS + 1)


def start(actor: Actor, action: Action, ids: Sequence[int], values: Mapping[str, Any]) -> UUID:
    """Have the action done on all of them; the task's public id, which is the `batch_id`.

    `values` are plain: text, numbers, dates as text.
    """
    if action not in VERBS:
        raise Refusal("You can’t do this with several assets")
    if not ids:
        raise Refusal("Select at least 1 asset")
    if len(ids) > MOST_ASSETS:
        raise Refusal(f"Select at most {MOST_ASSETS} assets")
    with writing() as current:
        require(current, actor, PERMISSION)
        params = {"action": action, "values": dict(values)}
        unique = sorted(set(ids))
        task = tasks.start(current, actor, NAME, total=len(unique), params=params)
        rows = [
            {"task_id": task.id, "number": number, "data": {}, "message": "", "asset_id": asset_id}
            for number, asset_id in enumerate(unique, start=1)
        ]
        current.execute(insert(TaskRow), rows)
        return task.public_id


def find(public_id: UUID) -> Task:
    task = tasks.find(public_id)
    if task.kind != NAME:
        raise NotFound("There’s no bulk action at this URL.")
    return task


def results(task: Task) -> list[tuple[TaskRow, Asset]]:
    """Return every asset of it with what became of it, the refused ones first."""
    query = (
        select(TaskRow, Asset)
        .join(Asset, Asset.id == TaskRow.asset_id)
        .where(TaskRow.task_id == task.id)
        .order_by((TaskRow.outcome == REFUSED).desc(), TaskRow.number)
    )
    return [(row, asset) for row, asset in session().execute(query)]


def _chosen(action: Action, asset: Asset, held: Assignment | None) -> BulkAsset:
    deleted, holder = asset.deleted_at is not None, held.staff.name if held else None
    obstacle = why_not(action, asset.status, asset.kind, deleted=deleted, holder=holder)
    return BulkAsset(asset.id, asset.asset_tag, asset.name, obstacle)


def _step(current: Session, task: Task) -> Step:
    verb, values = VERBS[Action(task.params["action"])], task.params["values"]
    actor = replace(tasks.actor_of(task, Origin.BULK), batch_id=task.public_id)
    query = select(TaskRow).where(
        TaskRow.task_id == task.id, TaskRow.number > task.cursor.get("number", 0)
    )
    rows = current.scalars(query.order_by(TaskRow.number).limit(tasks.ROWS)).all()
    for row in tasks.few(rows):
        refusal = tasks.refusal_of(current, partial(verb, actor, row.asset_id or 0, **values))
        row.outcome, row.message = DONE, ""
        if refusal:
            row.outcome, row.message = REFUSED, refusal.sentence
        task.count(row.outcome)
        task.cursor = {"number": row.number}
    return tasks.DONE if task.done >= task.total else tasks.MORE


def _schedule(actor: Actor, asset_id: int, **values: Any) -> object:
    due_on, cost = values.get("due_on"), values.get("estimated_cost")
    read = {
        "due_on": date.fromisoformat(due_on) if due_on else None,
        "estimated_cost": Decimal(cost) if cost else None,
    }
    return planning_maintenance.schedule(actor, asset_id, PlanValues(**{**values, **read}))


# The verb of each action, which takes what was typed by the names of its arguments.
VERBS: Final[Mapping[Action, Callable[..., object]]] = {
    Action.ALLOCATE: assignments.allocate,
    Action.REVOKE: assignments.revoke,
    Action.CHECK_IN: assignments.check_in,
    Action.TRANSFER: incidents.transfer,
    Action.SCHEDULE_MAINTENANCE: _schedule,
    Action.DELETE: lifecycle.delete_asset,
}

BULK: Final = Kind(name=NAME, permission=PERMISSION, step=_step)
