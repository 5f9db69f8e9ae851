"""Among hostile receivers, each delivery ends with its own reason, and healthy ones don't wait."""

import pytest
from sqlalchemy import select

from jobs.deliver import deliver_due
from portal.extensions import db
from portal.models.deliveries import Attempt, AttemptBody, Delivery
from portal.models.webhooks import Webhook
from tests.engine.http.real_receivers.hostile import (
    HostileServer,
    answering,
    silent,
)
from tests.support.factories import make_webhook, publish
from tests.support.receiver import Receiver

pytestmark = pytest.mark.usefixtures("app")


def ends() -> dict[str, tuple[str, str | None, int | None]]:
    """Return (status, reason, code) of each webhook's only delivery by webhook name."""
    db.session.rollback()
    rows = select(Webhook.name, Delivery.status, Delivery.reason, Delivery.code).join(
        Delivery, Delivery.webhook_id == Webhook.id
    )
    return {name: (status, reason, code) for name, status, reason, code in db.session.execute(rows)}


def test_healthy_deliveries_do_not_wait_for_hanging_ones(receiver: Receiver) -> None:
    with HostileServer(silent) as quiet:
        for _ in range(20):
            make_webhook(quiet.url)
        make_webhook(receiver.url, name="healthy")
        publish()
        deliver_due()
    ended = select(Webhook.name, Attempt.finished_at).join_from(Attempt, Delivery).join(Webhook)
    first = db.session.execute(ended.order_by(Attempt.finished_at).limit(1)).one()
    assert first.name == "healthy"


def test_responses_with_bytes_that_databases_refuse_are_recorded() -> None:
    nasty = b"\0<script>alert(1)</script>\xff\xfe\xed\xa0\x80"
    head = b"HTTP/1.1 302 \xff\x01\r\nLocation: /\xed\xa0\x80<b>\r\nX-Odd: \xff\x01\r\n"
    with HostileServer(answering(head + b"Content-Length: %d\r\n\r\n" % len(nasty), nasty)) as odd:
        make_webhook(odd.url, name="odd")
        publish()
        deliver_due()
    assert ends() == {"odd": ("retrying", "redirect", 302)}
    kept = db.session.execute(select(AttemptBody)).scalar_one()
    assert "<script>alert(1)</script>" in kept.response_text
    assert "\0" not in kept.response_text
    assert ["X-Odd", "\xff\x01"] in kept.response_headers
