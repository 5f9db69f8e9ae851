"""The moves of a stock, for those who tell of them."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.models.stock import StockMove


def as_told(move: StockMove) -> dict[str, Any]:
    """A move as receivers get it."""
    return {
        "id": move.id,
        "type": move.kind,
        "delta": move.delta,
        "balance_after": move.balance_after,
        "moved_at": move.at,
    }


def last_move(current: Session, asset_id: int) -> StockMove | None:
    """The latest one."""
    wanted = select(StockMove).where(StockMove.asset_id == asset_id)
    return current.scalars(wanted.order_by(StockMove.id.desc()).limit(1)).first()
