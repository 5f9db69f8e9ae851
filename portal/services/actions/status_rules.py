"""Which action is legal in which status: the one table of the register. Pure.

An action is a row here, its sentences in `actions/why_not.py`, and a verb that hands its change to
`transition.perform`. What depends on dates and people is the verb's own guard.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from portal.engine.events.names import EventName
from portal.models.assets import Action, AssetKind, AssetStatus

ANY: Final = frozenset(AssetStatus)
ITEMS: Final = frozenset({AssetKind.ITEM})
STOCK: Final = frozenset({AssetKind.STOCK})
BOTH: Final = ITEMS | STOCK


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row: what the action tells receivers, and where it is legal.

    `also`: the further events of a named double, told after `event` in the same transaction;
    of a completed maintenance only where it repeats. `on_deleted`: legal on a deleted asset, and
    on no other.
    """

    event: EventName
    legal: frozenset[AssetStatus]
    kinds: frozenset[AssetKind] = ITEMS
    permission: str = "assets.edit"
    also: tuple[EventName, ...] = ()
    on_deleted: bool = False

    @property
    def events(self) -> tuple[EventName, ...]:
        """Everything that it can tell, in order."""
        return (self.event, *self.also)


def _in(*statuses: AssetStatus) -> frozenset[AssetStatus]:
    return frozenset(statuses)


def _but(*statuses: AssetStatus) -> frozenset[AssetStatus]:
    return ANY - frozenset(statuses)


def _update(legal: frozenset[AssetStatus], permission: str = "assets.edit") -> Rule:
    return Rule(event=EventName.UPDATED, legal=legal, permission=permission)


def _move_of_stock() -> Rule:
    return Rule(event=EventName.UPDATED, legal=_in(AVAILABLE), kinds=STOCK)


(AVAILABLE, ALLOCATED, CHECKED_OUT, MAINTENANCE, WARRANTY, BROKEN, LOST, LIQUIDATED) = AssetStatus

_LIFECYCLE: Final[Mapping[Action, Rule]] = {
    # Nothing is created twice.
    Action.CREATE: Rule(event=EventName.CREATED, legal=frozenset(), kinds=BOTH),
    # What was disposed of is read-only but for its notes: `edit_asset` sees to that.
    Action.EDIT: Rule(event=EventName.UPDATED, legal=ANY, kinds=BOTH),
    Action.DELETE: Rule(
        event=EventName.DELETED, legal=_in(AVAILABLE, BROKEN, LOST, LIQUIDATED), kinds=BOTH
    ),
    Action.RESTORE: Rule(event=EventName.UPDATED, legal=ANY, kinds=BOTH, on_deleted=True),
}

_HOLDINGS: Final[Mapping[Action, Rule]] = {
    Action.ALLOCATE: Rule(event=EventName.ALLOCATED, legal=_in(AVAILABLE)),
    Action.REVOKE: Rule(event=EventName.REVOKED, legal=_in(ALLOCATED)),
    Action.REASSIGN: Rule(
        event=EventName.REVOKED, also=(EventName.ALLOCATED,), legal=_in(ALLOCATED)
    ),
    Action.CHECK_OUT: Rule(event=EventName.CHECKED_OUT, legal=_in(AVAILABLE)),
    Action.CHECK_IN: Rule(event=EventName.CHECKED_IN, legal=_in(CHECKED_OUT)),
    Action.CHANGE_DUE_DATE: _update(_in(CHECKED_OUT)),
}

# Checked out: only a reservation that starts at or after the due time, which its verb checks.
_RESERVABLE: Final = _in(AVAILABLE, CHECKED_OUT, MAINTENANCE)
_PLANNING: Final[Mapping[Action, Rule]] = {
    Action.RESERVE: Rule(event=EventName.RESERVED, legal=_RESERVABLE),
    Action.APPROVE_RESERVATION: Rule(event=EventName.RESERVATION_APPROVED, legal=_RESERVABLE),
    Action.REJECT_RESERVATION: Rule(
        event=EventName.RESERVATION_REJECTED, legal=_but(LOST, LIQUIDATED)
    ),
    Action.CANCEL_RESERVATION: _update(ANY),
    Action.EXPIRE_RESERVATION: _update(ANY),
    Action.SCHEDULE_MAINTENANCE: Rule(
        event=EventName.MAINTENANCE_SCHEDULED, legal=_but(WARRANTY, LOST, LIQUIDATED)
    ),
    Action.START_MAINTENANCE: _update(_in(AVAILABLE, BROKEN)),
    Action.COMPLETE_MAINTENANCE: Rule(
        event=EventName.MAINTENANCE_COMPLETED,
        also=(EventName.MAINTENANCE_SCHEDULED,),
        legal=_but(LOST, LIQUIDATED),
    ),
    Action.CANCEL_MAINTENANCE: _update(ANY),
}

_INCIDENTS: Final[Mapping[Action, Rule]] = {
    Action.TRANSFER: Rule(
        event=EventName.TRANSFERRED,
        legal=_in(AVAILABLE, ALLOCATED, MAINTENANCE, BROKEN),
        kinds=BOTH,
    ),
    Action.REPORT_LOST: Rule(event=EventName.LOST, legal=_but(LOST, LIQUIDATED)),
    Action.REPORT_BROKEN: Rule(
        event=EventName.BROKEN, legal=_in(AVAILABLE, ALLOCATED, CHECKED_OUT, MAINTENANCE)
    ),
    Action.SEND_TO_WARRANTY: Rule(
        event=EventName.WARRANTY, legal=_in(AVAILABLE, ALLOCATED, CHECKED_OUT, BROKEN)
    ),
    Action.LIQUIDATE: Rule(event=EventName.LIQUIDATED, legal=_in(AVAILABLE, BROKEN, LOST)),
    Action.RECEIVE_BACK: _update(_in(WARRANTY)),
    Action.REPAIR: _update(_in(BROKEN)),
    Action.FIND: _update(_in(LOST)),
    Action.UNDO_LIQUIDATION: _update(_in(LIQUIDATED), "assets.undo_liquidation"),
}

_STOCK: Final[Mapping[Action, Rule]] = {
    Action.RECEIVE_STOCK: _move_of_stock(),
    Action.ISSUE_STOCK: _move_of_stock(),
    Action.ADJUST_STOCK: _move_of_stock(),
}

RULES: Final[Mapping[Action, Rule]] = {
    **_LIFECYCLE,
    **_HOLDINGS,
    **_PLANNING,
    **_INCIDENTS,
    **_STOCK,
}


def is_legal(action: Action, status: str, kind: str = AssetKind.ITEM, *, deleted: bool) -> bool:
    """Whether the table allows `action` on an asset of this status and kind."""
    rule = RULES[action]
    fits = AssetKind(kind) in rule.kinds and AssetStatus(status) in rule.legal
    return fits and rule.on_deleted is deleted
