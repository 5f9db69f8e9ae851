"""Help for people who have never made a webhook: what it is, and why a message did not come."""

from flask import Blueprint, render_template

from portal.extensions import settings
from portal.web.frame.access import requires

blueprint = Blueprint("help", __name__, url_prefix="/help")


@blueprint.get("/webhooks")
@requires("webhooks.read")
def webhooks() -> str:
    """What a webhook is, what we promise, and the words we use."""
    return render_template("help/webhooks.html", tries=len(settings().webhook_retry_schedule))


@blueprint.get("/no-message")
@requires("deliveries.read")
def no_message() -> str:
    """Why did I not get it? What to look at, in this order."""
    return render_template("help/no_message.html", days=settings().retention_days)
