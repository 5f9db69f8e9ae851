"""Receive, issue, and adjust stock. The quantity never drops below zero, even concurrently.

Only `_move` changes a quantity. It runs with the asset's row locked.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.lib.paging import Page
from portal.models.assets import Action, Asset, MoveKind, StockMove
from portal.services.actions import transition
from portal.services.actions.rules import refuse_long
from portal.services.actions.transition import Change, Moved
from portal.services.assets.fields import MOST_IN_STOCK
from portal.services.assets.snapshots import move_facts
from portal.services.core.keyset import newest_first
from portal.services.core.permissions import Actor
from portal.services.core.refusals import Refusal

# Computes the change in quantity from the locked row.
Delta = Callable[[Asset], int]


def receive(actor: Actor, asset_id: int, *, quantity: int, note: str = "") -> None:
    """Add received stock (asset.updated, stock_received)."""
    _refuse_none(quantity)
    _perform(actor, asset_id, Action.RECEIVE_STOCK, MoveKind.RECEIVE, lambda _: quantity, note)


def issue(actor: Actor, asset_id: int, *, quantity: int, note: str = "") -> None:
    """Subtract issued stock (asset.updated, stock_issued). Refuse more than there is."""
    _refuse_none(quantity)
    _perform(actor, asset_id, Action.ISSUE_STOCK, MoveKind.ISSUE, lambda _: -quantity, note)


def adjust(
    actor: Actor, asset_id: int, *, quantity: int, is_loss: bool = False, note: str = ""
) -> bool:
    """Set the quantity to the counted number (asset.updated, stock_adjusted).

    Returns False if the number is unchanged. `is_loss` means that the missing ones were lost or
    damaged.
    """
    kind = MoveKind.LOSS if is_loss else MoveKind.ADJUST

    def difference(asset: Asset) -> int:
        delta = quantity - balance(asset)
        if is_loss and delta > 0:
            sentence = f"Enter at most {balance(asset)}. A loss can’t raise the quantity"
            raise Refusal(sentence, field="quantity")
        return delta

    return _perform(actor, asset_id, Action.ADJUST_STOCK, kind, difference, note)


def begin(current: Session, actor: Actor, asset: Asset, quantity: int) -> None:
    """Set the initial quantity of new stock, as its first move."""
    asset.quantity = 0
    if quantity:
        _move(current, actor, asset, MoveKind.RECEIVE, quantity, "")


def balance(asset: Asset) -> int:
    """Return the quantity, which every stock has."""
    return asset.quantity or 0


def moves(asset_id: int, cursor: str | None = None) -> Page[StockMove]:
    """Return a page of the asset's stock moves, newest first."""
    query = select(StockMove).where(StockMove.asset_id == asset_id)
    return newest_first(query, StockMove.id, cursor)


def _perform(
    actor: Actor, asset_id: int, action: Action, kind: MoveKind, delta: Delta, note: str
) -> bool:
    refuse_long(note=note)

    def make(current: Session, asset: Asset) -> StockMove | None:
        number = delta(asset)
        return _move(current, actor, asset, kind, number, note) if number else None

    def tell(moved: Moved) -> dict[str, Any]:
        return {"stock_move": move_facts(moved.made)}

    change = Change(action, make, tell, note=note, may_change_nothing=True)
    return transition.perform(actor, asset_id, change)


def _move(
    current: Session, actor: Actor, asset: Asset, kind: MoveKind, delta: int, note: str
) -> StockMove:
    after = balance(asset) + delta
    if after < 0:
        there = f"There are only {balance(asset)}" if balance(asset) else "There are none left"
        raise Refusal(f"{there}. Receive more first or issue fewer", field="quantity")
    if after > MOST_IN_STOCK:
        raise Refusal(f"Enter a number that leaves at most {MOST_IN_STOCK:,}", field="quantity")
    asset.quantity = after
    move = StockMove(
        asset_id=asset.id,
        kind=kind,
        delta=delta,
        balance_after=after,
        at=asset.updated_at,
        actor_id=actor.user_id,
        actor_name=actor.name,
        note=note,
    )
    current.add(move)
    current.flush()
    return move


def _refuse_none(quantity: int) -> None:
    if not 1 <= quantity <= MOST_IN_STOCK:
        raise Refusal(f"Enter a number from 1 to {MOST_IN_STOCK:,}", field="quantity")
