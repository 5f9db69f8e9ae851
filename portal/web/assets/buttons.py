"""The buttons of an asset's page: at most three in front, the others under More."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from flask import url_for

from portal.models.assets import Action, Asset
from portal.services.actions.status_rules import RULES
from portal.web.actions.views import Button, action_buttons, obstacle
from portal.web.frame.access import can

MOST_BESIDE_EDIT: Final = 2


@dataclass(frozen=True, slots=True)
class Buttons:
    """What stands in front and what under More; there, what is off stands last."""

    front: Sequence[Button]
    more: Sequence[Button]


def buttons_of(asset: Asset) -> Buttons:
    """What the signed-in person may ever do with the asset; off with the reason where not now."""
    found = action_buttons(asset)
    edit = _plain(Action.EDIT, "Edit", "pencil", "assets.edit", asset)
    copy = _copy(asset)
    delete = _plain(Action.DELETE, "Delete", "trash", "assets.delete", asset)
    if asset.deleted_at is not None:
        return Buttons([each for each in found if each.why_not is None], [])
    front = [each for each in found if each.is_main][:MOST_BESIDE_EDIT] + edit
    more = [each for each in (*found, *copy, *delete) if each not in front]
    return Buttons(front, sorted(more, key=lambda each: each.why_not is not None))


def _plain(action: Action, label: str, icon: str, endpoint: str, asset: Asset) -> list[Button]:
    if not can(RULES[action].permission):
        return []
    url, reason = url_for(endpoint, asset_id=asset.id), obstacle(action, asset)
    return [Button(label, icon, url, reason, is_main=reason is None)]


def _copy(asset: Asset) -> list[Button]:
    """It adds another one, so it asks nothing of this one."""
    if not can(RULES[Action.CREATE].permission):
        return []
    url = url_for("assets.new", copy=asset.id)
    return [Button("Copy this asset", "files", url, None, is_main=False)]
