"""Dismiss problems and bring them back. `/deliveries/problems`."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request
from werkzeug.wrappers import Response

from portal.engine.reasons import Reason, title
from portal.services.deliveries import dismissals
from portal.services.deliveries.dismissals import dismissed
from portal.web.deliveries import problems
from portal.web.deliveries.forms import UNTRIED
from portal.web.forms.base import refusals_flashed
from portal.web.forms.fields import UnreadableAddress, uuid_or_none
from portal.web.frame.access import actor, local_path, requires

blueprint = Blueprint("problems", __name__, url_prefix="/deliveries/problems")


@blueprint.get("/dismissed")
@requires("deliveries.read")
def index() -> str:
    """List what was dismissed, by whom and when; it can be brought back."""
    return render_template(
        "deliveries/dismissed.html", rows=dismissed(), words=title, untried=UNTRIED
    )


@blueprint.post("/dismiss")
@requires(dismissals.PERMISSION)
def dismiss() -> Response:
    """Dismiss what failed at one webhook for one reason, as far as the person saw it."""
    webhook, reason = _problem()
    seen = _time(request.form.get("seen", ""))
    if seen is None:
        raise UnreadableAddress
    return _done(lambda: problems.dismissed(dismissals.dismiss(actor(), webhook, reason, seen)))


@blueprint.post("/dismiss-selected")
@requires(dismissals.PERMISSION)
def dismiss_chosen() -> Response:
    """Dismiss the failed deliveries that are ticked, and come back to their list."""
    ids = _ticked()
    return _done(lambda: problems.chosen_dismissed(dismissals.dismiss_chosen(actor(), ids)))


@blueprint.post("/bring-back")
@requires(dismissals.PERMISSION)
def bring_back() -> Response:
    """List what was dismissed last at one webhook for one reason as a problem again; with
    `chosen_by` what that person has chosen there by itself (blank: nobody was noted)."""
    webhook, reason = _problem()
    chosen_by = request.form.get("chosen_by")
    if chosen_by is None:
        return _done(lambda: problems.brought_back(dismissals.bring_back(actor(), webhook, reason)))
    by = uuid_or_none(chosen_by)
    if chosen_by and by is None:
        raise UnreadableAddress
    verb = partial(dismissals.bring_back_chosen_by, actor(), webhook, reason, by)
    return _done(lambda: problems.brought_back(verb()))


@blueprint.post("/bring-back-selected")
@requires(dismissals.PERMISSION)
def bring_back_chosen() -> Response:
    """List the dismissed deliveries that are ticked as problems again."""
    ids = _ticked()
    return _done(lambda: problems.chosen_brought_back(dismissals.bring_back_chosen(actor(), ids)))


def _ticked() -> list[UUID]:
    """Return those that our own form names."""
    named = request.form.getlist("delivery")
    ids = [public_id for public_id in map(uuid_or_none, named) if public_id]
    if len(ids) != len(named):
        raise UnreadableAddress
    return ids


def _problem() -> tuple[UUID, Reason | None]:
    """Return which problem our own form names."""
    webhook, reason = uuid_or_none(request.form.get("webhook")), request.form.get("reason")
    if webhook is None or reason not in {UNTRIED, *map(str, Reason)}:
        raise UnreadableAddress
    return webhook, None if reason == UNTRIED else Reason(reason)


def _done(verb: Callable[[], str]) -> Response:
    with refusals_flashed():
        flash(verb(), "success")
    return redirect(local_path(request.values.get("back")))


def _time(text: str) -> datetime | None:
    """Return the time that our own form carries; None where it was typed over."""
    try:
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC) if at.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
