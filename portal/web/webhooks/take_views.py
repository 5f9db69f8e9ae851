"""Take, take over, hand over, and release a webhook with problems."""

from datetime import datetime
from typing import Final
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from wtforms import HiddenField, SelectField

from portal.services.webhooks import queries as webhook_queries
from portal.services.webhooks import takes
from portal.web.forms.base import PortalForm, refusals_flashed, refusals_in, status_of, typed
from portal.web.forms.parsing import uuid_or_none
from portal.web.frame.access import actor, local_path, requires
from portal.web.frame.site_state import is_own
from portal.web.webhooks.views import WEBHOOK, Answer

SAVED: Final = "Others can see that you’ve taken “{name}”."
HANDED_OVER: Final = "{person} has “{name}” now. "
MAILED: Final = "We’ll email {person}."
NOT_MAILED: Final = "Email isn’t set up, so tell {person}."
NO_ONE: Final = "No one else can sign in and retry deliveries. An administrator can invite someone."

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


class HandOverForm(TakeForm):
    """The choice of a colleague, by public id."""

    to = SelectField("Colleague", choices=[], validate_choice=False)


@blueprint.route(f"{WEBHOOK}/hand-over", methods=["GET", "POST"])
@requires(takes.PERMISSION)
def hand_over(public_id: UUID) -> Answer:
    """Hand over a taken webhook to a colleague."""
    form, back = HandOverForm(), back_of(public_id)
    if form.validate_on_submit():
        with refusals_in(form):
            to = uuid_or_none(typed(form.to))
            done = takes.hand_over(actor(), public_id, to, moment_of(form.seen.data))
            words = HANDED_OVER + (MAILED if done.is_mailed else NOT_MAILED)
            flash(words.format(name=done.webhook, person=done.person), "success")
            return redirect(back)
    webhook = webhook_queries.show(public_id)
    taken = webhook.backlog.taken if webhook.backlog else None
    others = takes.colleagues(actor(), taken) if taken else []
    if taken is None or not others:
        reason = NO_ONE if taken else takes.IS_FREE if webhook.backlog else takes.IS_WELL
        flash(reason, "info")
        return redirect(back)
    form.to.choices = [("", "Choose…"), *((str(each.public_id), each.name) for each in others)]
    form.seen.data = taken.at.isoformat()
    page = render_template(
        "webhooks/hand_over.html", form=form, webhook=webhook, taken=taken, back=back
    )
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
