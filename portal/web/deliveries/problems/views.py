"""Dismiss: a problem leaves the list, and what failed stays Failed."""

from datetime import UTC, datetime

from flask import Blueprint, flash, redirect, request
from werkzeug.wrappers import Response

from portal.engine.reasons import Reason
from portal.services.core.refusals import NotAllowed, NotFound, Refusal
from portal.services.deliveries.problems import dismissal
from portal.web.deliveries.forms import UNTRIED
from portal.web.forms.query_values import UnreadableAddress, uuid_or_none
from portal.web.frame.access import actor, local_path, requires
from portal.web.frame.wording import counted

blueprint = Blueprint("problems", __name__, url_prefix="/deliveries/problems")


@blueprint.post("/dismiss")
@requires(dismissal.PERMISSION)
def dismiss() -> Response:
    """Dismiss what failed at one webhook for one reason, as far as the person saw it."""
    webhook, reason = uuid_or_none(request.form.get("webhook")), request.form.get("reason")
    seen = _time(request.form.get("seen", ""))
    if webhook is None or seen is None or reason not in {UNTRIED, *map(str, Reason)}:
        raise UnreadableAddress
    try:
        count = dismissal.dismiss(
            actor(), webhook, None if reason == UNTRIED else Reason(reason), seen
        )
        flash(_words(count), "success")
    except (NotFound, NotAllowed):
        raise
    except Refusal as refusal:
        flash(refusal.sentence, "info")
    return redirect(local_path(request.form.get("back")))


def _words(count: int) -> str:
    if count == 1:
        return "Dismissed. 1 delivery stays Failed, and is no longer listed as a problem."
    stay = f"{counted(count)} deliveries stay Failed, and are no longer listed as a problem"
    return f"Dismissed. {stay}."


def _time(text: str) -> datetime | None:
    """The time that our own form carries; None where it was typed over."""
    try:
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC) if at.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
