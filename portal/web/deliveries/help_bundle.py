"""Write one delivery's diagnostics, without secrets, for the receiver's developer."""

import hashlib
from collections.abc import Iterator
from typing import Final

from portal.engine.events.body import wire_time
from portal.engine.http.address_mask import MASK
from portal.lib.clock import utcnow
from portal.lib.typed_text import harmless
from portal.web.deliveries.presenter import DeliveryPage
from portal.web.deliveries.request import MOST_SHOWN
from portal.web.deliveries.wording import outlook_of
from portal.web.frame.wording import plural

# Response headers that would grant access to the receiver.
HIDDEN_ANSWERS: Final = frozenset({"set-cookie", "set-cookie2", "authorization"})
LEFT_OUT: Final = (
    "This file leaves out the secret key, signatures, custom header values, cookies, and the\n"
    "URL’s secret parts. It includes the body, so treat it as confidential."
)
HOW_TO_CHECK: Final = (
    "X-Asset-Webhook-Signature is the raw body’s HMAC-SHA256 in lowercase hex. The key is the\n"
    "secret key’s text.\n"
    "webhook-signature follows Standard Webhooks 1.0 (v1 and base64, over id.timestamp.body).\n"
    "The body we sent has {size} bytes. Its SHA-256 is\n"
    "{digest}."
)
ABOUT_REPEATS: Final = (
    "X-Asset-Webhook-Id is the same for every attempt, so receivers can ignore duplicates."
)


def bundle_of(page: DeliveryPage) -> str:
    """Return the text of the whole file."""
    body = page.delivery.body
    how = HOW_TO_CHECK.format(size=len(body), digest=hashlib.sha256(body).hexdigest())
    parts = [
        ("Diagnostics for one delivery", [f"Made {wire_time(utcnow())}.", LEFT_OUT]),
        ("Delivery", list(_delivery(page))),
        ("Attempts", list(_attempts(page)) or ["None yet."]),
        ("Request", list(_request(page))),
        ("Response", list(_response(page))),
        ("How to check the signature", [how, ABOUT_REPEATS]),
    ]
    texts = ("\n".join([heading, "=" * len(heading), *lines]) for heading, lines in parts)
    return "\n\n".join(texts) + "\n"


def _delivery(page: DeliveryPage) -> Iterator[str]:
    """Yield the delivery's facts. Times are exact, because a file is read later."""
    delivery, outlook = page.delivery, outlook_of(page.delivery, wire_time)
    yield f"ID: {delivery.public_id}"
    yield f"Webhook: {delivery.webhook_name}"
    yield f"Event: {delivery.event}"
    yield f"Asset: {delivery.asset_tag or 'none'}"
    yield f"Happened: {wire_time(delivery.occurred_at)}"
    yield f"Stored: {wire_time(delivery.created_at)}"
    yield f"Status: {page.tag.word}"
    if page.explanation:
        yield page.explanation.what_happened
        yield f"Cause: {page.explanation.side.label}"
    if page.earlier:
        yield f"Earlier attempts: {page.earlier.words}, {plural(page.earlier.count, 'time')}"
    yield from filter(None, (page.repeat_warning, outlook.why, outlook.then))
    yield f"Next attempt: {outlook.when}"


def _attempts(page: DeliveryPage) -> Iterator[str]:
    for row in reversed(page.attempts):
        at = row.attempt.started_at.isoformat(timespec="milliseconds")
        took = f" in {row.took}" if row.took else ""
        yield f"{row.attempt.number}  {at}  {row.who}: {row.result}{took}"
        if row.phases:
            yield f"   {row.phases}"
        if row.attempt.peer:
            yield f"   connected to {row.attempt.peer}"
        if row.other_body:
            yield f"   another body, {len(row.other_body.encode())} bytes:\n{row.other_body}"


def _request(page: DeliveryPage) -> Iterator[str]:
    sent = page.sent
    yield f"POST {sent.url}"
    if sent.url_now:
        yield f"(The webhook’s URL is now {sent.url_now})"
    yield from (f"{name}: {value}" for name, value in sent.headers)
    how = "as we’d send it now" if sent.is_now else "as sent"
    yield f"\nBody, {sent.size} bytes, {how}:"
    yield page.delivery.body.decode(errors="replace")[:MOST_SHOWN]
    yield "\nFormatted body:"
    yield sent.body


def _response(page: DeliveryPage) -> Iterator[str]:
    attempt = page.answered
    if attempt is None:
        yield "No response."
        return
    if page.is_answer_older:
        at = wire_time(attempt.ended_at)
        yield f"The last attempt got none. This is the response to attempt {attempt.number}, {at}."
    yield f"Status code {attempt.code}"
    yield from filter(None, [page.meaning])
    for name, value in attempt.response_headers:
        yield harmless(f"{name}: {MASK if name.lower() in HIDDEN_ANSWERS else value}")
    yield f"\n{page.source}" if page.source else "\nThe response had no text."
    if attempt.is_truncated:
        yield "(We keep only the start of the response.)"
