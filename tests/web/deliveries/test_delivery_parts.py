"""In which order a delivery says what, to somebody who has the receiver's owner on the line."""

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from portal.lib.clock import utcnow
from portal.models.deliveries import Delivery
from portal.services.core.unit_of_work import session
from portal.services.deliveries import detail
from portal.web.deliveries.request import MOST_SHOWN, pretty
from tests.support.deliveries import lease, make_attempt, make_delivery
from tests.support.factories import make_user, make_webhook, publish
from tests.support.pages import Page, Pages
from tests.web.signed_in import visit

AT = datetime(2026, 11, 25, 12, 11, 7, tzinfo=UTC)
PARTS = ["Tell the caller", "What came back", "Attempts", "What we sent", "Signature check"]


@pytest.fixture
def support(app: Flask) -> Pages:
    """Support staff, signed in."""
    return visit(app, "support")


def headings(page: Page) -> list[str]:
    return [node.text for node in page.root.find_all("h2")]


def caller_text(page: Page) -> str:
    found = [node for node in page.root.find_all("pre") if node.get("id") == "caller-text"]
    return " ".join(node.text for node in found)


def test_it_says_first_what_the_caller_has_to_know(support: Pages) -> None:
    hook = make_webhook(name="Payroll")
    made = make_delivery(hook, status="failed", tries=10, reason="server", code=500)
    for minutes in (10, 0):
        at = AT - timedelta(minutes=minutes)
        make_attempt(made, reason="server", code=500, started_at=at, finished_at=at)
    page = support.get(f"/deliveries/{made}")
    assert headings(page)[: len(PARTS)] == PARTS
    assert caller_text(page) == (
        "“Payroll” returned a server error. The last attempt was at"
        " Nov 25, 2026, 13:11:07 (Europe/Vienna), that is 12:11:07 UTC."
        " Its attempts have failed since Nov 25, 2026, 13:01:07 (Europe/Vienna)."
        " Nothing is lost: it is kept here. Automatic retries have ended. It’s sent once"
        " someone retries it. The receiver's owner must act. Ask the receiver's owner to"
        f" check their log for delivery {made}. A retry has the same id."
    )


def test_what_is_being_sent_has_not_failed(support: Pages) -> None:
    made = make_delivery(status="retrying", tries=1, reason="server", code=500)
    make_attempt(made, reason="server", code=500)
    lease(made)
    told = caller_text(support.get(f"/deliveries/{made}"))
    assert "returned a server error" in told
    assert "have failed since" not in told


def test_the_caller_is_told_who_must_act_here_and_of_what_was_never_attempted(app: Flask) -> None:
    make_user("admin", name="Ada Admin")
    pages = visit(app, "support", time_zone="UTC")
    inbox = make_webhook(name="Built-in inbox", kind="inbox", url="")
    made = make_delivery(inbox, status="failed", tries=1, reason="auth", code=401)
    make_attempt(made, reason="auth", code=401, started_at=AT, finished_at=AT)
    words = caller_text(pages.get(f"/deliveries/{made}"))
    assert words.startswith("“Built-in inbox” rejected our authentication. The last")
    assert "An administrator (Ada Admin) must act." in words

    soon = utcnow() + timedelta(minutes=4)
    hook = make_webhook(name="Helpdesk", throttled=True, failures_in_row=7, backoff_until=soon)
    made = make_delivery(hook)
    assert caller_text(pages.get(f"/deliveries/{made}")).startswith(
        "“Helpdesk” isn't responding. This one has not been attempted yet. Nothing is lost: it is "
        f"kept here. It is sent automatically, at {soon:%b} {soon.day}, {soon:%Y, %H:%M:%S} (UTC)"
    )
    assert caller_text(pages.get(f"/deliveries/{make_delivery()}")) == ""

    in_turn = make_webhook(name="Accounting", in_order=True)
    first = make_delivery(in_turn, status="retrying", tries=4, reason="auth", code=401)
    make_attempt(first, reason="auth", code=401, started_at=AT, finished_at=AT)
    behind = pages.get(f"/deliveries/{make_delivery(in_turn)}")
    words = caller_text(behind)
    assert words.startswith("“Accounting” gets its deliveries in order. The one of ")
    assert (
        " goes first, and has not arrived: “Accounting” rejected our authentication. An "
        "administrator (Ada Admin) must act. This one has not been attempted yet." in words
    )
    assert behind.links("Open the delivery that goes first") == [f"/deliveries/{first}"]


def test_of_one_that_arrived_it_says_who_answered_what_and_when(support: Pages) -> None:
    hook = make_webhook(name="Payroll")
    made = make_delivery(hook, status="delivered", tries=1, code=204, took_ms=143)
    make_attempt(made, outcome="delivered", code=204, started_at=AT, finished_at=AT)
    page = support.get(f"/deliveries/{made}")
    assert caller_text(page).startswith(
        "“Payroll” has received it: it answered 204 at Nov 25, 2026, 13:11:07"
    )
    assert "Our side is working" not in caller_text(page)


def test_what_never_reached_the_receiver_is_not_looked_for_in_its_log(support: Pages) -> None:
    made = make_delivery(make_webhook(name="Payroll"), status="failed", tries=10, reason="refused")
    make_attempt(made, reason="refused", started_at=AT, finished_at=AT)
    words = caller_text(support.get(f"/deliveries/{made}"))
    assert words.startswith("“Payroll” refused the connection. The last")
    assert f"The receiver's owner must act. The delivery is {made}." in words
    assert "check their log" not in words


def test_an_answer_that_speaks_of_an_error_is_flagged(support: Pages) -> None:
    for text, is_doubtful in (("Import failed", True), ("0 errors, no failures", False)):
        made = make_delivery(status="delivered", tries=1, code=200)
        make_attempt(made, outcome="delivered", code=200, response_text=text)
        words = "its text speaks of an error"
        assert (words in support.get(f"/deliveries/{made}").main) is is_doubtful
        line, *_ = support.get("/deliveries").rows()
        assert ("the response mentions an error" in line[5]) is is_doubtful


def test_of_a_long_first_line_the_beginning_stands_above_the_whole_answer_and_in_the_list(
    support: Pages,
) -> None:
    made = make_delivery(status="failed", reason="server", code=500)
    make_attempt(made, reason="server", code=500, response_text=f"\n{'x' * 301}\nand more")
    page = support.get(f"/deliveries/{made}")
    (quote,) = [node for node in page.root.find_all("p") if node.get("class") == "quote"]
    assert quote.text == f"500 {'x' * 300}"
    assert f"{'x' * 301} and more" in page.main
    (line,) = support.get("/deliveries").rows()
    assert line[5] == f"Server error (500){'x' * 120}"


def test_a_retry_that_failed_leaves_what_arrived_before_beyond_doubt(support: Pages) -> None:
    made = make_delivery(status="delivered", tries=1, code=200)
    make_attempt(made, outcome="delivered", code=200, response_text="stored")
    make_attempt(made, kind="manual", reason="server", code=500, response_text="Import failed")
    (line,) = support.get("/deliveries").rows()
    assert line[5].startswith("Answered 200")


def test_beside_a_failure_in_the_list_stands_how_its_last_answer_began(support: Pages) -> None:
    for said in (["no", "the disk is full\nand more"], ["unknown asset"]):
        made = make_delivery(status="failed", reason="server", code=500)
        for text in said:
            make_attempt(made, reason="server", code=500, response_text=text)
    rows = [" ".join(row) for row in support.get("/deliveries").rows()]
    told = ("the disk is full", "unknown asset", "and more", "no ")
    assert [[text in row for text in told] for row in rows] == [
        [False, True, False, False],
        [True, False, False, False],
    ]


def test_of_many_others_that_the_event_goes_to_the_rest_is_counted(
    support: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detail, "MOST_SHOWN", 2)
    for name in ("Doors", "Finance", "Helpdesk", "Payroll"):
        make_webhook(name=name)
    publish()
    one = session().scalar(select(Delivery.public_id).order_by(Delivery.id))
    page = support.get(f"/deliveries/{one}")
    assert "And 1 more" in page.main
    assert "Payroll" not in page.main
    monkeypatch.setattr(detail, "MOST_SHOWN", 3)
    assert "And 1 more" not in support.get(f"/deliveries/{one}").main


def test_attempts_are_a_table_whose_last_three_are_seen_at_once(support: Pages) -> None:
    hook = make_webhook()
    made = make_delivery(hook, status="failed", tries=5, reason="server", code=500)
    for number in range(5):
        make_attempt(made, reason="server", code=500 + number, phases={"total": 100.0 + number})
    page = support.get(f"/deliveries/{made}")
    assert [row[0] for row in page.rows()] == [f"Attempt {n}" for n in (5, 4, 3, 2, 1)]
    assert page.rows()[0][2:] == ["Server error (504)", "Receiver", "104 ms"]
    folded = [node for node in page.root.find_all("details") if "2 earlier attempts" in node.text]
    assert [row.text[:9] for row in folded[0].find_all("tr")][1:] == ["Attempt 2", "Attempt 1"]


def test_only_of_a_body_that_is_cut_it_is_said_that_more_follows() -> None:
    whole = "x" * MOST_SHOWN
    assert pretty(whole.encode()) == whole
    assert pretty(f"{whole}y".encode()) == f"{whole}\n\u2026 (the file has all of it)"


def test_a_body_that_is_nested_too_deep_to_be_read_is_shown_as_it_is() -> None:
    too_deep = "[" * 60_000
    assert pretty(too_deep.encode()) == too_deep
