"""The help bundle: one message for the receiver's developer, as a text file without secrets."""

import hashlib
from collections.abc import Iterator
from typing import Final

from portal.engine.events.body import wire_time
from portal.engine.http.address_mask import MASK
from portal.engine.reasons import title
from portal.engine.retry_policy import AttemptKind
from portal.lib.clock import utcnow
from portal.lib.durations import in_words
from portal.lib.typed_text import harmless
from portal.models.deliveries import DeliveryStatus
from portal.services.deliveries.detail import AttemptDetail
from portal.web.deliveries.presenter import DeliveryPage
from portal.web.deliveries.request import MOST_SHOWN, pretty
from portal.web.deliveries.steps import phases_in_words, who

# Of the answer: what would let somebody in at the receiver.
HIDDEN_ANSWERS: Final = frozenset({"set-cookie", "set-cookie2", "authorization"})
LEFT_OUT: Final = (
    "Left out: the secret key, signatures, values of custom headers, cookies, and what is secret\n"
    "in the address. The body is the content itself; treat it as confidential."
)
HOW_TO_CHECK: Final = (
    "X-Asset-Webhook-Signature is the HMAC-SHA256 of the body, exactly the bytes as they arrive,\n"
    "with the secret key's text as the key, written as lower-case hex.\n"
    "webhook-signature is that of Standard Webhooks 1.0: v1, and base64, over id.timestamp.body.\n"
    "To compare the body that you received with ours: it has {size} bytes, and its SHA-256 is\n"
    "{digest}."
)
ABOUT_REPEATS: Final = (
    "X-Asset-Webhook-Id is the same on every attempt: a receiver that has seen it drops the repeat."
)


def bundle_of(page: DeliveryPage) -> str:
    """Return the whole file."""
    body = page.delivery.body
    how = HOW_TO_CHECK.format(size=len(body), digest=hashlib.sha256(body).hexdigest())
    parts = [
        ("Diagnostics for one delivery", [f"Made {wire_time(utcnow())}.", LEFT_OUT]),
        ("What happened", list(_happened(page))),
        ("The delivery", list(_message(page))),
        ("Attempts", list(_attempts(page)) or ["None yet."]),
        ("What we sent", list(_sent(page))),
        ("What came back", list(_came_back(page))),
        ("How to check the signature", [how, ABOUT_REPEATS]),
    ]
    texts = ("\n".join([heading, "=" * len(heading), *lines]) for heading, lines in parts)
    return "\n\n".join(texts) + "\n"


def _happened(page: DeliveryPage) -> Iterator[str]:
    yield f"Status: {page.tag.word}"
    if page.is_dismissed:
        yield page.sentence
    if page.explanation:
        yield page.explanation.what_happened
        yield f"Where the problem is: {page.explanation.side.label}"
        yield f"{page.again_label}: {_next(page)}"
    if page.earlier:
        yield page.earlier
    if page.repeat_warning:
        yield page.repeat_warning


def _next(page: DeliveryPage) -> str:
    """Return when it is retried: as a time, for a file is read later."""
    delivery = page.delivery
    is_retrying = delivery.status is DeliveryStatus.RETRYING and not delivery.is_manual
    has_time = delivery.is_waiting and bool(is_retrying or delivery.waits_for)
    if has_time and not delivery.waits_behind:
        earliest = "not before " if delivery.may_go_later else ""
        return f"{earliest}{wire_time(delivery.next_try_at)}"
    return page.again


def _message(page: DeliveryPage) -> Iterator[str]:
    delivery = page.delivery
    yield f"Id:       {delivery.public_id}"
    yield f"Webhook:  {delivery.webhook_name}"
    yield f"Event:    {delivery.event}"
    yield f"Asset:    {delivery.asset_tag or 'none'}"
    yield f"Happened: {wire_time(delivery.occurred_at)}"
    yield f"Stored:   {wire_time(delivery.created_at)}"


def _attempts(page: DeliveryPage) -> Iterator[str]:
    for attempt in page.delivery.attempts:
        at = attempt.started_at.isoformat(timespec="milliseconds")
        kind = "automatic" if attempt.kind == AttemptKind.SCHEDULED else who(attempt)
        yield f"{attempt.number}  {at}  {kind}: {_end(attempt)}"
        if phases := phases_in_words(attempt.phases):
            yield f"   {phases}"
        if attempt.peer:
            yield f"   connected to {attempt.peer}"


def _end(attempt: AttemptDetail) -> str:
    if attempt.is_being_sent:
        return "being sent"
    total = attempt.phases.get("total")
    took = f" in {in_words(total / 1000)}" if total else ""
    if attempt.is_delivered:
        return f"answered {attempt.code}{took}"
    return f"{title(attempt.failed_for, attempt.code)}{took}"


def _sent(page: DeliveryPage) -> Iterator[str]:
    sent = page.sent
    yield f"POST {sent.url}"
    if sent.url_now:
        yield f"(The webhook's address is now {sent.url_now})"
    yield from (f"{name}: {value}" for name, value in sent.headers)
    yield f"\nBody, {sent.size} bytes, as sent:"
    body = page.delivery.body.decode(errors="replace")
    yield body[:MOST_SHOWN]
    yield "\nThe same, easier to read:"
    yield pretty(page.delivery.body)


def _came_back(page: DeliveryPage) -> Iterator[str]:
    attempt = page.answered
    if attempt is None:
        yield "No answer."
        return
    if page.answer_note:
        at = wire_time(attempt.ended_at)
        yield f"Nothing to the last attempt. This came back to number {attempt.number}, {at}."
    yield f"Status code {attempt.code}"
    for name, value in attempt.response_headers:
        yield harmless(f"{name}: {MASK if name.lower() in HIDDEN_ANSWERS else value}")
    text = harmless(attempt.response_text)
    yield f"\n{text}" if text else "\nThe answer had no text."
    if attempt.is_truncated:
        yield "(The answer was longer: only its beginning is kept.)"
