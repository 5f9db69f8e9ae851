"""Serve the built-in inbox at `/inbox`, which receives messages and checks signatures."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

from flask import Blueprint, Response, flash, jsonify, redirect, render_template, request, url_for
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Response as Answer

from portal.engine.events.catalogue import EventName
from portal.extensions import csrf
from portal.lib.typed_text import storable
from portal.models.webhooks import Verdict
from portal.services.core.permissions import CONTENT
from portal.services.core.unit_of_work import once_only
from portal.services.outbox.claimable import SendingStopped
from portal.services.webhooks import inbox as webhook_inbox
from portal.services.webhooks.inbox import KEPT, LARGEST, Inbox, InboxItem
from portal.services.webhooks.rows import public_id_of
from portal.services.webhooks.sample_deliveries import TestUnderWay, send_test
from portal.web.deliveries.request import pretty
from portal.web.deliveries.wording import event_name
from portal.web.forms.base import PortalForm
from portal.web.frame.access import PUBLIC, actor, owner, requires
from portal.web.frame.status_tags import SIGNATURE, Tag
from portal.web.frame.wording import number, plural
from portal.web.webhooks.views import new_once

JUDGED: Final = {
    Verdict.GOOD: "Verified. It matches this webhook’s secret key and this exact body",
    Verdict.WRONG: "Doesn’t match. A receiver should reject this delivery",
    Verdict.MISSING: "Not signed. Anyone could have sent this",
}
MOST_SHOWN: Final = 16_000  # characters, ten times as long as our messages
EVENTS: Final = frozenset(EventName)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """One message. `delivery` is set only if the message is certainly ours."""

    id: int
    title: str
    about: str
    received_at: datetime
    tag: Tag
    is_test: bool
    is_repeat: bool
    signatures: list[tuple[str, str]]
    headers: Sequence[tuple[str, str]]
    body: str
    size: str
    delivery: UUID | None


@dataclass(frozen=True, slots=True)
class InboxPage:
    """The inbox with its messages, the newest first."""

    inbox: Inbox
    sentence: str
    messages: list[Arrived]


def page_of(inbox: Inbox, messages: Sequence[InboxItem]) -> InboxPage:
    ids = Counter(message.header("X-Asset-Webhook-Id") for message in messages)
    shown = []
    for message in messages:
        message_id = message.header("X-Asset-Webhook-Id")
        ids[message_id] -= 1  # the rest came before this one
        shown.append(_arrived(message, is_repeat=bool(message_id) and ids[message_id] > 0))
    return InboxPage(inbox, _sentence(inbox), shown)


def _sentence(inbox: Inbox) -> str:
    if not inbox.count:
        return "No deliveries yet." if inbox.is_active else "The inbox is off. Only tests arrive."
    many = plural(inbox.count, "delivery", "deliveries")
    if inbox.count >= KEPT:
        return f"The newest {many}. We don’t keep older ones."
    return f"{many} in the last 24 hours."


def _arrived(message: InboxItem, *, is_repeat: bool) -> Arrived:
    read = _read(message.body)
    event = message.header("X-Asset-Webhook-Event")
    return Arrived(
        id=message.id,
        title=event_name(event) if event in EVENTS else "Unknown event",
        about=_about(read),
        received_at=message.received_at,
        tag=SIGNATURE[message.legacy],
        is_test=_part(_part(read, "data"), "test") is True,
        is_repeat=is_repeat,
        signatures=[
            ("X-Asset-Webhook-Signature", JUDGED[message.legacy]),
            ("webhook-signature (Standard Webhooks)", JUDGED[message.standard]),
        ],
        headers=message.headers,
        body=pretty(message.body)[:MOST_SHOWN],
        size=f"{number(len(message.body))} bytes",
        delivery=_delivery(message),
    )


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _part(read: Any, name: str) -> Any:
    return read.get(name) if isinstance(read, dict) else None


def _about(read: Any) -> str:
    """Return the tag and name of the asset."""
    asset = _part(read, "asset")
    words = [_part(asset, "asset_tag"), _part(asset, "name")]
    return storable(" ".join(word for word in words if isinstance(word, str)))[:200]


def _delivery(message: InboxItem) -> UUID | None:
    if message.legacy is not Verdict.GOOD:
        return None
    try:
        return UUID(message.header("X-Asset-Webhook-Id"))
    except ValueError:
        return None


NOBODY: Final = "There’s no inbox at this URL.\n"
TOO_LARGE: Final = "The inbox accepts at most 64 KB.\n"

blueprint = Blueprint("inbox", __name__, url_prefix="/inbox")


@blueprint.get("")
@requires(CONTENT)
def index() -> str:
    """Show the messages received, and keep adding new ones."""
    return render_template("webhooks/inbox/index.html", page=_page(), new_once=new_once)


@blueprint.get("/live")
@requires(CONTENT)
def live() -> Response:
    """Return the part of the page that changes."""
    page = _page()
    if page is None:
        return jsonify(stop=True)
    html = render_template("webhooks/inbox/_live.html", page=page)
    return jsonify(html=html, stop=False, announce=page.sentence)


@blueprint.post("")
@requires("webhooks.edit")
def start() -> Answer:
    """Create the inbox, or open the existing one."""
    once = PortalForm().once_value
    path = once_only(
        owner(), once, lambda: webhook_inbox.open_inbox(actor()), lambda _made: _path()
    )
    return redirect(path)


@blueprint.post("/test")
@requires("webhooks.test")
def test() -> Answer:
    """Send a test to the inbox."""
    inbox = webhook_inbox.find_inbox()
    if inbox is not None:
        send = partial(send_test, actor(), inbox.public_id)
        try:
            once_only(owner(), PortalForm().once_value, send, lambda _test: _path())
        except (TestUnderWay, SendingStopped) as refusal:
            flash(refusal.sentence, "warning")
    return redirect(_path())


@blueprint.post("/<token>")
@requires(PUBLIC)
def receive(token: str) -> Response:
    """Receive a message and respond in plain text."""
    if public_id_of(token) is None:
        return _plain(NOBODY, 404)  # before reading the body
    # One byte too many, because chunked bodies are cut off at this limit without an error.
    request.max_content_length = LARGEST + 1
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        return _plain(TOO_LARGE, 413)
    if len(body) > LARGEST:
        return _plain(TOO_LARGE, 413)
    if not webhook_inbox.receive(token, list(request.headers), body):
        return _plain(NOBODY, 404)
    return _plain("The built-in inbox received this delivery.\n", 200)


# Senders of messages have no page of ours, and so no CSRF token.
csrf.exempt(receive)


def _page() -> InboxPage | None:
    inbox = webhook_inbox.find_inbox()
    return page_of(inbox, webhook_inbox.messages(inbox.public_id)) if inbox else None


def _path() -> str:
    return url_for("inbox.index")


def _plain(text: str, status: int) -> Response:
    return Response(text, status, mimetype="text/plain")
