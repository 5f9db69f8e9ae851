"""Begin and end one's own emails about a webhook, on its page and by the link in each email."""

from typing import Final
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from portal.extensions import csrf
from portal.services.webhooks import watches
from portal.services.webhooks.watches import DeadLink
from portal.web.frame.access import PUBLIC, actor, local_path, requires
from portal.web.webhooks.views import WEBHOOK, Answer

STARTED: Final = "We’ll email you when “{name}” fails."
ENDED: Final = "You’ll no longer get emails about “{name}”."

blueprint = Blueprint("webhook_emails", __name__, url_prefix="/settings/webhooks")
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


@links_blueprint.get(watches.PAGE)
@requires(PUBLIC)
def ask() -> Answer:
    """Ask whether to end these emails."""
    return _page(asked=watches.read_link(_token()).name)


@links_blueprint.post(watches.PAGE)
@requires(PUBLIC)
def end() -> Answer:
    """End these emails. Mail programs send this by themselves (RFC 8058)."""
    return _page(ended=watches.end_by_link(_token()))


# Mail programs have no page of ours, and the token is worth nothing but this.
csrf.exempt(end)


@links_blueprint.errorhandler(DeadLink)
def dead(_refusal: DeadLink) -> Answer:
    """Say the same of every link that ends nothing."""
    return _page(), DeadLink.status


def _page(*, asked: str = "", ended: str = "") -> str:
    return render_template("webhooks/unsubscribe.html", asked=asked, ended=ended)


def _token() -> str:
    return request.args.get("token", "")
