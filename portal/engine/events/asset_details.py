"""What `data` adds for the events that a change of the register's own fields brings about."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from portal.engine.events.body import AssetSnapshot, changes


class UpdateReason(StrEnum):
    """Which action an asset.updated tells of."""

    EDIT = "edit"
    MAINTENANCE_STARTED = "maintenance_started"
    MAINTENANCE_CANCELLED = "maintenance_cancelled"
    WARRANTY_RETURNED = "warranty_returned"
    REPAIRED = "repaired"
    FOUND = "found"
    RESTORED = "restored"
    LIQUIDATION_UNDONE = "liquidation_undone"
    RESERVATION_CANCELLED = "reservation_cancelled"
    RESERVATION_EXPIRED = "reservation_expired"
    DUE_DATE_CHANGED = "due_date_changed"
    STOCK_RECEIVED = "stock_received"
    STOCK_ISSUED = "stock_issued"
    STOCK_ADJUSTED = "stock_adjusted"


def created(asset: AssetSnapshot) -> dict[str, Any]:
    """asset.created: stock says with how much it begins."""
    return {"initial_quantity": asset.quantity} if asset.kind == "stock" else {}


def updated(
    reason: UpdateReason,
    before: Mapping[str, object],
    after: Mapping[str, object],
    **concerned: object,
) -> dict[str, Any]:
    """asset.updated: what changed, and the object concerned (`maintenance=…`) if there is one."""
    changed_fields, changed = changes(before, after)
    return {"reason": reason, "changed_fields": changed_fields, "changes": changed, **concerned}


def deleted(asset: AssetSnapshot, reason: str) -> dict[str, Any]:
    """asset.deleted: what is gone, for receivers that look at `data` alone."""
    return {
        "deleted_asset_id": asset.id,
        "asset_tag": asset.asset_tag,
        "name": asset.name,
        "reason": reason,
    }
