"""The built-in receiver: where messages come in, and the page that shows them."""

from typing import Final
from uuid import UUID

from flask import Blueprint, Response, flash, jsonify, redirect, render_template, request, url_for
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Response as Answer

from portal.extensions import csrf
from portal.services.core.unit_of_work import once_only
from portal.services.outbox.sending_switch import SendingStopped
from portal.services.webhooks.inbox import messages
from portal.services.webhooks.inbox.address import public_id_of
from portal.services.webhooks.inbox.messages import LARGEST, Inbox
from portal.services.webhooks.sample_deliveries import TestUnderWay, send_test
from portal.web.forms.base import PortalForm
from portal.web.frame.access import PUBLIC, actor, owner, requires
from portal.web.webhooks.inbox.presenter import InboxPage, page_of
from portal.web.webhooks.views import new_once

NOBODY: Final = "There is no inbox at this address.\n"
TOO_LARGE: Final = "The inbox takes at most 64 KB.\n"

blueprint = Blueprint("inbox", __name__, url_prefix="/inbox")


@blueprint.get("")
@requires("webhooks.read")
def index() -> str:
    """What arrived, followed while more comes."""
    return render_template("webhooks/inbox/index.html", page=_page(), new_once=new_once)


@blueprint.get("/live")
@requires("webhooks.read")
def live() -> Response:
    """The part of it that changes."""
    page = _page()
    if page is None:
        return jsonify(stop=True)
    html = render_template("webhooks/inbox/_live.html", page=page)
    return jsonify(html=html, stop=False, announce=page.sentence)


@blueprint.post("")
@requires("webhooks.edit")
def start() -> Answer:
    """“Try it without a receiver”: make the inbox, or come back to the one there is."""
    once = PortalForm().once_value
    path = once_only(owner(), once, lambda: messages.open_inbox(actor()), lambda _made: _path())
    return redirect(path)


@blueprint.post("/test")
@requires("webhooks.test")
def test() -> Answer:
    """Send a test to the inbox, and stay to see it arrive."""
    found = messages.find_inbox()
    if found is not None:
        try:
            once_only(owner(), PortalForm().once_value, lambda: _send(found), lambda _made: _path())
        except (TestUnderWay, SendingStopped) as refusal:
            flash(refusal.sentence, "warning")
    return redirect(_path())


@blueprint.post("/<token>")
@requires(PUBLIC)
def receive(token: str) -> Response:
    """Take a message, as any receiver would. Answers in plain text; nobody reads a page here."""
    if public_id_of(token) is None:
        return _plain(NOBODY, 404)  # whoever guesses is not even listened to
    # One more than fits: what comes in chunks is read up to this limit, and then cut in silence.
    request.max_content_length = LARGEST + 1
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        return _plain(TOO_LARGE, 413)
    if len(body) > LARGEST:
        return _plain(TOO_LARGE, 413)
    if not messages.receive(token, list(request.headers), body):
        return _plain(NOBODY, 404)
    return _plain("The built-in inbox has it.\n", 200)


# Whoever sends a message has no page of ours, and no token from one.
csrf.exempt(receive)


def _page() -> InboxPage | None:
    found = messages.find_inbox()
    return page_of(found, messages.messages(found.public_id)) if found else None


def _send(found: Inbox) -> UUID:
    return send_test(actor(), found.public_id)


def _path() -> str:
    return url_for("inbox.index")


def _plain(text: str, status: int) -> Response:
    return Response(text, status, mimetype="text/plain")
