"""An asset with two reservations and scheduled maintenance, in any status."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from portal.models.assets import Action, AssetStatus
from portal.services.actions.rules import RULES
from tests.services.actions.every_action import WAY_TO, act
from tests.services.actions.plan_examples import make_maintenance, make_reservation
from tests.support.factories import make_asset, make_staff

# Long after the due dates that the other actions set.
LATER: Final = 24 * 30
CANCELS_ALL: Final = (AssetStatus.LOST, AssetStatus.LIQUIDATED)


@dataclass(frozen=True, slots=True)
class Planned:
    """An asset with two pending reservations and scheduled maintenance."""

    asset_id: int
    asked: UUID
    other: UUID
    work: UUID


def planned_in(status: AssetStatus) -> Planned:
    """Plan on an available asset, then bring it into the status through its action."""
    asset_id = make_asset()
    asked = make_reservation(asset_id, make_staff(), LATER, LATER + 24)
    other = make_reservation(asset_id, make_staff(), LATER + 48, LATER + 72)
    planned = Planned(asset_id, asked, other, make_maintenance(asset_id))
    way = WAY_TO[status]
    if way:
        act(way, asset_id)
    return planned


def is_to_be_taken(action: Action, status: AssetStatus) -> bool:
    """Return whether the step is legal and the status has not canceled its subject."""
    return status in RULES[action].legal and not (status in CANCELS_ALL and "cancel" in action)
