"""Run one action on many assets: select in the list, review, confirm, and follow the task."""

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from portal.engine.events.catalogue import EventName
from portal.models.assets import Action
from portal.models.tasks import Task
from portal.services.actions import bulk, lifecycle
from portal.services.actions.incidents import RETURNS
from portal.services.actions.rules import RULES
from portal.services.core.unit_of_work import once_only
from portal.services.webhooks.queries import count_listeners
from portal.web.actions.forms import ActionForm
from portal.web.assets.forms import BULK_PAGES, AssetFilterForm
from portal.web.assets.views import list_page
from portal.web.forms.additions import add_typed
from portal.web.forms.base import refusals_in, status_of
from portal.web.forms.parsing import number_or_none
from portal.web.frame.access import actor, owner, requires
from portal.web.frame.wording import number

blueprint = Blueprint("bulk", __name__, url_prefix="/assets/bulk")

Answer = Response | tuple[str, int]
MOST_LISTED = 100  # on the confirmation page. The results page lists all.


@blueprint.route("", methods=["GET", "POST"])
@requires(bulk.PERMISSION)
def confirm() -> Answer:
    """Show the assets that the action is possible for, ask for its values, and start it."""
    listed = AssetFilterForm(request.args)
    if "all" in request.args and not listed.validate():
        return list_page(listed)
    action, ids = _asked(listed)
    if len(ids) > bulk.MOST_ASSETS:
        words = (
            f"Select at most {number(bulk.MOST_ASSETS)} assets. Filter the list, then select again."
        )
        flash(words, "info")
        return redirect(url_for("assets.index", **_filter()))
    chosen = bulk.preview(action, ids) if action else []
    if action is None or not chosen:
        flash("Select at least 1 asset in the list, then an action.", "info")
        return redirect(url_for("assets.index"))
    form = BULK_PAGES[action].form()
    form.prepare(lifecycle.find_asset(chosen[0].id), None)
    if form.is_submitted() and not add_typed(form, actor()) and form.validate():
        values = _plain(form)
        with refusals_in(form):
            path = once_only(
                owner(),
                form.once_value,
                lambda: bulk.start(actor(), action, [asset.id for asset in chosen], values),
                lambda public_id: url_for("tasks.show", public_id=public_id),
            )
            return redirect(path)
    return _page(action, chosen, form), status_of(form)


@blueprint.get("/<uuid:public_id>")
@requires(bulk.PERMISSION)
def show(public_id: UUID) -> str:
    task = bulk.find(public_id)
    page = bulk.results(task, request.args.get("cursor"))
    return render_template("assets/bulk/result.html", task=task, title=title_of(task), page=page)


def title_of(task: Task) -> str:
    """Return the title, such as "Revoke 4 assets" or "Move 4 assets to Hamburg"."""
    title, place = BULK_PAGES[Action(task.params["action"])].titled(task.total), bulk.place_of(task)
    return f"{title} to {place}" if place else title


def _asked(listed: AssetFilterForm) -> tuple[Action | None, list[int]]:
    sent = request.values
    action = next((known for known in BULK_PAGES if known == sent.get("action")), None)
    if "all" in request.args:  # all current matches. The form then submits their ids.
        return action, bulk.matching_ids(listed.chosen())
    ids = map(number_or_none, sent.getlist("ids"))
    return action, [asset_id for asset_id in ids if asset_id is not None]


def _filter() -> dict[str, Any]:
    names = {field.name for field in AssetFilterForm()}
    return {name: value for name, value in request.args.items() if name in names}


def _page(action: Action, chosen: list[bulk.BulkAsset], form: ActionForm) -> str:
    page = BULK_PAGES[action]
    able = [asset for asset in chosen if not asset.why_not]
    return render_template(
        "assets/bulk/confirm.html",
        action=action,
        page=page,
        form=form,
        able=able,
        refused=[asset for asset in chosen if asset.why_not],
        most_listed=MOST_LISTED,
        title=page.titled(len(able)) if able else f"{page.label} isn’t possible now",
        listeners=count_listeners(*RULES[action].events),
        of_repair=count_listeners(EventName.BROKEN) if action in RETURNS else None,
    )


def _plain(form: ActionForm) -> dict[str, Any]:
    """Return the values as JSON types, so that the task can store them."""
    return {name: _kept(value) for name, value in form.filled().items()}


def _kept(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    return value
