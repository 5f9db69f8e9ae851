"""Every action of the register: one table, and which of them an asset offers now.

To add an action: its row in `rules.py`, its verb and the row of that in `verbs.py`, and an
`ActionPage` in one of the tables below. The button on the asset's page, the route, the permission,
the guard, the double submit and "This will notify 2 webhooks" come from here and from
`web/assets/action_views.py`.
"""

from dataclasses import dataclass
from typing import Final

from flask import url_for

from portal.engine.next_steps import ASK
from portal.models.assets import Action, Asset, AssetStatus
from portal.services.actions.rules import RULES, STATUS_WORDS, UNDO, why_not
from portal.services.assets import named_lists
from portal.web.actions import assignment_pages, incident_pages, planning_pages, stock_pages
from portal.web.actions.forms import ActionPage
from portal.web.frame.access import can
from portal.web.help.advice import for_reader

# In the order of the buttons.
PAGES: Final[tuple[ActionPage, ...]] = (
    *assignment_pages.PAGES,
    *incident_pages.RETURN_PAGES,
    *incident_pages.PAGES,
    *planning_pages.PAGES,
    *stock_pages.PAGES,
)


@dataclass(frozen=True, slots=True)
class Button:
    """One action on the asset's page; `why_not` says why it is off, None where it is on, and
    `way_out` the same without the asset's status, which the page says already."""

    label: str
    icon: str
    url: str
    why_not: str | None
    is_main: bool
    way_out: str = ""  # of one that is always on


def action_buttons(asset: Asset) -> list[Button]:
    """Return every action that the signed-in person may ever take with a thing of this kind."""
    deleted = asset.deleted_at is not None
    fit = [
        page
        for page in PAGES
        if asset.kind in page.rule.kinds
        and page.rule.on_deleted is deleted
        and not page.verb.subject
    ]
    return [_button(page, asset) for page in fit if can(page.rule.permission)]


def obstacle(action: Action, asset: Asset, holder: str | None = None) -> str | None:
    """Return why the action is not legal now, or leads nowhere, to follow the asset's tag."""
    deleted = asset.deleted_at is not None
    undo = _undo_words(asset.status)
    illegal = why_not(action, asset.status, asset.kind, deleted=deleted, holder=holder, undo=undo)
    return illegal or (_nowhere_to_go(asset) if action is Action.TRANSFER else None)


def _undo_words(status: str) -> str:
    """Return the way back from disposed of, for this reader."""
    if status != AssetStatus.LIQUIDATED:
        return UNDO
    permission = RULES[Action.UNDO_LIQUIDATION].permission
    return for_reader(permission, "Undo its disposal first", f"{ASK} to undo its disposal first")


def _nowhere_to_go(asset: Asset) -> str | None:
    places = [row_id for row_id, _, _ in named_lists.choices(named_lists.LOCATIONS)]
    if any(place != asset.location_id for place in places):
        return None
    where = "is at the only location" if places else "has no location to move to"
    return f"{where}. Add another one under Locations first."


def _button(page: ActionPage, asset: Asset) -> Button:
    reason = obstacle(page.action, asset)
    return Button(
        label=page.label,
        icon=page.icon,
        url=url_for(page.endpoint, asset_id=asset.id),
        why_not=reason,
        way_out=way_out(asset, reason),
        is_main=reason is None and asset.status in page.main,
    )


def way_out(asset: Asset, reason: str | None) -> str:
    """Return the reason without the asset's status."""
    state = f"is {STATUS_WORDS[AssetStatus(asset.status)][0]}. "
    said = reason or ""
    return said.removeprefix(state) if said.startswith(state) else f"It {said}"
