"""A log row's result, note, next attempt, and buttons."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import update

from portal.engine.circuit_breaker import LONGEST_PAUSE
from portal.lib.clock import utcnow
from portal.models.deliveries import Priority
from portal.models.operations import Process
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import writing
from portal.services.deliveries import log as log_pages
from portal.services.deliveries.detail import find_delivery
from portal.services.deliveries.log import LogRow
from portal.services.deliveries.retry import why_not_retry
from portal.services.deliveries.statuses import FailedBetween, LogFilter
from portal.services.operations import sending as operation_sending
from portal.services.outbox.connectivity import SENDER
from portal.web.deliveries import log_csv, log_presenter
from portal.web.deliveries.log_presenter import remarks
from tests.support.deliveries import lease, make_attempt, make_delivery
from tests.support.factories import make_user, make_webhook
from tests.support.heartbeats import record_own

pytestmark = pytest.mark.usefixtures("in_a_request")


def row_of(made: UUID) -> LogRow:
    (row,) = log_pages.latest(LogFilter(delivery=made))
    return row


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"status": "delivered", "code": 200, "took_ms": 143}, "200 in 143 ms"),
        ({"status": "delivered", "code": 204}, "Responded 204"),
        ({"status": "delivered", "code": 200, "took_ms": 0}, "200 in 0 ms"),
        ({"status": "delivered"}, ""),
        ({"status": "queued"}, ""),
        ({"status": "failed", "reason": "server", "code": 502}, "Server error (502)"),
    ],
)
def test_a_result_describes_the_last_attempt(columns: dict[str, Any], said: str) -> None:
    row = row_of(make_delivery(**columns))
    assert log_presenter.result(row) == said


def test_the_next_attempt_is_a_time_a_phrase_or_empty() -> None:
    hook, in_order = make_webhook(), make_webhook(in_order=True)
    later = utcnow() + timedelta(minutes=3)
    sending = make_delivery(hook)
    lease(sending)
    make_delivery(in_order)
    behind = make_delivery(in_order)
    due = make_delivery(hook, status="retrying", due_at=later)
    now = make_delivery(hook)
    attempts = [
        log_presenter.next_attempt(row_of(delivery)) for delivery in (sending, behind, due, now)
    ]
    assert attempts == ["Sending now", "After an older delivery", later, "Now"]
    off = make_delivery(make_webhook(state="off"))
    test = make_delivery(make_webhook(state="off"), priority=Priority.TEST)
    assert [log_presenter.next_attempt(row_of(delivery)) for delivery in (off, test)] == [
        "",
        "Now",
    ]


def test_no_retry_is_offered_while_all_sending_is_stopped() -> None:
    operation_sending.stop(make_user("admin").actor)
    in_order = make_webhook(in_order=True)
    make_delivery(in_order)
    sending = make_delivery()
    lease(sending)
    every = [
        sending,
        make_delivery(in_order),
        make_delivery(),
        make_delivery(make_webhook(state="off")),
        make_delivery(status="failed"),
    ]
    attempts = [log_presenter.next_attempt(row_of(delivery)) for delivery in every]
    assert attempts == ["Sending now", "After an older delivery", "When sending resumes", "", ""]
    assert not any(log_presenter.may_retry(row_of(delivery)) for delivery in every)


def test_log_and_delivery_page_agree_on_offering_a_retry() -> None:
    away = make_webhook(throttled=True, backoff_until=utcnow() + timedelta(minutes=4))
    in_order = make_webhook(in_order=True)
    head = make_delivery(in_order)
    # A retry ignores a pause and older deliveries.
    taken = [make_delivery(away), make_delivery(in_order), make_delivery(status="failed")]
    others = [
        head,
        make_delivery(away, prior_status="failed"),
        make_delivery(status="delivered"),
        make_delivery(status="failed", priority=Priority.TEST),
        make_delivery(make_webhook(state="off"), status="failed"),
        make_delivery(make_webhook(deleted_at=utcnow()), status="failed"),
    ]
    for made in (*taken, *others):
        on_page = why_not_retry(find_delivery(made).eligibility) is None
        assert (log_presenter.may_retry(row_of(made)), on_page) == (made in taken,) * 2


def test_retry_asks_first_only_if_it_could_overtake_a_delivery() -> None:
    in_order, free = make_webhook(in_order=True), make_webhook()
    head = make_delivery(in_order, status="retrying", tries=1)
    behind = make_delivery(in_order, status="retrying", tries=1)
    failed = make_delivery(in_order, status="failed")
    alone = make_delivery(free, status="failed")
    may_overtake = [
        log_presenter.may_overtake(row_of(delivery)) for delivery in (head, behind, failed, alone)
    ]
    assert may_overtake == [False, True, True, False]


def test_an_open_delivery_says_why_it_waits() -> None:
    hook, full = make_webhook(), make_webhook()
    away, asked = (
        make_webhook(throttled=True, backoff_until=utcnow() + timedelta(minutes=minutes))
        for minutes in (4, LONGEST_PAUSE // 60 + 5)
    )
    in_order = make_webhook(in_order=True)
    make_delivery(in_order)
    sending = [make_delivery(full, status="retrying", tries=1) for _ in range(8)]
    for delivery in sending:
        lease(delivery)
    by_note = {
        "Now": make_delivery(hook),
        "Attempt 3 of 10": make_delivery(hook, status="retrying", tries=3),
        "Sending now": sending[0],
        "After an older delivery": make_delivery(in_order),
        "After 1 of 8 requests in progress": make_delivery(full),
        "Paused after failed attempts": make_delivery(away, status="retrying", tries=2),
        "The receiver asked us to wait": make_delivery(asked),
        "": make_delivery(make_webhook(state="off")),
    }
    for words, made in by_note.items():
        assert log_presenter.status_note(row_of(made)).startswith(words)
        assert bool(words) is bool(log_presenter.status_note(row_of(made)))
    by_a_person = make_delivery(hook, status="retrying", tries=10, prior_status="failed")
    assert log_presenter.status_note(row_of(by_a_person)) == "Now"
    with writing() as current:
        current.execute(update(Webhook).values(url="https://erp.example.com/x"))
    record_own(SENDER)
    with writing() as current:
        cut_off = {"offline_since": utcnow(), "offline_hosts": "erp.example.com"}
        current.execute(update(Process).where(Process.kind == SENDER).values(cut_off))
    assert log_presenter.status_note(row_of(by_note["Now"])) == "When this server can connect"


def test_a_delivered_row_shows_its_result_and_a_failed_resend() -> None:
    made = make_delivery(status="delivered", reason="server", code=500, took_ms=9)
    make_attempt(made, reason="dns")
    make_attempt(made, outcome="delivered", code=200, phases={"total": 22.0})
    make_attempt(made, kind="manual", reason="server", code=500)
    row = row_of(made)
    assert log_presenter.result(row) == "200 in 22 ms"
    assert log_presenter.status_note(row) == "Resend failed: Server error (500)"


def test_a_row_counts_attempts_and_possible_arrivals() -> None:
    made = make_delivery(status="retrying", tries=3)
    for reason, outcome in (
        ("dns", "failed"),
        ("server", "failed"),
        (None, "interrupted"),
    ):
        make_attempt(made, reason=reason, outcome=outcome)
    row = row_of(made)
    assert (row.tries, row.attempts, row.sent) == (3, 3, 2)
    lease(made)
    row = row_of(made)
    assert (row.tries, row.attempts, row.sent) == (4, 4, 3)
    lease(made, kind="manual")
    row = row_of(made)
    assert (row.tries, row.attempts, row.sent) == (3, 4, 3)


@pytest.mark.parametrize(
    ("status", "reason", "outcome", "sent"),
    [
        ("delivered", None, "delivered", 1),
        ("retrying", "server", "failed", 1),
        ("retrying", None, "interrupted", 1),
        # No part of the request was sent.
        ("retrying", "dns", "failed", 0),
    ],
)
def test_an_attempt_that_never_left_does_not_count_as_sent(
    status: str, reason: str | None, outcome: str, sent: int
) -> None:
    made = make_delivery(status=status)
    make_attempt(made, reason=reason, outcome=outcome)
    row = row_of(made)
    assert (row.attempts, row.sent) == (1, sent)
    lease(made)
    assert row_of(made).sent == sent + 1


def test_a_failure_time_filter_shows_the_response_of_that_time() -> None:
    then = utcnow() - timedelta(hours=1)
    of_then = {"started_at": then, "finished_at": then}
    failed = {"reason": "server", "code": 500}
    answered, silent = (make_delivery(status="failed", created_at=then, **failed) for _ in range(2))
    for made, response in ((answered, "disk\x1b is  full\nand more"), (silent, None)):
        make_attempt(made, **of_then, **failed, response_text=response)
        make_attempt(made, **failed, response_text="later")
    failed_then = FailedBetween(then - timedelta(minutes=1), then + timedelta(minutes=1))
    rows = list(log_pages.every(LogFilter(failed=failed_then)))
    assert [row.public_id for row in rows] == [silent, answered]
    assert remarks(rows, with_content=True) == {answered: "disk is full"}
    assert remarks(rows, with_content=False) == {}


def test_the_csv_for_people_has_seconds_and_the_reason_for_waiting(app: Flask) -> None:
    until = utcnow() + timedelta(minutes=4)
    make_delivery(status="delivered", code=200, took_ms=1500)
    make_delivery(make_webhook(throttled=True, backoff_until=until))
    heads, kept, arrived = log_csv.lines_for_people(log_pages.every(LogFilter()))
    result, took = heads.index("Result"), heads.index("Duration (seconds)")
    assert (arrived[result], arrived[took]) == ("200 in 2 seconds", 1.5)
    assert (kept[result], kept[took]) == ("Paused after failed attempts", None)
