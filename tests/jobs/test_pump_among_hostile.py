"""One pump among hostile receivers: each ends with its own reason, and healthy ones do not wait."""

import time

import pytest
from sqlalchemy import select

from jobs.deliver import deliver_due
from portal.extensions import db
from portal.models.deliveries import Attempt, AttemptBody, Delivery
from portal.models.webhooks import Webhook
from tests.factories import make_webhook, publish
from tests.receiver import Receiver
from tests.receivers.hostile import OK_HEAD, HostileServer, dripping, pouring, silent

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
        assert time.monotonic() - began < DEADLINE + 2
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
        began = time.monotonic()
        deliver_due()
        (received,) = receiver.wait_for(1)
    assert received.at - began < DEADLINE / 2
