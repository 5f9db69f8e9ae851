"""Help: what a webhook is, in words for people who have never made one."""

from flask import Blueprint, render_template

from portal.web.access import requires

blueprint = Blueprint("help", __name__, url_prefix="/help")


@blueprint.get("/webhooks")
@requires("webhooks.read")
def webhooks() -> str:
    """What a webhook is, and what we promise."""
    return render_template("help/webhooks.html")
