"""Take, take over, and release a webhook with problems."""

from datetime import datetime
from typing import Final
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from wtforms import HiddenField

from portal.services.webhooks import queries as webhook_queries
from portal.services.webhooks import takes
from portal.web.forms.base import PortalForm, refusals_flashed, refusals_in, status_of
from portal.web.frame.access import actor, local_path, requires
from portal.web.frame.site_state import is_own
from portal.web.webhooks.views import WEBHOOK, Answer

SAVED: Final = "Others can see that you’ve taken “{name}”."

blueprint = Blueprint("webhook_takes", __name__, url_prefix="/settings/webhooks")


class TakeForm(PortalForm):
    """The confirmation form. `seen` is the time at which another person took the webhook."""

    seen = HiddenField()


@blueprint.route(f"{WEBHOOK}/take", methods=["GET", "POST"])
@requires(takes.PERMISSION)
def take(public_id: UUID) -> Answer:
    """Take a webhook. Ask first if another person has taken it."""
    form, back = TakeForm(), back_of(public_id)
    if form.validate_on_submit():
        with refusals_in(form):
            name = takes.take(actor(), public_id, moment_of(form.seen.data))
            flash(SAVED.format(name=name), "success")
            return redirect(back)
    webhook = webhook_queries.show(public_id)
    if webhook.backlog is None:
        flash(takes.IS_WELL, "info")
        return redirect(back)
    taken = webhook.backlog.taken
    if is_own(taken):
        flash(SAVED.format(name=webhook.name), "info")
        return redirect(back)
    form.seen.data = taken.at.isoformat() if taken else ""
    page = render_template("webhooks/take.html", form=form, webhook=webhook, taken=taken, back=back)
    return page, status_of(form)


@blueprint.post(f"{WEBHOOK}/release")
@requires(takes.PERMISSION)
def release(public_id: UUID) -> Answer:
    """Note that the user is no longer looking into the webhook."""
    with refusals_flashed("warning"):
        flash(f"Released “{takes.release(actor(), public_id)}”.", "success")
    return redirect(back_of(public_id))


def moment_of(text: str | None) -> datetime | None:
    """Return the time in a form's hidden field, or None."""
    try:
        return datetime.fromisoformat(text or "")
    except ValueError:
        return None


def back_of(public_id: UUID) -> str:
    """Return the URL of the originating page, or of the webhook's page."""
    back = request.values.get("back")
    return local_path(back) if back else url_for("webhooks.show", public_id=public_id)
