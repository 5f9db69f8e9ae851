"""Start and stop a user's own emails about a webhook, on its page or by a link in an email."""

from typing import Final
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from portal.extensions import csrf
from portal.services.mail import mails
from portal.services.webhooks import queries as webhook_queries
from portal.services.webhooks import watches
from portal.services.webhooks.backlog import WebhookStatus
from portal.services.webhooks.watches import DeadLink, Linked
from portal.web.frame.access import PUBLIC, actor, local_path, requires
from portal.web.frame.wording import plural
from portal.web.webhooks.views import WEBHOOK, Answer
from portal.web.webhooks.wording import not_set_up

STARTED: Final = "We’ll email you when “{name}” fails."
FAILS_NOW: Final = (
    "“{name}” is failing now. If you haven’t had an email about that yet, you’ll get one."
)
ENDED_ALL: Final = "You’ll no longer get emails about {webhooks}."
ENDED: Final = "You’ll no longer get emails about “{name}”."

blueprint = Blueprint("webhook_emails", __name__, url_prefix="/settings/webhooks")
account_blueprint = Blueprint("own_webhook_emails", __name__)
links_blueprint = Blueprint("unsubscribe", __name__)


@blueprint.post(f"{WEBHOOK}/emails")
@requires(watches.PERMISSION)
def choose(public_id: UUID) -> Response:
    """Start or stop the user's own emails about this webhook."""
    is_on = request.form.get("emails") == "on"
    name = watches.choose(actor(), public_id, is_on=is_on)
    flash(_started(public_id, name) if is_on else ENDED.format(name=name), "success")
    back = request.form.get("back")
    return redirect(local_path(back) if back else url_for("webhooks.show", public_id=public_id))


def _started(public_id: UUID, name: str) -> str:
    """Return the message, which promises no emails without a mail server."""
    if not mails.is_on():
        return f"We keep your choice. {not_set_up()}"
    is_failing = webhook_queries.show(public_id).status is WebhookStatus.FAILING
    return (f"{STARTED} {FAILS_NOW}" if is_failing else STARTED).format(name=name)


@account_blueprint.post("/account/emails/stop")
@requires(watches.PERMISSION)
def stop_all() -> Response:
    """Stop all of the user's own emails about webhooks."""
    flash(ENDED_ALL.format(webhooks=plural(watches.end_all(actor()), "webhook")), "success")
    return redirect(url_for("account.index"))


@links_blueprint.get(watches.PAGE)
@requires(PUBLIC)
def ask() -> Answer:
    """Ask whether to stop these emails, or say that they have stopped."""
    return _page(watches.read_link(_token()))


@links_blueprint.post(watches.PAGE)
@requires(PUBLIC)
def end() -> Answer:
    """Stop these emails. Email clients send this request by themselves (RFC 8058)."""
    return _page(watches.end_by_link(_token()))


# Email clients have no page of ours with a CSRF token. The link's token allows nothing else.
csrf.exempt(end)


@links_blueprint.errorhandler(DeadLink)
def dead(_refusal: DeadLink) -> Answer:
    """Show the same page for every link that stops nothing."""
    return _page(None), DeadLink.status


def _page(linked: Linked | None) -> str:
    who = masked_email(linked.email) if linked else ""
    return render_template("webhooks/unsubscribe.html", linked=linked, who=who)


def masked_email(email: str) -> str:
    """Return an email address that only its owner recognizes, such as "a…@example.com"."""
    name, _, host = email.rpartition("@")
    return f"{name[:1]}…@{host}"


def _token() -> str:
    return request.args.get("token", "")
