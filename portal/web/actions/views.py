"""Every action of the register as a page: one view, one form frame, one table.

To add an action: its row in `rules.py`, its verb, and an `ActionPage` in one of the tables
below. The button on the asset's page, the route, the permission, the guard, the double submit and
"This will notify 2 webhooks" come from here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from flask import Blueprint, redirect, render_template, url_for
from werkzeug.wrappers import Response

from portal.engine.next_steps import ASK
from portal.models.assets import Action, Asset, AssetStatus
from portal.services.actions import lifecycle
from portal.services.actions.rules import RULES, UNDO, why_not
from portal.services.assets import named_lists
from portal.services.assets.snapshots import open_assignment
from portal.services.core.unit_of_work import once_only
from portal.services.webhooks.queries import count_listeners
from portal.web.actions import assignment_pages, incident_pages, planning_pages, stock_pages
from portal.web.actions.forms import ActionForm, ActionPage, Submission
from portal.web.forms.additions import add_typed
from portal.web.forms.base import UNHEARD, refusals_in, say_whether_changed, status_of
from portal.web.frame.access import actor, can, owner, requires
from portal.web.help.advice import for_reader

Answer = Response | tuple[str, int]
View = Callable[..., Answer]

# In the order of the buttons.
PAGES: Final[tuple[ActionPage, ...]] = (
    *assignment_pages.PAGES,
    *incident_pages.RETURN_PAGES,
    *incident_pages.PAGES,
    *planning_pages.PAGES,
    *stock_pages.PAGES,
)

blueprint = Blueprint("actions", __name__, url_prefix="/assets/<int(max=2147483647):asset_id>")


@dataclass(frozen=True, slots=True)
class Button:
    """One action on the asset's page; `why_not` says why it is off, None where it is on."""

    label: str
    icon: str
    url: str
    why_not: str | None
    is_main: bool


def action_buttons(asset: Asset) -> list[Button]:
    """Return every action that the signed-in person may ever take with a thing of this kind."""
    deleted = asset.deleted_at is not None
    fit = [
        page
        for page in PAGES
        if asset.kind in page.rule.kinds
        and page.rule.on_deleted is deleted
        and not page.with_subject
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
    return for_reader(permission, "Undo that first", f"{ASK} to undo that first")


def _nowhere_to_go(asset: Asset) -> str | None:
    places = [row_id for row_id, _, _ in named_lists.choices(named_lists.LOCATIONS)]
    if any(place != asset.location_id for place in places):
        return None
    where = "is at the only location" if places else "has no location to go to"
    return f"{where}. Someone who can move it can add another one under Locations."


def _button(page: ActionPage, asset: Asset) -> Button:
    reason = obstacle(page.action, asset)
    return Button(
        label=page.label,
        icon=page.icon,
        url=url_for(page.endpoint, asset_id=asset.id),
        why_not=reason,
        is_main=reason is None and asset.status in page.main,
    )


def _view(page: ActionPage) -> View:
    @requires(page.rule.permission)
    def view(asset_id: int, subject: UUID | None = None) -> Answer:
        asset = lifecycle.find_asset(asset_id)
        form = page.form(data=page.form.defaults(asset, subject))
        form.prepare(asset, subject)
        if form.is_submitted() and not add_typed(form, actor()) and form.validate():
            with refusals_in(form):
                return _done(page, Submission(actor(), asset_id, form, subject))
        return _shown(page, asset, form, subject)

    return view


def _done(page: ActionPage, sent: Submission) -> Response:
    def path(changed: object) -> str:
        words = page.done.format(**_names(lifecycle.find_asset(sent.asset_id)))
        say_whether_changed(changed is not False, words, UNHEARD)
        return url_for(page.tab, asset_id=sent.asset_id)

    return redirect(once_only(owner(), sent.form.once_value, lambda: page.run(sent), path))


def _shown(page: ActionPage, asset: Asset, form: ActionForm, subject: UUID | None) -> Answer:
    held = open_assignment(asset.id)
    reason = obstacle(page.action, asset, held.staff.name if held else None)
    back = url_for(page.tab, asset_id=asset.id)
    if reason and not form.is_submitted():
        words = {"page": page, "asset": asset, "reason": reason, "back": back}
        return render_template("actions/not_now.html", **words), 409
    names = _names(asset)
    shown = render_template(
        page.template,
        page=page,
        asset=asset,
        form=form,
        title=page.title.format(**names),
        lede=page.lede.format(**names),
        here=url_for(page.endpoint, asset_id=asset.id, subject=subject),
        back=back,
        listeners=count_listeners(*page.rule.events),
        **(page.context(asset, subject) if page.context else {}),
    )
    return shown, 409 if form.form_errors else status_of(form)


def _names(asset: Asset) -> dict[str, str]:
    held = open_assignment(asset.id)
    holder = held.staff.name if held else "Somebody"
    return {"tag": asset.asset_tag, "name": asset.name, "holder": holder}


def _add_routes() -> None:
    for page in PAGES:
        address = f"/{page.slug}/<uuid:subject>" if page.with_subject else f"/{page.slug}"
        blueprint.add_url_rule(address, str(page.action), _view(page), methods=["GET", "POST"])


_add_routes()
