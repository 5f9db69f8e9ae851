"""Take, take over, and release a webhook with problems."""

from datetime import datetime
from typing import Final
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from wtforms import HiddenField, TextAreaField

from portal.services.webhooks import queries as webhook_queries
from portal.services.webhooks import takes
from portal.web.forms.base import PortalForm, refusals_flashed, refusals_in, status_of, typed
from portal.web.frame.access import actor, local_path, requires
from portal.web.webhooks.views import WEBHOOK, Answer

SAVED: Final = "Others can see that you’ve taken “{name}”."

blueprint = Blueprint("webhook_takes", __name__, url_prefix="/settings/webhooks")


class TakeForm(PortalForm):
    """The confirmation form. `seen` is the time at which another person took the webhook."""

    seen = HiddenField()
    note = TextAreaField("Note", render_kw={"rows": 3, "maxlength": takes.LONGEST_NOTE})


@blueprint.route(f"{WEBHOOK}/take", methods=["GET", "POST"])
@requires(takes.PERMISSION)
def take(public_id: UUID) -> Answer:
    """Take a webhook with a note, or change the note if the user has it already."""
    form, back = TakeForm(), _back(public_id)
    if form.validate_on_submit():
        with refusals_in(form):
            name = takes.take(actor(), public_id, typed(form.note), _moment(form.seen.data))
            flash(SAVED.format(name=name), "success")
            return redirect(back)
    webhook = webhook_queries.show(public_id)
    if webhook.backlog is None:
        flash(takes.IS_WELL, "info")
        return redirect(back)
    taken = webhook.backlog.taken
    is_mine = taken is not None and taken.by_id == actor().user_id
    if taken and not form.is_submitted():
        form.note.data = taken.note
    form.seen.data = taken.at.isoformat() if taken and not is_mine else ""
    page = render_template(
        "webhooks/take.html", form=form, webhook=webhook, taken=taken, is_mine=is_mine, back=back
    )
    return page, status_of(form)


@blueprint.post(f"{WEBHOOK}/release")
@requires(takes.PERMISSION)
def release(public_id: UUID) -> Answer:
    """Note that the user is no longer looking into the webhook."""
    with refusals_flashed("warning"):
        flash(f"Released “{takes.release(actor(), public_id)}”.", "success")
    return redirect(_back(public_id))


def _moment(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text or "")
    except ValueError:
        return None


def _back(public_id: UUID) -> str:
    """Return the URL of the originating page, or of the webhook's page."""
    back = request.values.get("back")
    return local_path(back) if back else url_for("webhooks.show", public_id=public_id)
