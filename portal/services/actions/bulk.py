"""Apply one action to many assets, each with its own event and all with one `batch_id`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any, Final
from uuid import UUID

from sqlalchemy import BigInteger, case, insert, literal, select, tuple_
from sqlalchemy.orm import Session

from portal.engine.events.body import Origin
from portal.lib.paging import Cursor, Page
from portal.models.assets import Action, Asset, AssetStatus, Location
from portal.models.assignments import Assignment
from portal.models.tasks import Task, TaskRow
from portal.services import tasks
from portal.services.actions import incidents, lifecycle
from portal.services.actions.planning import maintenance as planning_maintenance
from portal.services.actions.planning.rules import PlanValues
from portal.services.actions.rules import why_not
from portal.services.actions.verbs import VERBS
from portal.services.assets.queries import AssetFilter, holders, matching
from portal.services.core.keyset import one_more, page_at
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import NotFound, Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.tasks import Kind, Step

PERMISSION: Final = "assets.edit"
NAME: Final = "bulk"
MOST_ASSETS: Final = 5_000
DONE: Final = "done"
UNCHANGED: Final = "unchanged"
REFUSED: Final = "refused"


@dataclass(frozen=True, slots=True)
class BulkAsset:
    """One asset of the selection. `why_not` is the reason if the action is now refused."""

    id: int
    asset_tag: str
    name: str
    why_not: str | None


def preview(action: Action, ids: Sequence[int]) -> list[BulkAsset]:
    """Return each asset with the reason, if any, why the action would be refused now."""
    query = select(Asset).where(Asset.id.in_(ids[:MOST_ASSETS])).order_by(Asset.id)
    held = holders(ids[:MOST_ASSETS])
    return [_chosen(action, asset, held.get(asset.id)) for asset in session().scalars(query)]


def matching_ids(chosen: AssetFilter) -> list[int]:
    """Return the ids of matching assets, at most one more than `MOST_ASSETS`."""
    return matching(chosen, MOST_ASSETS + 1)


def start(actor: Actor, action: Action, ids: Sequence[int], values: Mapping[str, Any]) -> UUID:
    """Queue the action for these assets. Return the task's public id, which is the `batch_id`.

    `values` holds text, numbers, and dates as text.
    """
    if action not in FOR_MANY:
        raise Refusal("You can’t do this with several assets")
    if not ids:
        raise Refusal("Select at least 1 asset")
    if len(ids) > MOST_ASSETS:
        raise Refusal(f"Select at most {MOST_ASSETS:,} assets")
    with writing() as current:
        require(current, actor, PERMISSION)
        if action is Action.EDIT:
            lifecycle.refuse_unfit(current, _fields(values))
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


def place_of(task: Task) -> str:
    """Return the name of a transfer's target location, or blank if deleted or not a transfer."""
    if task.params["action"] != Action.TRANSFER:
        return ""
    place = session().get(Location, task.params["values"].get("location_id"))
    return place.name if place else ""


def results(task: Task, cursor: str | None = None) -> Page[tuple[TaskRow, Asset]]:
    """Return a page of the task's assets with their outcomes, refused ones first."""
    rank = case((TaskRow.outcome == REFUSED, 0), else_=1)
    query = (
        select(TaskRow, Asset, rank)
        .join(Asset, Asset.id == TaskRow.asset_id)
        .where(TaskRow.task_id == task.id)
    )

    def read(place: Cursor | None) -> Sequence[Any]:
        is_up = place is not None and place.newer
        order = [rank.desc(), TaskRow.number.desc()] if is_up else [rank, TaskRow.number]
        lines = query.order_by(*order).limit(one_more())
        if place is not None:
            here = tuple_(rank, TaskRow.number)
            there = tuple_(*(literal(part, BigInteger) for part in place.key))
            lines = lines.where(here < there if is_up else here > there)
        return session().execute(lines).all()

    place = Cursor.decode(cursor, (int, int))
    page = page_at(read, place, lambda line: (line[2], line[0].number))
    return Page([(row, asset) for row, asset, _ in page.rows], page.newer, page.older)


def _chosen(action: Action, asset: Asset, held: Assignment | None) -> BulkAsset:
    deleted, holder = asset.deleted_at is not None, held.staff.name if held else None
    obstacle = why_not(action, asset.status, asset.kind, deleted=deleted, holder=holder)
    if action is Action.EDIT and asset.status == AssetStatus.LIQUIDATED:
        obstacle = obstacle or lifecycle.NOTES_ONLY
    return BulkAsset(asset.id, asset.asset_tag, asset.name, obstacle)


def _step(current: Session, task: Task) -> Step:
    verb, values = FOR_MANY[Action(task.params["action"])], task.params["values"]
    actor = replace(tasks.actor_of(task, Origin.BULK), batch_id=task.public_id)
    query = select(TaskRow).where(
        TaskRow.task_id == task.id, TaskRow.number > task.cursor.get("number", 0)
    )
    rows = current.scalars(query.order_by(TaskRow.number).limit(tasks.ROWS)).all()
    for row in tasks.few(rows):
        done = partial(verb, actor, row.asset_id or 0, **values)
        row.outcome, row.message = _outcome(current, done)
        task.count(row.outcome)
        task.cursor = {"number": row.number}
    return tasks.DONE if task.done >= task.total else tasks.MORE


def _outcome(current: Session, verb: Callable[[], object]) -> tuple[str, str]:
    answers: list[object] = []
    refusal = tasks.refusal_of(current, lambda: answers.append(verb()))
    if refusal:
        return REFUSED, refusal.sentence
    return (UNCHANGED if answers == [False] else DONE), ""


def _schedule(actor: Actor, asset_id: int, **values: Any) -> object:
    due_on, cost = values.get("due_on"), values.get("estimated_cost")
    read = {
        "due_on": date.fromisoformat(due_on) if due_on else None,
        "estimated_cost": Decimal(cost) if cost else None,
    }
    return planning_maintenance.schedule(actor, asset_id, PlanValues(**{**values, **read}))


def _edit(actor: Actor, asset_id: int, **values: Any) -> bool:
    return lifecycle.edit_fields(actor, asset_id, _fields(values))


def _fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Convert an edit's typed values to column values, leaving out blank ones."""
    fields = {name: value for name, value in values.items() if value not in (None, "")}
    if "warranty_expires" in fields:
        fields["warranty_expires"] = date.fromisoformat(fields["warranty_expires"])
    if "reservable" in fields:
        fields["reservable"] = fields["reservable"] == "yes"
    return fields


# The verb of each action. It takes the typed values as keyword arguments and returns False if it
# changed nothing.
FOR_MANY: Final[Mapping[Action, Callable[..., object]]] = {
    Action.EDIT: _edit,
    **{
        action: VERBS[action].call
        for action in (Action.ALLOCATE, *incidents.RETURNS, Action.TRANSFER)
    },
    Action.SCHEDULE_MAINTENANCE: _schedule,
    Action.DELETE: lifecycle.delete_asset,
}

BULK: Final = Kind(name=NAME, permission=PERMISSION, step=_step)
