"""What is planned to be done to an asset: what other actions have to know of it, and do with it.

Call these inside `writing()` with the asset's row locked.
"""

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.lib.clock import common_now
from portal.models.planning import OPEN_MAINTENANCES, Maintenance, MaintenanceState
from portal.services.core.permissions import Actor


def cancel_open_maintenance(current: Session, _actor: Actor, asset_id: int) -> list[int]:
    """Cancel what is scheduled or in progress; return the row ids, which the caller's event names.

    The asset's status is the caller's business.
    """
    wanted = (
        select(Maintenance)
        .where(Maintenance.asset_id == asset_id, Maintenance.state.in_(OPEN_MAINTENANCES))
        .order_by(Maintenance.id)
        .execution_options(populate_existing=True)
    )
    found = current.scalars(wanted).all()
    now = common_now()
    for maintenance in found:
        maintenance.state, maintenance.closed_at = MaintenanceState.CANCELLED, now
    return [maintenance.id for maintenance in found]


def in_progress(current: Session, asset_id: int) -> bool:
    """Whether somebody is working on the asset."""
    wanted = select(Maintenance.id).where(
        Maintenance.asset_id == asset_id, Maintenance.state == MaintenanceState.IN_PROGRESS
    )
    return current.execute(wanted.limit(1)).first() is not None
