"""The banner on every page while a webhook is in trouble; a person may hide it until the next one.

What is hidden lies in the session: reading a page writes nothing, and signing in shows all anew.
"""

from typing import Final

from flask import Blueprint, g, redirect, request, session
from flask.blueprints import BlueprintSetupState
from flask_login import current_user
from werkzeug.wrappers import Response

from portal.engine.circuit_breaker import PATIENCE_IN_WORDS
from portal.models.people import Role
from portal.services.outbox.connectivity import find_offline
from portal.services.outbox.due import SendingStop, find_stop
from portal.services.webhooks.queries import WebhookTrouble, troubles
from portal.web.frame.access import can, local_path, requires

HIDDEN: Final = "hidden_troubles"
# A cookie holds about 4,000 characters; whoever hides more sees the earliest again.
MOST_HIDDEN: Final = 20

blueprint = Blueprint("banners", __name__, url_prefix="/banners")


@blueprint.post("/hide")
@requires("home.read")
def hide() -> Response:
    """Hide the troubles that this person has seen, until they change or the session ends."""
    standing = {trouble.mark for trouble in _known()}
    seen = [*session.get(HIDDEN, []), *request.form.get("marks", "").split()]
    session[HIDDEN] = [mark for mark in dict.fromkeys(seen) if mark in standing][-MOST_HIDDEN:]
    return redirect(local_path(request.form.get("back")))


@blueprint.record_once
def _give_words(state: BlueprintSetupState) -> None:
    """Give templates what the frame of all pages calls."""
    state.app.jinja_env.globals["troubles"] = shown
    state.app.jinja_env.globals["patience"] = PATIENCE_IN_WORDS
    state.app.jinja_env.globals["sending_stop"] = sending_stop
    state.app.jinja_env.globals["may_send"] = may_send
    state.app.jinja_env.globals["offline_senders"] = find_offline


def sending_stop() -> SendingStop | None:
    """Return the stop of all sending, asked once a page."""
    if "sending_stop" not in g:
        g.sending_stop = find_stop()
    stop: SendingStop | None = g.sending_stop
    return stop


def may_send(permission: str) -> bool:
    """Tell whether the reader has a permission to send, and sending is not stopped."""
    return can(permission) and not sending_stop()


def shown() -> list[WebhookTrouble]:
    """Return what needs attention: all of it, as the list of webhooks counts it; nothing on a page
    where all that is urgent was hidden, or is the webhook that is open."""
    hidden, open_one = session.get(HIDDEN, []), (request.view_args or {}).get("public_id")
    known = _known()
    is_new = (
        trouble.is_urgent and trouble.mark not in hidden and trouble.webhook != open_one
        for trouble in known
    )
    return known if any(is_new) else []


def _known() -> list[WebhookTrouble]:
    sees_all = current_user.role == Role.ADMIN
    return troubles(None if sees_all else current_user.user_id)
