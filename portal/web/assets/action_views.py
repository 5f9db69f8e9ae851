"""Serve a page for every asset action. All share one view and show the asset beside the form."""

from collections.abc import Callable
from uuid import UUID

from flask import Blueprint, redirect, render_template, url_for
from werkzeug.wrappers import Response

from portal.models.assets import Asset, AssetStatus
from portal.services.actions import lifecycle
from portal.services.actions.rules import STATUS_WORDS
from portal.services.assets.snapshots import open_assignment
from portal.services.core.unit_of_work import once_only
from portal.services.webhooks.queries import count_listeners
from portal.web.actions.forms import ActionForm, ActionPage
from portal.web.actions.pages import PAGES, obstacle
from portal.web.assets.presenter import show_tab, summary_of
from portal.web.forms.additions import add_typed
from portal.web.forms.base import UNHEARD, refusals_in, say_whether_changed, status_of
from portal.web.frame.access import actor, owner, requires
from portal.web.frame.wording import due_words

Answer = Response | tuple[str, int]
View = Callable[..., Answer]

blueprint = Blueprint("actions", __name__, url_prefix="/assets/<int(max=2147483647):asset_id>")


def _view(page: ActionPage) -> View:
    @requires(page.rule.permission)
    def view(asset_id: int, subject: UUID | None = None) -> Answer:
        asset = lifecycle.find_asset(asset_id)
        form = page.form(data=page.form.defaults(asset, subject))
        form.prepare(asset, subject)
        if form.is_submitted() and not add_typed(form, actor()) and form.validate():
            with refusals_in(form):
                return _done(page, asset_id, form, subject)
        return _shown(page, asset, form, subject)

    return view


def _done(page: ActionPage, asset_id: int, form: ActionForm, subject: UUID | None) -> Response:
    was_due = _names(lifecycle.find_asset(asset_id))["due"]

    def run() -> object:
        return page.verb.run(actor(), subject or asset_id, form.filled())

    def path(changed: object) -> str:
        names = _names(lifecycle.find_asset(asset_id))
        words = page.done.format(**names, was_due=was_due)
        say_whether_changed(changed is not False, words, UNHEARD)
        return url_for(page.tab, asset_id=asset_id)

    return redirect(once_only(owner(), form.once_value, run, path))


def _shown(page: ActionPage, asset: Asset, form: ActionForm, subject: UUID | None) -> Answer:
    held = open_assignment(asset.id)
    reason = obstacle(page.action, asset, held.staff.name if held else None)
    back = url_for(page.tab, asset_id=asset.id)
    if reason and not form.is_submitted():
        words = {"page": page, "asset": asset, "reason": reason, "back": back}
        return render_template("actions/not_now.html", **words), 409
    names = _names(asset)
    shown = show_tab(
        page.template,
        asset,
        page=page,
        form=form,
        **summary_of(asset),
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
    holder = held.staff.name if held else "someone"
    due = due_words(held.due_at) if held and held.due_at else "later"
    status = STATUS_WORDS[AssetStatus(asset.status)][0]
    names = {"tag": asset.asset_tag, "name": asset.name, "status": status}
    place = asset.location.name if asset.location else "no location"
    return names | {"holder": holder, "due": due, "location": place}


def _add_routes() -> None:
    for page in PAGES:
        address = f"/{page.verb.slug}" + ("/<uuid:subject>" if page.verb.subject else "")
        blueprint.add_url_rule(address, str(page.action), _view(page), methods=["GET", "POST"])


_add_routes()
