"""A bulk retry's page, count, and report of undelivered deliveries leave out later arrivals."""

import csv
import io

import pytest

from portal.models.deliveries import Priority
from portal.services.deliveries import bulk_retry_report
from tests.services.bulk_retry.test_bulk_retry import finish, some, work
from tests.support.deliveries import change, make_attempt, make_delivery, stored
from tests.support.factories import make_webhook
from tests.support.pages import Page, Pages
from tests.web.bulk_retry.test_bulk_retry_pages import confirm


def caption(page: Page) -> str:
    return " ".join(node.text for node in page.root.find_all("caption"))


def report(pages: Pages, path: str) -> list[tuple[str, str]]:
    """Return each line's outcome and reason."""
    text = pages.client.get(f"{path}/report.csv", buffered=True).text
    lines = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    return [(line["outcome"], line["reason"]) for line in lines]


def test_deliveries_that_arrived_since_are_no_longer_listed(support: Pages) -> None:
    made = some(4, make_webhook(), reason="server", code=500)
    path = confirm(support, "all=1").path
    work()
    finish(made[0], "delivered")
    for delivery in made[1:]:
        finish(delivery, "failed")
    work()
    page = support.get(path)
    assert caption(page) == "Not delivered (3)"
    assert "since arrived" not in page.main
    make_attempt(made[1], kind="manual", outcome="delivered", code=200)
    change(made[1], status="delivered", reason=None, code=200)
    make_attempt(made[2], outcome="failed", reason="dns")
    page = support.get(path)
    assert caption(page) == "Not delivered (2)"
    assert [row[2] for row in page.rows()] == ["Attempt failed", "Attempt failed"]
    assert "3 failed" in page.main
    assert "1 failed or skipped delivery has since arrived." in page.main
    failed = ("Attempt failed", "Server error (500)")
    assert report(support, path) == [("Delivered", ""), ("Delivered since", ""), failed, failed]


def test_a_delivery_skipped_as_delivered_is_not_listed(support: Pages) -> None:
    *first, last = some(11, make_webhook())
    path = confirm(support, "all=1").path
    work()  # hands over ten
    change(last, status="delivered")
    for delivery in first:
        finish(delivery, "delivered")
    work()
    page = support.get(path)
    assert "10 delivered, 1 skipped" in page.main
    assert page.rows() == []
    assert [outcome for outcome, _ in report(support, path)][-2:] == [
        "Delivered",
        "Delivered since",
    ]


def test_a_failed_resend_is_still_listed(support: Pages) -> None:
    made = make_delivery(status="delivered")
    make_attempt(made, outcome="delivered", code=200)
    path = confirm(support, f"delivery={made}", again="y").path
    work()
    assert stored(made)["priority"] == Priority.BULK
    finish(made, "failed")
    work()
    assert caption(support.get(path)) == "Not delivered (1)"


def test_a_capped_list_shows_the_total(support: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_retry_report, "MOST_SHOWN", 2)
    made = some(3, make_webhook())
    path = confirm(support, "all=1").path
    work()
    for delivery in made:
        finish(delivery, "failed")
    work()
    page = support.get(path)
    assert (caption(page), len(page.rows())) == ("Not delivered (3)", 2)


def test_the_reason_shown_is_that_of_this_bulk_retry(support: Pages) -> None:
    made = some(2, make_webhook(), reason="server", code=500)
    make_attempt(made[0], kind="manual", reason="server", code=500)
    path = confirm(support, "all=1").path
    work()
    make_attempt(made[0], reason="server", code=500)  # an automatic one, whose result comes late
    for delivery in made:
        make_attempt(delivery, kind="manual", outcome="failed", reason="read_timeout")
        change(delivery, status="failed", priority=Priority.NORMAL, prior_status=None)
    work()
    make_attempt(made[0], kind="manual", outcome="failed", reason="bad_request", code=422)
    change(made[0], reason="bad_request", code=422)
    words = "Timeout: no response"
    assert [row[3] for row in support.get(path).rows()] == [words, words]
    assert report(support, path) == [("Attempt failed", words)] * 2


def test_two_bulk_retries_of_the_same_deliveries_show_own_outcomes(support: Pages) -> None:
    made = some(2, make_webhook(), reason="server", code=500)
    paths = []
    for first_ends in ("failed", "delivered"):
        paths.append(confirm(support, "all=1").path)
        work()
        for delivery, end in zip(made, (first_ends, "failed"), strict=True):
            finish(delivery, end)
        work()
    assert paths[0] != paths[1]
    assert [caption(support.get(path)) for path in paths] == ["Not delivered (1)"] * 2
    ends = [[outcome for outcome, _ in report(support, path)] for path in paths]
    assert ends == [["Delivered since", "Attempt failed"], ["Delivered", "Attempt failed"]]
    assert "2 failed" in support.get(paths[0]).main
    assert "1 delivered, 1 failed" in support.get(paths[1]).main
