"""List every asset action, and find the actions that an asset offers now.

To add an action, add its row in `rules.py`, its verb and row in `verbs.py`, and an `ActionPage` to
one of the tables below. The asset page's button, the route, the permission, the guard, the
double-submit protection, and "This will notify 2 webhooks" come from here and from
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
    """One action on the asset's page.

    `why_not`: why it is unavailable, or None if it is available. `way_out`: the same without the
    asset's status, which the page already shows.
    """

    label: str
    icon: str
    url: str
    why_not: str | None
    is_main: bool
    way_out: str = ""  # blank if it is always available


def action_buttons(asset: Asset) -> list[Button]:
    """Return all actions for an asset of this kind that the signed-in person has permission for."""
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
    """Return why the action is unavailable now, as words to follow the asset's tag, or None."""
    deleted = asset.deleted_at is not None
    undo = _undo_words(asset.status)
    illegal = why_not(action, asset.status, asset.kind, deleted=deleted, holder=holder, undo=undo)
    return illegal or (_nowhere_to_go(asset) if action is Action.TRANSFER else None)


def _undo_words(status: str) -> str:
    """Return instructions for this reader to undo a disposal."""
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
    """Return the reason as a sentence, without the asset's status."""
    state = f"is {STATUS_WORDS[AssetStatus(asset.status)][0]}. "
    text = reason or ""
    return text.removeprefix(state) if text.startswith(state) else f"It {text}"
