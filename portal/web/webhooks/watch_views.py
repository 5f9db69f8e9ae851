"""Begin and end one's own emails about a webhook, on its page and by the link in each email."""

from typing import Final
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from portal.extensions import csrf
from portal.services.webhooks import watches
from portal.services.webhooks.watches import DeadLink, Linked
from portal.web.frame.access import PUBLIC, actor, local_path, requires
from portal.web.frame.wording import plural
from portal.web.webhooks.views import WEBHOOK, Answer

STARTED: Final = "We’ll email you when “{name}” fails."
ENDED_ALL: Final = "You’ll no longer get emails about {webhooks}."
ENDED: Final = "You’ll no longer get emails about “{name}”."

blueprint = Blueprint("webhook_emails", __name__, url_prefix="/settings/webhooks")
account_blueprint = Blueprint("own_webhook_emails", __name__)
links_blueprint = Blueprint("unsubscribe", __name__)


@blueprint.post(f"{WEBHOOK}/emails")
@requires(watches.PERMISSION)
def choose(public_id: UUID) -> Response:
    """Begin or end one's own emails about this webhook."""
    is_on = request.form.get("emails") == "on"
    name = watches.choose(actor(), public_id, is_on=is_on)
    flash((STARTED if is_on else ENDED).format(name=name), "success")
    back = request.form.get("back")
    return redirect(local_path(back) if back else url_for("webhooks.show", public_id=public_id))


@account_blueprint.post("/account/emails/stop")
@requires(watches.PERMISSION)
def stop_all() -> Response:
    """End all of one's own emails about webhooks."""
    flash(ENDED_ALL.format(webhooks=plural(watches.end_all(actor()), "webhook")), "success")
    return redirect(url_for("account.index"))


@links_blueprint.get(watches.PAGE)
@requires(PUBLIC)
def ask() -> Answer:
    """Ask whether to end these emails, or say that they are."""
    return _page(watches.read_link(_token()))


@links_blueprint.post(watches.PAGE)
@requires(PUBLIC)
def end() -> Answer:
    """End these emails. Mail programs send this by themselves (RFC 8058)."""
    return _page(watches.end_by_link(_token()))


# Mail programs have no page of ours, and the token is worth nothing but this.
csrf.exempt(end)


@links_blueprint.errorhandler(DeadLink)
def dead(_refusal: DeadLink) -> Answer:
    """Say the same of every link that ends nothing."""
    return _page(None), DeadLink.status


def _page(linked: Linked | None) -> str:
    who = masked(linked.email) if linked else ""
    return render_template("webhooks/unsubscribe.html", linked=linked, who=who)


def masked(email: str) -> str:
    """Return an address by which its owner knows it, and nobody else: "a…@example.com"."""
    name, _, host = email.rpartition("@")
    return f"{name[:1]}…@{host}"


def _token() -> str:
    return request.args.get("token", "")
