"""What anything failed of in a time is found, whatever became of it, among few and among many."""

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
    wanted = LogFilter(failed=FailedBetween(NIGHT - HOUR, NIGHT + HOUR), **more)
    rows = list(log_pages.every(wanted))
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
def test_what_failed_then_is_listed_whatever_became_of_it(
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


def test_words_are_looked_for_in_the_answers_of_that_time(app: Flask) -> None:
    then, later = (make_delivery(status="failed", created_at=NIGHT - HOUR) for _ in range(2))
    for made, at in ((then, NIGHT), (later, NIGHT), (later, NIGHT + 5 * HOUR)):
        said = "no such order" if (made, at) != (later, NIGHT) else "busy"
        times = {"started_at": at, "finished_at": at}
        make_attempt(made, reason="server", code=500, response_text=said, **times)
    assert found(answer="order") == {then}
    assert found(answer="busy") == {later}


def test_as_many_are_told_as_may_be_and_of_one_more_none(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice, once = (failed_at(NIGHT, status="failed") for _ in range(2))
    make_attempt(twice, started_at=NIGHT, finished_at=NIGHT, reason="server", code=500)
    both = {stored(twice)["id"], stored(once)["id"]}
    for most, attempts, told in ((2, 3, both), (1, 3, None), (2, 2, None)):
        monkeypatch.setattr(log_query, "MOST_TOLD", most)
        monkeypatch.setattr(log_query, "MOST_ATTEMPTS", attempts)
        few = log_query.few(session(), FailedBetween(NIGHT, NIGHT + HOUR))
        assert (few if few is None else set(few)) == told


def test_nothing_failed_in_that_time_and_an_end_may_be_open(app: Flask) -> None:
    late = failed_at(NIGHT + 3 * HOUR, status="failed")
    assert found() == set()
    since = LogFilter(failed=FailedBetween(since=NIGHT))
    assert [row.public_id for row in log_pages.every(since)] == [late]
    assert list(log_pages.every(LogFilter(failed=FailedBetween(until=NIGHT)))) == []


def test_how_the_rows_of_a_page_failed_and_what_was_answered_is_told_of_them_alone(
    app: Flask,
) -> None:
    said = {"response_text": "Error: out of order"}
    for _ in range(2):
        failed = make_delivery(status="failed")
        arrived = make_delivery(status="delivered")
        make_attempt(failed, finished_at=NIGHT, reason="server", code=500, **said)
        make_attempt(arrived, finished_at=NIGHT, outcome="delivered", code=200, **said)
    one, other = stored(failed)["id"], stored(arrived)["id"]
    failure = log_query.Failure(NIGHT, "server", 500, said["response_text"])
    night = FailedBetween(NIGHT, NIGHT + HOUR)
    assert log_query.last_failures(session(), night, [one, other]) == {one: failure}
    assert answers.answers_of([one, other]) == {one: said["response_text"]}
    found = answers.Said(said["response_text"], is_last=True)
    assert answers.answers_with("order", [one, other], []) == {one: found, other: found}
    assert answers.doubtful_among([failed, arrived]) == {arrived}


def test_an_answer_is_looked_for_among_those_of_attempts_that_failed_then(app: Flask) -> None:
    then, later, arrived = (make_delivery(status="failed", created_at=NIGHT) for _ in range(3))
    for made, at, said, outcome in (
        (then, NIGHT, "Out of order", "failed"),
        (then, NIGHT + 5 * HOUR, "order 7 is unknown", "failed"),
        (later, NIGHT, "Busy", "failed"),
        (later, NIGHT + 5 * HOUR, "Out of order", "failed"),
        (arrived, NIGHT, "Busy", "failed"),
        (arrived, NIGHT, "Out of order", "delivered"),
    ):
        make_attempt(made, finished_at=at, response_text=said, outcome=outcome)
    assert found(answer="order") == {then}
    row_id, night = (
        stored(then)["id"],
        log_query.failed_between(FailedBetween(NIGHT, NIGHT + HOUR)),
    )
    said_then = answers.Said("Out of order", is_last=False)
    assert answers.answers_with("order", [row_id], night) == {row_id: said_then}


@pytest.mark.usefixtures("no_gaps")
def test_the_attempts_are_found_in_an_index_of_those_that_failed(app: Flask) -> None:
    for _ in range(3):
        failed_at(NIGHT, status="failed")
    wanted = log_query.failed_attempts(FailedBetween(NIGHT - HOUR, NIGHT + HOUR))
    whole, _ = explained(session(), wanted)
    assert "ix_attempts_failures" in whole
    assert "Sort" not in whole, whole
    assert "TEMP B-TREE" not in whole, whole
