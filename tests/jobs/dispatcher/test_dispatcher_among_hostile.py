"""One dispatcher among hostile receivers: each ends with its own reason, and healthy ones do not
wait."""

import time

import pytest
from sqlalchemy import select

from jobs.deliver import deliver_due
from portal.extensions import db
from portal.models.deliveries import Attempt, AttemptBody, Delivery
from portal.models.webhooks import Webhook
from tests.engine.http.real_receivers.hostile import (
    OK_HEAD,
    HostileServer,
    answering,
    dripping,
    pouring,
    silent,
)
from tests.support.factories import make_webhook, publish
from tests.support.receiver import Receiver

DEADLINE = 2  # seconds, as the tests' settings say

pytestmark = pytest.mark.usefixtures("app")


drips_headers = dripping(OK_HEAD, b"X-Drop: y\r\n")
ten_megabytes = pouring(OK_HEAD + b"Content-Length: 10485760\r\n\r\n", b"x" * 65536, 160)


def ends() -> dict[str, tuple[str, str | None, int | None]]:
    """(status, reason, code) of the only delivery of each webhook, by its name."""
    db.session.rollback()
    rows = select(Webhook.name, Delivery.status, Delivery.reason, Delivery.code).join(
        Delivery, Delivery.webhook_id == Webhook.id
    )
    return {name: (status, reason, code) for name, status, reason, code in db.session.execute(rows)}


def test_each_ends_with_its_reason_within_the_deadline(receiver: Receiver) -> None:
    receiver.answer(status=302, headers=[("Location", "http://127.0.0.1:9/elsewhere")])
    with (
        HostileServer(drips_headers) as drips,
        HostileServer(silent) as quiet,
        HostileServer(ten_megabytes) as flood,
    ):
        make_webhook(drips.url, name="drips")
        make_webhook(quiet.url, name="quiet")
        make_webhook(flood.url, name="flood")
        make_webhook(receiver.url, name="redirects")
        make_webhook("http://[::1]:9/", name="private")  # loopback, but not in the allowed network
        publish()
        began = time.monotonic()
        deliver_due()
        assert time.monotonic() - began < DEADLINE + 8  # on a machine that may be busy
    assert ends() == {
        "drips": ("retrying", "read_timeout", None),
        "quiet": ("retrying", "read_timeout", None),
        "flood": ("delivered", None, 200),
        "redirects": ("retrying", "redirect", 302),
        "private": ("failed", "blocked", None),
    }
    truncated = select(AttemptBody.is_truncated).join(Attempt).where(Attempt.code == 200)
    assert db.session.execute(truncated).scalar_one() is True
    location = select(AttemptBody.location).join(Attempt).where(Attempt.code == 302)
    assert db.session.execute(location).scalar_one() == "http://127.0.0.1:9/elsewhere"


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


def test_what_no_database_takes_is_written_down_all_the_same() -> None:
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


def test_an_address_that_cannot_be_written_down_holds_up_nobody(receiver: Receiver) -> None:
    make_webhook("http://[v1.é:]/", name="odd")
    make_webhook(receiver.url, name="healthy")
    publish()
    deliver_due()
    assert ends() == {"odd": ("retrying", "dns", None), "healthy": ("delivered", None, 200)}
