"""Schedule, start, complete, and cancel maintenance. Each step publishes its event."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.engine.events.details import WorkFacts, data_of
from portal.lib.clock import common_now
from portal.models.assets import Action, Asset, AssetStatus
from portal.models.planning import (
    OPEN_MAINTENANCES,
    Maintenance,
    MaintenanceOutcome,
    MaintenanceState,
)
from portal.services.actions import transition
from portal.services.actions.assignments import active_staff
from portal.services.actions.incidents import TROUBLE, close_incidents
from portal.services.actions.planning.queries import asset_id_of, lock_row
from portal.services.actions.planning.rules import (
    LONGEST_NOTE,
    PlanValues,
    WorkValues,
    closed_as,
    plan_faults,
    refuse_long_reason,
    work_faults,
)
from portal.services.actions.rules import refuse_long
from portal.services.actions.transition import Change, Moved
from portal.services.assets.snapshots import plan_facts, ref
from portal.services.core.permissions import Actor
from portal.services.core.refusals import Refusal, refuse_all
from portal.services.core.time_zones import today
from portal.services.core.unit_of_work import writing


def schedule(actor: Actor, asset_id: int, values: PlanValues) -> UUID:
    """Schedule work for a day (asset.maintenance_scheduled) and return its public id."""
    refuse_all(plan_faults(values))
    made = Maintenance(asset_id=asset_id, **asdict(values) | {"supplier": values.supplier or None})

    def make(current: Session, _asset: Asset) -> Maintenance:
        if made.assignee_id is not None:
            active_staff(current, made.assignee_id, field="assignee_id")
        return _store(current, made)

    with writing():
        transition.perform(actor, asset_id, _scheduling(make, made.title, values.note))
        return made.public_id


def start(actor: Actor, public_id: UUID, note: str | None = None) -> int:
    """Start scheduled work, set the asset's status (asset.updated), and return the asset's id.

    `note` replaces the planned note. None keeps it.
    """
    refuse_long(note=note)

    def make(current: Session, asset: Asset) -> Maintenance:
        maintenance = _open_one(current, public_id)
        if maintenance.state == MaintenanceState.IN_PROGRESS:
            raise Refusal(f"“{maintenance.title}” is already in progress.")
        _refuse_second(current, asset)
        maintenance.state, maintenance.started_at = MaintenanceState.IN_PROGRESS, common_now()
        maintenance.status_before, asset.status = asset.status, AssetStatus.MAINTENANCE
        maintenance.note = maintenance.note if note is None else note
        return maintenance

    return _change(actor, public_id, Action.START_MAINTENANCE, make, _maintenance, note)


def complete(actor: Actor, public_id: UUID, values: WorkValues) -> int:
    """Complete the work (asset.maintenance_completed) and return the asset's id.

    Repeating work is scheduled again (asset.maintenance_scheduled) in the same transaction.
    """
    refuse_all(work_faults(values, today()))
    following: list[Maintenance] = []

    def make(current: Session, asset: Asset) -> Maintenance:
        maintenance = _open_one(current, public_id)
        if values.performed_by_id is not None:
            active_staff(current, values.performed_by_id, field="performed_by_id")
        _move(current, asset, status_after(asset.status, maintenance.state, values.outcome))
        for name in ("outcome", "completed_on", "cost", "performed_by_id"):
            setattr(maintenance, name, getattr(values, name))
        if values.supplier is not None:
            maintenance.supplier = values.supplier or None
        if values.outcome != MaintenanceOutcome.FAILED:
            asset.condition = values.condition or asset.condition
        maintenance.state, maintenance.closed_at = MaintenanceState.COMPLETED, common_now()
        maintenance.note = maintenance.note if values.note is None else values.note
        following.extend(_store(current, planned) for planned in _next_of(maintenance))
        return maintenance

    def tell(moved: Moved) -> Mapping[str, Any]:
        return _told_of_work(moved.made, following)

    with writing() as current:
        asset_id = _change(actor, public_id, Action.COMPLETE_MAINTENANCE, make, tell, values.note)
        for planned in following:
            asset = transition.lock(current, asset_id)
            change = _scheduling(lambda *_, planned=planned: planned, planned.title)
            transition.follow(current, actor, asset, change)
        return asset_id


def cancel(actor: Actor, public_id: UUID, note: str = "") -> int:
    """Cancel scheduled or started work and return the asset's id.

    Canceling started work restores the asset's earlier status. The event is asset.updated, reason
    maintenance_cancelled.
    """
    refuse_long_reason(note, "note")

    def make(current: Session, asset: Asset) -> Maintenance:
        maintenance = _open_one(current, public_id)
        combined = "\n".join(filter(None, (maintenance.note, note)))
        if len(combined) > LONGEST_NOTE:
            left = max(0, LONGEST_NOTE - len(maintenance.note) - 1)
            raise Refusal(f"Enter at most {left} characters", field="note")
        if (
            maintenance.state == MaintenanceState.IN_PROGRESS
            and asset.status == AssetStatus.MAINTENANCE
        ):
            asset.status = maintenance.status_before or AssetStatus.AVAILABLE
        maintenance.state, maintenance.closed_at = MaintenanceState.CANCELLED, common_now()
        maintenance.note = combined
        return maintenance

    return _change(actor, public_id, Action.CANCEL_MAINTENANCE, make, _maintenance, note)


def status_after(status: str, state: str, outcome: str) -> str:
    """Return the asset's status after work in `state` ends with `outcome`."""
    if status == AssetStatus.MAINTENANCE and state == MaintenanceState.IN_PROGRESS:
        failed = outcome == MaintenanceOutcome.FAILED
        return AssetStatus.BROKEN if failed else AssetStatus.AVAILABLE
    if status == AssetStatus.BROKEN and outcome == MaintenanceOutcome.REPAIRED:
        return AssetStatus.AVAILABLE
    return status


def _change(
    actor: Actor,
    public_id: UUID,
    action: Action,
    make: Callable[[Session, Asset], Maintenance],
    tell: Callable[[Moved], Mapping[str, Any]],
    note: str | None,
) -> int:
    with writing() as current:
        asset_id = asset_id_of(current, Maintenance, public_id)
        columns = select(Maintenance.title, Maintenance.note)
        known = current.execute(columns.where(Maintenance.public_id == public_id)).one()
        # An unchanged note was already sent with an earlier event.
        new = note if note and note != known.note else ""
        change = Change(action=action, make=make, tell=tell, note=new, remark=known.title)
        transition.perform(actor, asset_id, change)
        return asset_id


def _scheduling(
    make: Callable[[Session, Asset], Maintenance], title: str, note: str = ""
) -> Change:
    return Change(
        action=Action.SCHEDULE_MAINTENANCE,
        make=make,
        tell=lambda moved: data_of(plan_facts(moved.made)),
        note=note,
        remark=title,
    )


def _maintenance(moved: Moved) -> Mapping[str, Any]:
    facts = data_of(plan_facts(moved.made))
    return {"maintenance": {**facts, "state": moved.made.state}}


def _told_of_work(maintenance: Maintenance, following: list[Maintenance]) -> Mapping[str, Any]:
    completed_on = maintenance.completed_on or today()
    work = WorkFacts(
        completed_on=completed_on,
        was_late=completed_on > maintenance.due_on,
        outcome=maintenance.outcome or "",
        cost=maintenance.cost,
        performed_by=ref(maintenance.performed_by),
        next_maintenance=next(
            ({"id": planned.id, "due_on": planned.due_on} for planned in following), None
        ),
    )
    return data_of(plan_facts(maintenance), work)


def _store(current: Session, planned: Maintenance) -> Maintenance:
    current.add(planned)
    current.flush()
    return planned


def _next_of(done: Maintenance) -> list[Maintenance]:
    """Return the next maintenance, counted from the completion date, or an empty list.

    An assignee who is no longer active is left out.
    """
    if done.repeat_every_days is None or done.completed_on is None:
        return []
    stays = done.assignee is not None and done.assignee.is_active
    planned = Maintenance(
        asset_id=done.asset_id,
        title=done.title,
        type=done.type,
        due_on=done.completed_on + timedelta(days=done.repeat_every_days),
        repeat_every_days=done.repeat_every_days,
        assignee_id=done.assignee_id if stays else None,
        supplier=done.supplier,
        estimated_cost=done.estimated_cost,
    )
    return [planned]


def _move(current: Session, asset: Asset, status: str) -> None:
    if status == AssetStatus.AVAILABLE and status != asset.status:
        # The asset is usable again, so its open incidents are over.
        close_incidents(current, asset, *TROUBLE)
    asset.status = status


def _open_one(current: Session, public_id: UUID) -> Maintenance:
    maintenance = lock_row(current, Maintenance, public_id)
    if maintenance.state not in OPEN_MAINTENANCES:
        raise Refusal(f"“{maintenance.title}” is already {closed_as(maintenance.state)}.")
    return maintenance


def _refuse_second(current: Session, asset: Asset) -> None:
    query = select(Maintenance.title).where(
        Maintenance.asset_id == asset.id, Maintenance.state == MaintenanceState.IN_PROGRESS
    )
    title = current.scalar(query.limit(1))
    if title is not None:
        raise Refusal(
            f"“{title}” is in progress on {asset.asset_tag}. Complete it or cancel it first."
        )
