"""The built-in inbox in words: what arrived, and whether its signatures are good."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from portal.engine.events.names import EventName
from portal.lib.typed_text import storable
from portal.models.inbox import Verdict
from portal.services.webhooks.inbox.messages import Inbox, InboxItem
from portal.web.deliveries.request import pretty
from portal.web.deliveries.rows.row_words import event_name
from portal.web.frame.status_tags import Tag, signature_tag
from portal.web.frame.wording import number, plural

JUDGED: Final = {
    Verdict.GOOD: "Good: made with this webhook's secret key, over exactly these bytes",
    Verdict.WRONG: "Wrong: a receiver should refuse this delivery",
    Verdict.MISSING: "There is none: anybody could have sent this",
}
MOST_SHOWN: Final = 16_000  # characters; ours are a tenth of it
EVENTS: Final = frozenset(EventName)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """One message. `number` counts from the first; `delivery` is known where it is surely ours."""

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
    """What the page shows of the inbox, the youngest message first."""

    inbox: Inbox
    sentence: str
    messages: list[Arrived]


def page_of(inbox: Inbox, messages: Sequence[InboxItem]) -> InboxPage:
    """Put everything into words."""
    ids = Counter(message.header("X-Asset-Webhook-Id") for message in messages)
    shown = []
    for message in messages:
        message_id = message.header("X-Asset-Webhook-Id")
        ids[message_id] -= 1  # what is left came before this one
        shown.append(_arrived(message, is_repeat=bool(message_id) and ids[message_id] > 0))
    return InboxPage(inbox, _sentence(inbox), shown)


def _sentence(inbox: Inbox) -> str:
    if not inbox.count:
        return "Nothing has arrived yet." if inbox.is_active else "It is off: only tests arrive."
    return f"{plural(inbox.count, 'delivery has', 'deliveries have')} arrived in the last 24 hours."


def _arrived(message: InboxItem, *, is_repeat: bool) -> Arrived:
    read = _read(message.body)
    event = message.header("X-Asset-Webhook-Event")
    return Arrived(
        id=message.id,
        title=event_name(event) if event in EVENTS else "Something else",
        about=_about(read),
        received_at=message.received_at,
        tag=signature_tag(message.house),
        is_test=_part(_part(read, "data"), "test") is True,
        is_repeat=is_repeat,
        signatures=[
            ("X-Asset-Webhook-Signature", JUDGED[message.house]),
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
    """Tag and name of the asset that it is about."""
    asset = _part(read, "asset")
    words = [_part(asset, "asset_tag"), _part(asset, "name")]
    return storable(" ".join(word for word in words if isinstance(word, str)))[:200]


def _delivery(message: InboxItem) -> UUID | None:
    if message.house is not Verdict.GOOD:
        return None
    try:
        return UUID(message.header("X-Asset-Webhook-Id"))
    except ValueError:
        return None
