"""An asset that people asked for and that is to be worked on, in any status: for tables."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from portal.models.assets import Action, AssetStatus
from portal.services.actions.rules import RULES
from tests.services.actions.every_action import WAY_TO, act
from tests.services.actions.plan_examples import make_maintenance, make_reservation
from tests.support.factories import make_asset, make_staff

# Long after whatever the other actions lend until.
LATER: Final = 24 * 30
CANCELS_ALL: Final = (AssetStatus.LOST, AssetStatus.LIQUIDATED)


@dataclass(frozen=True, slots=True)
class Planned:
    """An asset that two people asked for, with work to be done."""

    asset_id: int
    asked: UUID
    other: UUID
    work: UUID


def planned_in(status: AssetStatus) -> Planned:
    """Planned while it was free, then brought into the status by the action that leads there."""
    asset_id = make_asset()
    asked = make_reservation(asset_id, make_staff(), LATER, LATER + 24)
    other = make_reservation(asset_id, make_staff(), LATER + 48, LATER + 72)
    it = Planned(asset_id, asked, other, make_maintenance(asset_id))
    way = WAY_TO[status]
    if way:
        act(way, asset_id)
    return it


def is_to_be_taken(action: Action, status: AssetStatus) -> bool:
    """Whether the step is legal, and what it is about has not been cancelled by the status."""
    return status in RULES[action].legal and not (status in CANCELS_ALL and "cancel" in action)
