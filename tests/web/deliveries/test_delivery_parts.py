"""The order of a delivery page's parts, and the update to share with the receiver's team."""

import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from portal.models.deliveries import Delivery, Priority
from portal.services.core.unit_of_work import session
from portal.services.deliveries import detail
from portal.web.deliveries.request import MOST_SHOWN, pretty
from portal.web.frame.wording import in_both_zones, moment
from tests.support.deliveries import make_attempt, make_delivery
from tests.support.factories import make_webhook, publish
from tests.support.pages import Page, Pages
from tests.web.signed_in import visit

AT = datetime(2026, 11, 25, 12, 11, 7, tzinfo=UTC)
PARTS = ["Next step", "Attempts", "Event"]


def headings(page: Page) -> list[str]:
    return [node.text for node in page.root.find_all("h2")]


def update_in(page: Page) -> str:
    nodes = [node for node in page.root.find_all("p") if node.get("id") == "share-text"]
    return " ".join(node.text for node in nodes)


def test_the_page_starts_with_the_problem_and_the_next_step(support: Pages) -> None:
    hook = make_webhook(name="Payroll")
    first = AT - timedelta(minutes=10)
    failed = {"status": "failed", "reason": "server", "code": 500, "failing_since": first}
    made = make_delivery(hook, tries=10, **failed)
    for minutes in (10, 0):
        at = AT - timedelta(minutes=minutes)
        text = '{"message": "disk full.", "trace": ["a.py"]}'
        make_attempt(
            made, reason="server", code=500, started_at=at, finished_at=at, response_text=text
        )
    page = support.get(f"/deliveries/{made}")
    assert headings(page) == ["Payroll returned a server error (500)", *PARTS]
    update = update_in(page)
    for words in (
        "“Asset created” for AST-00007 hasn’t arrived at https://receiver.example.com/hook.",
        "Cause: Server error (500): “disk full”.",
        "First failed attempt: Nov 25, 2026, 13:01:07 (Europe/Vienna), 12:01:07 UTC",
        "Last failed attempt: Nov 25, 2026, 13:11:07 (Europe/Vienna), 12:11:07 UTC",
        str(made),
        "Let us know when to retry it.",
    ):
        assert words in update, words


def test_an_html_response_is_shown_as_text_with_its_source_folded(support: Pages) -> None:
    made = make_delivery(status="failed", reason="server", code=500)
    source = "<html><head><script>alert(1)</script></head><h1>Oops &lt;b&gt;</h1>disk full</html>"
    make_attempt(made, reason="server", code=500, response_text=source)
    page = support.get(f"/deliveries/{made}")
    texts = {node.get("id"): node.text for node in page.root.find_all("pre")}
    assert texts == {"answer-text": "Oops <b> disk full", "answer-source-text": source}
    assert "<script>alert" not in page.html


@pytest.mark.parametrize("state", ["delivered", "deleted", "dismissed", "ours", "never tried"])
def test_the_receivers_team_is_asked_nothing_when_it_cannot_help(
    support: Pages, state: str
) -> None:
    hook = make_webhook(name="Payroll", **({"deleted_at": AT} if state == "deleted" else {}))
    status = {"delivered": "delivered", "dismissed": "dismissed"}.get(state, "failed")
    reason = "internal" if state == "ours" else "server"
    made = make_delivery(hook, status=status, tries=1, reason=reason)
    if state == "delivered":
        make_attempt(made, outcome="delivered", code=204, started_at=AT, finished_at=AT)
    elif state != "never tried":
        make_attempt(made, reason=reason)
    update = update_in(support.get(f"/deliveries/{made}"))
    proof = "was delivered to https://receiver.example.com/hook at Nov 25, 2026, 13:11:07"
    assert (proof in update) is (state == "delivered")
    assert bool(update) is (state == "delivered")


@pytest.mark.parametrize("resend", ["delivered", "failed"])
def test_the_first_arrival_is_the_proof_and_a_resend_is_added(support: Pages, resend: str) -> None:
    made = make_delivery(make_webhook(name="Payroll"), status="delivered", tries=1, code=204)
    make_attempt(made, outcome="delivered", code=204, started_at=AT, finished_at=AT)
    is_again = resend == "delivered"
    first = f"Payroll responded with 204 Delivered {moment(AT).text}"
    for resent in range(1, 40):
        later = AT + timedelta(minutes=resent)
        ends = {"code": 202} if is_again else {"reason": "server", "code": 500}
        moments = {"started_at": later, "finished_at": later}
        make_attempt(made, kind="manual", outcome=resend, **ends, **moments)
        if resent not in (1, 39):
            continue
        page = support.get(f"/deliveries/{made}")
        update = update_in(page)
        assert "at Nov 25, 2026, 13:11:07" in update
        assert "Your server responded 204." in update
        assert first in page.main
        assert (f" and again {moment(later).text}." in page.main) is is_again
        assert (f"It was delivered again at {in_both_zones(later)}." in update) is is_again


def test_the_person_to_act_follows_from_reason_and_role(app: Flask) -> None:
    hook = make_webhook(name="Payroll")
    acts = {
        "server": "The receiver’s team",
        "auth": "You",
        "rate": "You",
        "dns": "You",
    }
    admin, support = visit(app, "admin"), visit(app, "support")
    for reason, who in acts.items():
        made = make_delivery(hook, status="failed", reason=reason)
        make_attempt(made, reason=reason)
        for_support = "An administrator" if who == "You" and reason != "rate" else who
        for pages, expected in ((admin, who), (support, for_support)):
            (chip,) = [
                node
                for node in pages.get(f"/deliveries/{made}").root.find_all("span")
                if node.get("class") == "who"
            ]
            assert chip.text == expected, reason


def test_a_rate_limit_asks_for_a_retry_only_after_the_last_failure(support: Pages) -> None:
    needs_no_action = {}
    for status in ("retrying", "failed"):
        made = make_delivery(make_webhook(), status=status, tries=2, reason="rate", code=429)
        make_attempt(made, reason="rate", code=429)
        main = support.get(f"/deliveries/{made}").main
        needs_no_action[status] = ("o action needed" in main, "o action is needed" in main)
        assert "Retry after it’s fixed." in main
    assert needs_no_action == {"retrying": (True, True), "failed": (False, False)}


def test_a_rate_limited_or_interrupted_test_is_repeated_by_a_person(app: Flask) -> None:
    hook = make_webhook()
    for columns in ({"reason": "rate", "code": 429}, {"reason": "interrupted"}):
        made = make_delivery(hook, status="failed", tries=1, priority=Priority.TEST, **columns)
        make_attempt(made, **columns)
        admin = visit(app, "admin").get(f"/deliveries/{made}").main
        assert "Next step You" in admin
        assert "Wait a minute, then select Test again." in admin
        assert "o action" not in admin
        assert "to test again" in visit(app, "manager").get(f"/deliveries/{made}").main


def test_a_success_response_that_mentions_an_error_is_flagged(support: Pages) -> None:
    for text, is_doubtful in (("Import failed", True), ("0 errors, no failures", False)):
        made = make_delivery(status="delivered", tries=1, code=200)
        make_attempt(made, outcome="delivered", code=200, response_text=text)
        words = "Responded 200, but the response reports an error."
        assert (words in support.get(f"/deliveries/{made}").main) is is_doubtful
        line, *_ = support.get("/deliveries").rows()
        assert ("the response mentions an error" in line[5]) is is_doubtful


def test_words_echoed_from_the_sent_post_are_not_flagged_as_an_error(support: Pages) -> None:
    hook = make_webhook(format="discord")
    echo = '{"embeds":[{"fields":[{"name":"What happened","value":"The screen failed"}]}]}'
    for sent, answer, is_doubtful in (
        (echo, f'{{"id":"7",{echo[1:]}', False),
        ('{"embeds":[{"title":"Asset lost"}]}', "Import failed", True),
    ):
        made = make_delivery(hook, status="delivered", code=200)
        headers = {"request_headers": [["Content-Type", "application/json"]]}
        bodies = {"request_body": sent, "response_text": answer}
        make_attempt(made, outcome="delivered", code=200, **headers, **bodies)
        page = support.get(f"/deliveries/{made}").main
        assert ("the response reports an error" in page) is is_doubtful
        line, *_ = support.get("/deliveries").rows()
        assert ("the response mentions an error" in line[5]) is is_doubtful


def test_the_log_shows_the_start_of_a_long_first_response_line(support: Pages) -> None:
    made = make_delivery(status="failed", reason="server", code=500)
    make_attempt(made, reason="server", code=500, response_text=f"\n{'x' * 301}\nand more")
    assert f"{'x' * 301} and more" in support.get(f"/deliveries/{made}").main
    (line,) = support.get("/deliveries").rows()
    assert line[5] == f"Server error (500){'x' * 120}"


def test_a_failed_resend_does_not_flag_the_earlier_success(support: Pages) -> None:
    made = make_delivery(status="delivered", tries=1, code=200)
    make_attempt(made, outcome="delivered", code=200, response_text="stored")
    make_attempt(made, kind="manual", reason="server", code=500, response_text="Import failed")
    (line,) = support.get("/deliveries").rows()
    assert line[5].startswith("Responded 200")


def test_a_failed_row_shows_the_start_of_its_last_response(support: Pages) -> None:
    for responses in (["no", "the disk is full\nand more"], ["unknown asset"]):
        made = make_delivery(status="failed", reason="server", code=500)
        for text in responses:
            make_attempt(made, reason="server", code=500, response_text=text)
    rows = [" ".join(row) for row in support.get("/deliveries").rows()]
    texts = ("the disk is full", "unknown asset", "and more", "no ")
    assert [[text in row for text in texts] for row in rows] == [
        [False, True, False, False],
        [True, False, False, False],
    ]


def test_only_a_few_sibling_deliveries_are_listed_and_the_rest_counted(
    support: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detail, "MOST_SHOWN", 2)
    for name in ("Doors", "Finance", "Helpdesk", "Payroll"):
        make_webhook(name=name)
    publish()
    delivery = session().scalar(select(Delivery.public_id).order_by(Delivery.id))
    page = support.get(f"/deliveries/{delivery}")
    assert "And 1 more" in page.main
    assert "Payroll" not in page.main
    monkeypatch.setattr(detail, "MOST_SHOWN", 3)
    assert "And 1 more" not in support.get(f"/deliveries/{delivery}").main


def test_the_attempt_table_shows_three_and_folds_earlier_ones(support: Pages) -> None:
    hook = make_webhook()
    made = make_delivery(hook, status="failed", tries=5, reason="server", code=500)
    for number in range(5):
        make_attempt(made, reason="server", code=500 + number, phases={"total": 100.0 + number})
    page = support.get(f"/deliveries/{made}")
    assert [row[0] for row in page.rows()] == [f"Attempt {n}" for n in (5, 4, 3, 2, 1)]
    assert page.rows()[0][2:] == ["Server error (504)", "Receiver", "104 ms"]
    folded = [node for node in page.root.find_all("details") if "2 earlier attempts" in node.text]
    assert [row.text[:9] for row in folded[0].find_all("tr")][1:] == ["Attempt 2", "Attempt 1"]


def test_only_a_truncated_body_says_that_more_follows() -> None:
    whole = "x" * MOST_SHOWN
    assert pretty(whole.encode()) == whole
    assert pretty(f"{whole}y".encode()) == f"{whole}\n\u2026 (download for the rest)"


def test_a_body_nested_too_deeply_to_parse_is_shown_unchanged() -> None:
    too_deep = "[" * 60_000
    assert pretty(too_deep.encode()) == too_deep


def test_indenting_a_deeply_nested_body_uses_little_memory() -> None:
    # One line per value would take 54,000,000 characters.
    nested = b"[" * 900 + b"1," * 30_000 + b"1" + b"]" * 900
    tracemalloc.start()
    try:
        text = pretty(nested)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert text.startswith("[\n  [\n    [")
    assert text.endswith("\n\u2026 (download for the rest)")
    assert peak < 4 << 20
