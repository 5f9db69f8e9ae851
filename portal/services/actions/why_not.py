"""What stands in the way of an action that is not legal, and the way out. Pure: words in tables.

A sentence follows an asset's tag: "AST-00007 is lent. Check it in first."
"""

from collections.abc import Mapping
from typing import Final

from portal.models.assets import Action, AssetKind, AssetStatus
from portal.services.actions.status_rules import RULES, is_legal

# Of those who may not; whoever knows the reader says otherwise.
UNDO: Final = "An administrator can undo that"

# How each status reads in "AST-00007 is …", and what to do about it first.
STANDING: Final[Mapping[AssetStatus, tuple[str, str]]] = {
    AssetStatus.AVAILABLE: ("available", "Give it to somebody first"),
    AssetStatus.ALLOCATED: ("given to somebody", "Take it back first"),
    AssetStatus.CHECKED_OUT: ("lent", "Check it in first"),
    AssetStatus.MAINTENANCE: ("in maintenance", "Complete the maintenance first"),
    AssetStatus.WARRANTY: ("away for a warranty claim", "Receive it back first"),
    AssetStatus.BROKEN: ("broken", "Have it repaired first"),
    AssetStatus.LOST: ("lost", "Report it as found first"),
    AssetStatus.LIQUIDATED: ("disposed of", UNDO),
}

# Actions that end a state: outside it there is nothing to end.
NOTHING_TO_END: Final[Mapping[Action, str]] = {
    Action.REVOKE: "It is not given to anybody, so there is nothing to take back",
    Action.REASSIGN: "It is not given to anybody, so it cannot go from one to another",
    Action.CHECK_IN: "It is not lent to anybody, so there is nothing to check in",
    Action.CHANGE_DUE_DATE: "It is not lent to anybody, so it has no due date",
    Action.RECEIVE_BACK: "It is not away for a warranty claim",
    Action.REPAIR: "It is not broken",
    Action.FIND: "It is not lost",
    Action.UNDO_LIQUIDATION: "It has not been disposed of",
}

# Where another way out than the status's own helps.
INSTEAD: Final[Mapping[tuple[Action, AssetStatus], str]] = {
    (Action.REVOKE, AssetStatus.CHECKED_OUT): "Check it in instead",
    (Action.CHECK_IN, AssetStatus.ALLOCATED): "Take it back instead",
    (Action.ALLOCATE, AssetStatus.ALLOCATED): "Take it back first, or pass it on",
    (Action.REASSIGN, AssetStatus.CHECKED_OUT): "Check it in, then give it permanently",
    (Action.REASSIGN, AssetStatus.AVAILABLE): "Give it permanently instead",
    (
        Action.CHANGE_DUE_DATE,
        AssetStatus.ALLOCATED,
    ): "It was given permanently: it is never due",
    (Action.REPORT_BROKEN, AssetStatus.BROKEN): "That has been reported already",
    (Action.REPORT_BROKEN, AssetStatus.LOST): "Report it as found first",
    (Action.REPORT_LOST, AssetStatus.LOST): "That has been reported already",
    (Action.SEND_TO_WARRANTY, AssetStatus.WARRANTY): "It has been sent already",
    (Action.LIQUIDATE, AssetStatus.LIQUIDATED): "There is nothing left to dispose of",
    (Action.REJECT_RESERVATION, AssetStatus.LOST): "Its reservations were cancelled by that",
    (Action.REJECT_RESERVATION, AssetStatus.LIQUIDATED): "Its reservations were cancelled by that",
    (Action.COMPLETE_MAINTENANCE, AssetStatus.LOST): "Its maintenance was cancelled by that",
    (Action.COMPLETE_MAINTENANCE, AssetStatus.LIQUIDATED): "Its maintenance was cancelled by that",
}


def why_not(
    action: Action,
    status: str,
    kind: str = AssetKind.ITEM,
    *,
    deleted: bool = False,
    holder: str | None = None,
    undo: str = UNDO,
) -> str | None:
    """What stands in the way and the way out, to follow an asset's tag; None where it is legal.

    `holder`: who has it, where the caller knows that; named then. `undo`: the way back from
    disposed of, as the reader may go it.
    """
    if is_legal(action, status, kind, deleted=deleted):
        return None
    rule = RULES[action]
    if deleted:
        return "has been deleted. Restore it first."
    if rule.on_deleted:
        return "has not been deleted."
    if AssetKind(kind) not in rule.kinds:
        return _of_the_other_kind(AssetKind(kind))
    standing = AssetStatus(status)
    state, usual = STANDING[standing]
    usual = undo if standing is AssetStatus.LIQUIDATED else usual
    way_out = INSTEAD.get((action, standing)) or NOTHING_TO_END.get(action, usual)
    if holder and standing in (AssetStatus.ALLOCATED, AssetStatus.CHECKED_OUT):
        state = f"{state.removesuffix(' to somebody')} to {holder}"
    return f"is {state}. {way_out}."


def _of_the_other_kind(kind: AssetKind) -> str:
    if kind is AssetKind.STOCK:
        return "is stock. It is received, issued and adjusted by number instead."
    return "is a single item, so it has no number to change."
