"""Which action is legal in which status, and what to say where it is not. Pure: a table.

An action of the register is a row here and a verb that hands its change to `transition.perform`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from portal.delivery.event_names import EventName
from portal.models.assets import AssetStatus


class Action(StrEnum):
    """What a person does with an asset. The timeline keeps these values."""

    CREATE = "create"
    EDIT = "edit"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row: what the action tells receivers, and the statuses in which it is legal."""

    event: EventName
    legal: frozenset[AssetStatus]
    permission: str = "assets.edit"


ANY: Final = frozenset(AssetStatus)

RULES: Final[Mapping[Action, Rule]] = {
    Action.CREATE: Rule(event=EventName.CREATED, legal=frozenset()),  # nothing is created twice
    # What was disposed of is read-only but for its notes: `edit_asset` sees to that.
    Action.EDIT: Rule(event=EventName.UPDATED, legal=ANY),
    Action.DELETE: Rule(
        event=EventName.DELETED,
        legal=frozenset(
            {
                AssetStatus.AVAILABLE,
                AssetStatus.BROKEN,
                AssetStatus.LOST,
                AssetStatus.LIQUIDATED,
            }
        ),
    ),
}

# How each status reads in "AST-00007 is …", and what to do about it first.
STANDING: Final[Mapping[AssetStatus, tuple[str, str]]] = {
    AssetStatus.AVAILABLE: ("available", "Give it to somebody first"),
    AssetStatus.ALLOCATED: ("allocated to somebody", "Take it back first"),
    AssetStatus.CHECKED_OUT: ("checked out", "Check it in first"),
    AssetStatus.MAINTENANCE: ("in maintenance", "Complete the maintenance first"),
    AssetStatus.WARRANTY: ("away for a warranty claim", "Receive it back first"),
    AssetStatus.BROKEN: ("broken", "Have it repaired first"),
    AssetStatus.LOST: ("lost", "Report it as found first"),
    AssetStatus.LIQUIDATED: ("disposed of", "Ask an administrator to undo that first"),
}


def why_not(action: Action, status: str) -> str | None:
    """What stands in the way and the way out, to follow an asset's tag; None where it is legal."""
    standing = AssetStatus(status)
    if standing in RULES[action].legal:
        return None
    state, way_out = STANDING[standing]
    return f"is {state}. {way_out}."
