"""When a message goes next, as the log and its own page say it while something keeps it back."""

import csv
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from portal.lib.clock import utcnow
from portal.models.deliveries import Priority
from tests.deliveries import make_delivery
from tests.factories import Hook, make_webhook
from tests.pages import Page, Pages
from tests.web.visitors import visit

LATER = timedelta(minutes=4, seconds=30)
RETRY = {"prior_status": "failed", "requested_by": "Ana"}


@pytest.fixture
def support(app: Flask) -> Pages:
    """Support staff, signed in."""
    return visit(app, "support")


def in_trouble(**columns: Any) -> Hook:
    """A webhook whose receiver is left alone for more than four minutes."""
    return make_webhook(throttled=True, pause=300, not_before=utcnow() + LATER, **columns)


def next_try(page: Page) -> str:
    """What the one line of the log says about it."""
    (cell,) = [each for each in page.root.find_all("td") if each.get("data-label") == "Next try"]
    return " ".join(cell.text.split())


@pytest.mark.parametrize("status", ["waiting", "retrying"])
def test_the_log_does_not_promise_now_while_a_receiver_is_left_alone(
    support: Pages, status: str
) -> None:
    made = make_delivery(in_trouble(), status=status, due_at=utcnow() - timedelta(minutes=2))
    assert next_try(support.get("/deliveries")) == "in 4 minutes"
    assert "Next try: in 4 minutes." in support.get(f"/deliveries/{made}").main
    answer = support.get("/deliveries/export.csv").response
    (line,) = csv.DictReader(answer.get_data(as_text=True).removeprefix("\ufeff").splitlines())
    assert line["next_try_at"] > line["stored_at"]


@pytest.mark.parametrize(
    "priority", [Priority.TEST, Priority.INTERACTIVE], ids=["a test", "a Retry"]
)
def test_what_a_person_asked_for_goes_now_all_the_same(support: Pages, priority: Priority) -> None:
    columns = RETRY if priority is Priority.INTERACTIVE else {}
    make_delivery(in_trouble(), priority=priority, **columns)
    assert next_try(support.get("/deliveries")) == "now"


def test_a_bulk_retry_waits_for_the_receiver_and_says_who_asked(support: Pages) -> None:
    made = make_delivery(in_trouble(), priority=Priority.BULK, **RETRY)
    assert next_try(support.get("/deliveries")) == "in 4 minutes"
    page = support.get(f"/deliveries/{made}")
    assert "Ana pressed Retry. The receiver is in trouble, so we leave it alone." in page.main
    assert "about to be sent" not in page.main


def test_what_is_left_alone_leads_to_the_cause_and_to_a_test(app: Flask, support: Pages) -> None:
    hook = in_trouble(name="Sync to ERP")
    made = make_delivery(hook)
    page = support.get(f"/deliveries/{made}")
    assert page.links("See what is wrong with Sync to ERP") == [
        f"/settings/webhooks/{hook.public_id}"
    ]
    assert "when the test arrives, all that waits goes at once" in page.main
    assert "press Test webhook" not in visit(app, "manager").get(f"/deliveries/{made}").main


def test_what_waits_for_older_ones_goes_in_its_turn(support: Pages) -> None:
    make_delivery(make_webhook(in_order=True))
    assert next_try(support.get("/deliveries")) == "in its turn"


def test_a_retry_that_is_due_is_not_told_as_past(support: Pages) -> None:
    make_delivery(status="retrying", due_at=utcnow() - timedelta(minutes=2))
    assert next_try(support.get("/deliveries")) == "now"
