"""Define where each action is legal, why it is not, and text limits, without a database."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from portal.engine.events.catalogue import EventName
from portal.engine.events.details import UpdateReason
from portal.lib.dates import IN_CALENDAR, is_in_calendar
from portal.models.assets import Action, AssetKind, AssetStatus
from portal.services.core.refusals import Refusal

ANY: Final = frozenset(AssetStatus)
ITEMS: Final = frozenset({AssetKind.ITEM})
STOCK: Final = frozenset({AssetKind.STOCK})
BOTH: Final = ITEMS | STOCK


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The events that an action publishes, and where the action is legal.

    `reason` is the reason in an asset.updated event. `also` lists events published after `event`
    in the same transaction. A completed maintenance publishes its second event only if it repeats.
    `on_deleted` means legal on deleted assets only.
    """

    event: EventName
    legal: frozenset[AssetStatus]
    kinds: frozenset[AssetKind] = ITEMS
    permission: str = "assets.edit"
    reason: UpdateReason | None = None
    also: tuple[EventName, ...] = ()
    on_deleted: bool = False

    @property
    def events(self) -> tuple[EventName, ...]:
        return (self.event, *self.also)


def _in(*statuses: AssetStatus) -> frozenset[AssetStatus]:
    return frozenset(statuses)


def _but(*statuses: AssetStatus) -> frozenset[AssetStatus]:
    return ANY - frozenset(statuses)


def _update(reason: UpdateReason, legal: frozenset[AssetStatus], **more: Any) -> Rule:
    return Rule(event=EventName.UPDATED, reason=reason, legal=legal, **more)


(AVAILABLE, ALLOCATED, CHECKED_OUT, MAINTENANCE, WARRANTY, BROKEN, LOST, LIQUIDATED) = AssetStatus

_LIFECYCLE: Final[Mapping[Action, Rule]] = {
    # Nothing is created twice.
    Action.CREATE: Rule(event=EventName.CREATED, legal=frozenset(), kinds=BOTH),
    # Disposed assets are read-only except for their notes, which `edit_asset` enforces.
    Action.EDIT: _update(UpdateReason.EDIT, ANY, kinds=BOTH),
    Action.DELETE: Rule(
        event=EventName.DELETED, legal=_in(AVAILABLE, BROKEN, LOST, LIQUIDATED), kinds=BOTH
    ),
    Action.RESTORE: _update(UpdateReason.RESTORED, ANY, kinds=BOTH, on_deleted=True),
}

_HOLDINGS: Final[Mapping[Action, Rule]] = {
    Action.ALLOCATE: Rule(event=EventName.ALLOCATED, legal=_in(AVAILABLE)),
    Action.REVOKE: Rule(event=EventName.REVOKED, legal=_in(ALLOCATED)),
    Action.REASSIGN: Rule(
        event=EventName.REVOKED, also=(EventName.ALLOCATED,), legal=_in(ALLOCATED)
    ),
    Action.CHECK_OUT: Rule(event=EventName.CHECKED_OUT, legal=_in(AVAILABLE)),
    Action.CHECK_IN: Rule(event=EventName.CHECKED_IN, legal=_in(CHECKED_OUT)),
    Action.CHANGE_DUE_DATE: _update(UpdateReason.DUE_DATE_CHANGED, _in(CHECKED_OUT)),
}

# For a checked-out asset, the verb also requires a start at or after the due time.
_RESERVABLE: Final = _in(AVAILABLE, CHECKED_OUT, MAINTENANCE)
_PLANNING: Final[Mapping[Action, Rule]] = {
    Action.RESERVE: Rule(event=EventName.RESERVED, legal=_RESERVABLE),
    Action.APPROVE_RESERVATION: Rule(event=EventName.RESERVATION_APPROVED, legal=_RESERVABLE),
    Action.REJECT_RESERVATION: Rule(
        event=EventName.RESERVATION_REJECTED, legal=_but(LOST, LIQUIDATED)
    ),
    Action.CANCEL_RESERVATION: _update(UpdateReason.RESERVATION_CANCELLED, ANY),
    Action.EXPIRE_RESERVATION: _update(UpdateReason.RESERVATION_EXPIRED, ANY),
    Action.SCHEDULE_MAINTENANCE: Rule(
        event=EventName.MAINTENANCE_SCHEDULED, legal=_but(WARRANTY, LOST, LIQUIDATED)
    ),
    Action.START_MAINTENANCE: _update(UpdateReason.MAINTENANCE_STARTED, _in(AVAILABLE, BROKEN)),
    Action.COMPLETE_MAINTENANCE: Rule(
        event=EventName.MAINTENANCE_COMPLETED,
        also=(EventName.MAINTENANCE_SCHEDULED,),
        legal=_but(LOST, LIQUIDATED),
    ),
    Action.CANCEL_MAINTENANCE: _update(UpdateReason.MAINTENANCE_CANCELLED, ANY),
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
    Action.RECEIVE_BACK: _update(UpdateReason.WARRANTY_RETURNED, _in(WARRANTY)),
    Action.REPAIR: _update(UpdateReason.REPAIRED, _in(BROKEN)),
    Action.FIND: _update(UpdateReason.FOUND, _in(LOST)),
    Action.UNDO_LIQUIDATION: _update(
        UpdateReason.LIQUIDATION_UNDONE, _in(LIQUIDATED), permission="assets.undo_liquidation"
    ),
}

_STOCK: Final[Mapping[Action, Rule]] = {
    Action.RECEIVE_STOCK: _update(UpdateReason.STOCK_RECEIVED, _in(AVAILABLE), kinds=STOCK),
    Action.ISSUE_STOCK: _update(UpdateReason.STOCK_ISSUED, _in(AVAILABLE), kinds=STOCK),
    Action.ADJUST_STOCK: _update(UpdateReason.STOCK_ADJUSTED, _in(AVAILABLE), kinds=STOCK),
}

RULES: Final[Mapping[Action, Rule]] = {
    **_LIFECYCLE,
    **_HOLDINGS,
    **_PLANNING,
    **_INCIDENTS,
    **_STOCK,
}


def is_legal(action: Action, status: str, kind: str = AssetKind.ITEM, *, deleted: bool) -> bool:
    """Return whether the table allows `action` on an asset of this status and kind."""
    rule = RULES[action]
    fits = AssetKind(kind) in rule.kinds and AssetStatus(status) in rule.legal
    return fits and rule.on_deleted is deleted


LONGEST: Final = {
    "reason": 200,
    "rejection_reason": 200,
    "purpose": 200,
    "title": 120,
    "supplier": 120,
    "recipient": 120,
}
LONGEST_NUMBER: Final = 60
LONGEST_OTHER: Final = 1000
CALLED: Final = {"rma_number": "return number"}


def longest(name: str) -> int:
    """Return the maximum number of characters for this text."""
    return LONGEST_NUMBER if name.endswith("_number") else LONGEST.get(name, LONGEST_OTHER)


def refuse_long(**texts: str | None) -> None:
    """Raise a `Refusal` for the first text that is longer than its column."""
    for name, text in texts.items():
        if len(text or "") > longest(name):
            called = CALLED.get(name, name.replace("_", " "))
            raise Refusal(
                f"Enter at most {longest(name):,} characters for the {called}", field=name
            )


def refuse_odd_year(**days: date | None) -> None:
    """Raise a `Refusal` for the first date or time with an implausible year."""
    for name, day in days.items():
        if day is not None and not is_in_calendar(day):
            kind = "time" if isinstance(day, datetime) else "day"
            raise Refusal(f"Enter a {kind} {IN_CALENDAR}", field=name)


# For readers who can't undo a disposal. Callers that know the reader pass other words.
UNDO: Final = "An administrator can undo its disposal"

# The words for each status in "AST-00007 is …", and the usual way out.
STATUS_WORDS: Final[Mapping[AssetStatus, tuple[str, str]]] = {
    AssetStatus.AVAILABLE: ("available", "Check it out or allocate it first"),
    AssetStatus.ALLOCATED: ("allocated", "Revoke it first"),
    AssetStatus.CHECKED_OUT: ("checked out", "Check it in first"),
    AssetStatus.MAINTENANCE: ("in maintenance", "Complete the maintenance first"),
    AssetStatus.WARRANTY: ("out for warranty repair", "Receive it back first"),
    AssetStatus.BROKEN: ("broken", "Mark it as repaired first"),
    AssetStatus.LOST: ("lost", "Mark it as found first"),
    AssetStatus.LIQUIDATED: ("disposed of", UNDO),
}

# For actions that end a state, the reason why there is nothing to end.
NOTHING_TO_END: Final[Mapping[Action, str]] = {
    Action.REVOKE: "It isn’t allocated to anyone",
    Action.REASSIGN: "It isn’t allocated to anyone",
    Action.CHECK_IN: "It isn’t checked out",
    Action.CHANGE_DUE_DATE: "It isn’t checked out, so it has no due date",
    Action.RECEIVE_BACK: "It isn’t out for warranty repair",
    Action.REPAIR: "It isn’t broken",
    Action.FIND: "It isn’t lost",
    Action.UNDO_LIQUIDATION: "It hasn’t been disposed of",
}

# Ways out that replace the usual one of the status.
INSTEAD: Final[Mapping[tuple[Action, AssetStatus], str]] = {
    (Action.REVOKE, AssetStatus.CHECKED_OUT): "Check it in instead",
    (Action.CHECK_IN, AssetStatus.ALLOCATED): "Revoke it instead",
    (Action.ALLOCATE, AssetStatus.ALLOCATED): "Revoke or reassign it",
    (Action.REASSIGN, AssetStatus.CHECKED_OUT): "Check it in, then allocate it",
    (Action.REASSIGN, AssetStatus.AVAILABLE): "Allocate it instead",
    (Action.CHANGE_DUE_DATE, AssetStatus.ALLOCATED): "Allocated assets have no due date",
    (Action.REPORT_BROKEN, AssetStatus.BROKEN): "It’s already reported",
    (Action.REPORT_BROKEN, AssetStatus.LOST): "Mark it as found first",
    (Action.REPORT_LOST, AssetStatus.LOST): "It’s already reported",
    (Action.SEND_TO_WARRANTY, AssetStatus.WARRANTY): "It’s already out for repair",
    (Action.LIQUIDATE, AssetStatus.LIQUIDATED): "It’s already disposed of",
    (Action.REJECT_RESERVATION, AssetStatus.LOST): "Its reservations were canceled",
    (Action.REJECT_RESERVATION, AssetStatus.LIQUIDATED): "Its reservations were canceled",
    (Action.COMPLETE_MAINTENANCE, AssetStatus.LOST): "Its maintenance was canceled",
    (Action.COMPLETE_MAINTENANCE, AssetStatus.LIQUIDATED): "Its maintenance was canceled",
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
    """Return the obstacle and the way out, to follow an asset's tag, or None if legal.

    `holder` is named if given. `undo` is the way to undo a disposal that this reader can use.
    """
    if is_legal(action, status, kind, deleted=deleted):
        return None
    rule = RULES[action]
    if deleted:
        return "was deleted. Restore it first."
    if rule.on_deleted:
        return "isn’t deleted."
    if AssetKind(kind) not in rule.kinds:
        return _of_the_other_kind(AssetKind(kind))
    asset_status = AssetStatus(status)
    state, usual = STATUS_WORDS[asset_status]
    usual = undo if asset_status is AssetStatus.LIQUIDATED else usual
    way_out = INSTEAD.get((action, asset_status)) or NOTHING_TO_END.get(action, usual)
    if holder and asset_status in (AssetStatus.ALLOCATED, AssetStatus.CHECKED_OUT):
        state = f"{state} to {holder}"
    return f"is {state}. {way_out}."


def _of_the_other_kind(kind: AssetKind) -> str:
    if kind is AssetKind.STOCK:
        return "is a consumable. Receive, issue, or adjust its quantity instead."
    return "is a single item, so it has no quantity to change."
