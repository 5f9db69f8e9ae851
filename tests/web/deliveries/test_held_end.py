"""An on-hold delivery is dismissed at the expiry that its pages show."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from flask import Flask

from portal.lib.clock import frozen
from portal.models.deliveries import Delivery
from portal.services.core.unit_of_work import session
from portal.services.operations import retention
from portal.services.outbox import at_rest
from tests.support.deliveries import make_delivery
from tests.support.factories import make_webhook
from tests.web.signed_in import visit

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def status_of_one() -> str:
    session().rollback()
    return session().query(Delivery).one().status


@pytest.mark.parametrize(
    ("created", "off_since"),
    [
        pytest.param(NOW - 2 * DAY, NOW - 5 * DAY, id="happened while it was off"),
        pytest.param(NOW - 9 * DAY, NOW - 2 * DAY, id="was being tried before that"),
        pytest.param(NOW - 2 * DAY, None, id="kept when it was turned on"),
    ],
)
def test_an_on_hold_delivery_is_dismissed_at_its_expiry_not_before(
    app: Flask, created: datetime, off_since: datetime | None
) -> None:
    state = {"state": "off", "off_at": off_since} if off_since else {}
    make_delivery(make_webhook(**state), status="on_hold", created_at=created)
    end = at_rest.held_until(created, off_since)
    assert end == NOW + 28 * DAY
    with frozen(end - timedelta(minutes=1)):
        retention.prune()
    assert status_of_one() == "on_hold"
    with frozen(end + timedelta(minutes=1)):
        retention.prune()
    assert status_of_one() == "dismissed"


@pytest.mark.parametrize("reason", ["person", "failing", "gone"])
def test_every_page_shows_when_an_on_hold_delivery_expires(app: Flask, reason: str) -> None:
    with time_machine.travel(NOW, tick=False):
        off = {"state": "off", "off_reason": reason, "off_at": NOW - 2 * DAY}
        hook = make_webhook(name="Payroll", **off)
        delivery = make_delivery(hook, status="on_hold", created_at=NOW - 5 * DAY)
        pages, page_of = visit(app), f"/settings/webhooks/{hook.public_id}"
        main = pages.get(f"/deliveries/{delivery}").main
        assert "On hold because “Payroll” is off It waits until" in main
        assert "and sends it. Expires Dec 24." in main
        assert "Expires Dec 24" in pages.get("/deliveries").rows()[0][5]
        page = pages.get(page_of)
        assert "It expires on Dec 24." in page.main
        assert "Expires Dec 24" in " ".join(pages.get(f"{page_of}/held").rows()[0])
        assert "It expires on Dec 24." in pages.get(f"{page_of}/on").main


def test_the_oldest_expiry_of_several_is_named(app: Flask) -> None:
    with time_machine.travel(NOW, tick=False):
        hook = make_webhook(state="off", off_at=NOW - 40 * DAY)
        for days in (3, 2, 1):
            make_delivery(hook, status="on_hold", created_at=NOW - days * DAY)
        page = visit(app).get(f"/settings/webhooks/{hook.public_id}")
        words = "Each expires after 30 days, the oldest on Dec 23."
        assert words in page.main


def test_a_held_delivery_of_an_active_webhook_does_not_say_it_is_off(app: Flask) -> None:
    with time_machine.travel(NOW, tick=False):
        hook = make_webhook(name="Payroll")
        delivery = make_delivery(hook, status="on_hold", created_at=NOW - 2 * DAY)
        main = visit(app).get(f"/deliveries/{delivery}").main
        assert "Still on hold, although “Payroll” is on Someone needs to send it from" in main
        assert "Expires Dec 24" in main
        assert "is off" not in main
