"""A webhook's secret key: the one time that a new one is shown, and the switch to it."""

from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for

from portal.services.webhooks import keys, secrets
from portal.services.webhooks import queries as webhook_queries
from portal.web.frame.access import actor, always, local_path, posted, requires
from portal.web.webhooks.views import WEBHOOK, Answer

blueprint = Blueprint("webhook_secrets", __name__, url_prefix="/settings/webhooks")


@blueprint.get(f"{WEBHOOK}/secret")
@requires("webhooks.secret", again=always)
def show(public_id: UUID) -> Answer:
    """The secret that we made, for its maker alone and for a short time."""
    return render_template(
        "webhooks/secret.html",
        webhook=webhook_queries.show(public_id),
        shown=secrets.shown_secret(actor(), public_id),
        after=_next(public_id),
    )


@blueprint.post(f"{WEBHOOK}/secret/switch")
@requires("webhooks.secret", again=always)
def switch(public_id: UUID) -> Answer:
    """“Switch now”: the receiver knows the new secret, the old one signs no more."""
    if secrets.switch_now(actor(), public_id):
        flash("Switched. From now on only the new secret key signs.", "success")
    return redirect(url_for("webhooks.show", public_id=public_id))


@blueprint.route(f"{WEBHOOK}/secret/erase", methods=["GET", "POST"])
@requires("webhooks.secret", again=posted)
def erase(public_id: UUID) -> Answer:
    """Ask, then erase what cannot be opened, so that the webhook can be turned on without it."""
    if request.method == "POST":
        parts = keys.forget_closed(actor(), public_id)
        flash(*("Erased.", "success") if parts else ("Everything can be opened.", "info"))
        return redirect(url_for("webhooks.show", public_id=public_id))
    return render_template("webhooks/erase.html", webhook=webhook_queries.show(public_id))


@blueprint.post(f"{WEBHOOK}/secret")
@requires("webhooks.secret")
def copied(public_id: UUID) -> Answer:
    """“I have copied it”: the secret is not shown again."""
    secrets.forget_shown(actor(), public_id)
    return redirect(_next(public_id))


def _next(public_id: UUID) -> str:
    wanted = request.values.get("next")
    return local_path(wanted) if wanted else url_for("webhooks.show", public_id=public_id)
