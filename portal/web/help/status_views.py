"""The help page that explains every status and every reason, from the tables that pages use."""

from typing import Final

from flask import Blueprint, render_template

from portal.engine.reasons import Explanation, ReasonGroup, explain, reasons_in
from portal.services.outbox.status import ShownStatus
from portal.web.frame.access import requires
from portal.web.frame.status_tags import delivery_tag

blueprint = Blueprint("help_status", __name__, url_prefix="/help")

MEANINGS: Final = {
    ShownStatus.WAITING: (
        "It is stored and about to be sent. Normally this takes less than a second.",
        "Nothing. If it stays like this, the sending service may be stopped or busy.",
    ),
    ShownStatus.PAUSED: (
        "It is kept, and not attempted for now: its receiver isn't responding, or its webhook gets "
        "one at a time and an older delivery goes first.",
        "Look at its webhook. Once the receiver responds again, a test or a Retry that arrives "
        "lets everything go.",
    ),
    ShownStatus.SENDING: (
        "It is on its way to the receiver at this moment.",
        "Nothing. The result comes within seconds.",
    ),
    ShownStatus.DELIVERED: (
        "The receiver answered that it has the delivery.",
        "Nothing. Send again only if the receiver lost it; it may act twice.",
    ),
    ShownStatus.RETRYING: (
        "It did not arrive, and is retried automatically, up to 10 times over about three days.",
        "Look at the reason. Retry sends it at once and does not use up an automatic attempt.",
    ),
    ShownStatus.FAILED: (
        "It did not arrive, and is not retried automatically any more.",
        "Fix what the reason names, then Retry.",
    ),
    ShownStatus.STOPPED: (
        "A person stopped it, or its webhook was deleted.",
        "Nothing, or Retry if it should go out after all.",
    ),
    ShownStatus.HELD: (
        "Its webhook is off. It is kept.",
        "Ask an administrator to turn the webhook on and to choose whether to send it.",
    ),
}


@blueprint.get("/delivery-status")
@requires("deliveries.read")
def delivery_status() -> str:
    """Every status, then every reason by group, each with what to do."""
    return render_template(
        "help/delivery_status.html",
        statuses=[(delivery_tag(status), *words) for status, words in MEANINGS.items()],
        groups=[(group, list(_explained(group).values())) for group in ReasonGroup],
    )


def _explained(group: ReasonGroup) -> dict[str, Explanation]:
    """By what happened: two causes with the same words are one line."""
    found = [explain(reason, host="") for reason in reasons_in(group)]
    return {each.what_happened: each for each in found}
