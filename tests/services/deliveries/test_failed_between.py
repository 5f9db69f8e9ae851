"""The log finds every delivery that failed in a period, whether there are few or many."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from flask import Flask

from portal.services.core.unit_of_work import session
from portal.services.deliveries import answers, log_query
from portal.services.deliveries import log as log_pages
from portal.services.deliveries.statuses import FailedBetween, LogFilter, StatusFilter
from tests.services.deliveries.test_log_plans import explained
from tests.support.deliveries import make_attempt, make_delivery, stored
from tests.support.factories import make_webhook

pytestmark = pytest.mark.both_databases
NIGHT = datetime(2026, 5, 4, 1, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def failed_at(at: datetime, **columns: object) -> UUID:
    made = make_delivery(created_at=at - 9 * HOUR, **columns)
    make_attempt(made, started_at=at, finished_at=at, reason="server", code=500)
    return made


def found(**more: object) -> set[UUID]:
    log_filter = LogFilter(failed=FailedBetween(NIGHT - HOUR, NIGHT + HOUR), **more)
    rows = list(log_pages.every(log_filter))
    ids = [row.public_id for row in rows]
    assert len(ids) == len(set(ids)), "each is listed once"
    assert ids == [row.public_id for row in sorted(rows, key=lambda each: -each.id)]
    return set(ids)


@pytest.mark.parametrize(
    ("most", "attempts"),
    [
        (log_query.MOST_TOLD, log_query.MOST_ATTEMPTS),
        (0, 9),
        (9, 1),
        (9, 3),
        (9, 4),
    ],
    ids=["few", "many", "many attempts", "some", "just few enough"],
)
def test_deliveries_that_failed_in_a_period_are_listed_in_any_status(
    app: Flask, monkeypatch: pytest.MonkeyPatch, most: int, attempts: int
) -> None:
    monkeypatch.setattr(log_query, "MOST_TOLD", most)
    monkeypatch.setattr(log_query, "MOST_ATTEMPTS", attempts)
    hook = make_webhook(name="Helpdesk")
    arrived = failed_at(NIGHT, status="delivered", webhook=hook)
    make_attempt(arrived, started_at=NIGHT + 5 * HOUR, outcome="delivered", code=200)
    given_up = failed_at(NIGHT, status="failed", reason="server", code=500)
    make_attempt(given_up, started_at=NIGHT, finished_at=NIGHT, reason="server", code=500)
    once = failed_at(NIGHT, status="retrying", reason="server", code=500)
    nameless = failed_at(NIGHT, status="failed")
    failed_at(NIGHT + HOUR, status="failed", reason="server")
    failed_at(NIGHT - 2 * HOUR, status="failed", reason="server")
    failed_at(NIGHT, status="failed", priority=0)
    at_once = make_delivery(status="delivered", created_at=NIGHT, attempts=0)
    make_attempt(at_once, started_at=NIGHT, finished_at=NIGHT, outcome="delivered", code=200)
    assert found() == {arrived, given_up, once, nameless}
    assert found(status=StatusFilter.DELIVERED) == {arrived}
    assert found(webhook=hook.public_id) == {arrived}
    assert found(asset_id=7) == {arrived, given_up, once, nameless}
    assert found(asset_id=8) == set()


def test_failures_are_listed_up_to_the_limit_and_none_beyond_it(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice, once = (failed_at(NIGHT, status="failed") for _ in range(2))
    make_attempt(twice, started_at=NIGHT, finished_at=NIGHT, reason="server", code=500)
    both = {stored(twice)["id"], stored(once)["id"]}
    for limit, attempts, expected in ((2, 3, both), (1, 3, None), (2, 2, None)):
        monkeypatch.setattr(log_query, "MOST_TOLD", limit)
        monkeypatch.setattr(log_query, "MOST_ATTEMPTS", attempts)
        few = log_query.few(session(), FailedBetween(NIGHT, NIGHT + HOUR))
        assert (few if few is None else set(few)) == expected


def test_a_period_can_have_no_failures_and_an_open_end(app: Flask) -> None:
    late = failed_at(NIGHT + 3 * HOUR, status="failed")
    assert found() == set()
    since = LogFilter(failed=FailedBetween(since=NIGHT))
    assert [row.public_id for row in log_pages.every(since)] == [late]
    assert list(log_pages.every(LogFilter(failed=FailedBetween(until=NIGHT)))) == []


def test_failures_and_responses_are_read_for_the_rows_of_a_page_alone(app: Flask) -> None:
    response = {"response_text": "Error: out of order"}
    for _ in range(2):
        failed = make_delivery(status="failed")
        arrived = make_delivery(status="delivered")
        make_attempt(failed, finished_at=NIGHT, reason="server", code=500, **response)
        make_attempt(arrived, finished_at=NIGHT, outcome="delivered", code=200, **response)
    one, other = stored(failed)["id"], stored(arrived)["id"]
    failure = log_query.Failure(NIGHT, "server", 500, response["response_text"])
    night = FailedBetween(NIGHT, NIGHT + HOUR)
    assert log_query.last_failures(session(), night, [one, other]) == {one: failure}
    assert answers.answers_of([one, other]) == {one: answers.Answer(response["response_text"])}
    match = answers.Said(response["response_text"], is_last=True)
    assert answers.answers_with("order", [one, other], []) == {one: match, other: match}
    assert answers.doubtful_among([failed, arrived]) == {arrived}


def test_a_response_is_searched_among_attempts_that_failed_in_the_period(app: Flask) -> None:
    then, later, arrived = (make_delivery(status="failed", created_at=NIGHT) for _ in range(3))
    for made, at, response, outcome in (
        (then, NIGHT, "Out of order", "failed"),
        (then, NIGHT + 5 * HOUR, "order 7 is unknown", "failed"),
        (later, NIGHT, "Busy", "failed"),
        (later, NIGHT + 5 * HOUR, "Out of order", "failed"),
        (arrived, NIGHT, "Busy", "failed"),
        (arrived, NIGHT, "Out of order", "delivered"),
    ):
        make_attempt(made, finished_at=at, response_text=response, outcome=outcome)
    assert found(answer="order") == {then}
    row_id, night = (
        stored(then)["id"],
        log_query.failed_between(FailedBetween(NIGHT, NIGHT + HOUR)),
    )
    match = answers.Said("Out of order", is_last=False)
    assert answers.answers_with("order", [row_id], night) == {row_id: match}


@pytest.mark.usefixtures("no_gaps")
def test_failed_attempts_are_found_in_their_own_index(app: Flask) -> None:
    for _ in range(3):
        failed_at(NIGHT, status="failed")
    query = log_query.failed_attempts(FailedBetween(NIGHT - HOUR, NIGHT + HOUR))
    whole, _ = explained(session(), query)
    assert "ix_attempts_failures" in whole
    assert "Sort" not in whole, whole
    assert "TEMP B-TREE" not in whole, whole
