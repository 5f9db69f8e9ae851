"""What a Retry that failed otherwise hides: why the planned attempts before it failed."""

from collections.abc import Sequence
from uuid import UUID

from flask import Flask

from portal.services.core.unit_of_work import session
from portal.services.deliveries.answers import earlier_reasons
from tests.support.deliveries import make_attempt, make_delivery, stored

SERVER, BUSY = ("scheduled", "server", 500), ("scheduled", "server", 503)
REFUSED, AUTH = ("scheduled", "refused", None), ("manual", "auth", 401)
SAME, ARRIVED = ("manual", "server", 500), ("manual", None, 200)


def failed(attempts: Sequence[tuple[str, str | None, int | None]]) -> UUID:
    made = make_delivery(status="failed")
    for kind, reason, code in attempts:
        outcome = "failed" if reason else "delivered"
        make_attempt(made, kind=kind, reason=reason, code=code, outcome=outcome)
    return made


def told(*asked: UUID) -> dict[UUID, str]:
    """What is said of each that was asked about, and of no other."""
    ids = {stored(each)["id"]: each for each in asked}
    found = earlier_reasons(session(), list(ids))
    return {ids[row_id]: f"{each.words}, {each.count}" for row_id, each in found.items()}


def test_it_is_the_usual_one_of_those_and_of_as_many_the_later(app: Flask) -> None:
    many, later = failed([SERVER, SERVER, REFUSED, AUTH]), failed([REFUSED, SERVER, AUTH])
    assert told(many, later) == {many: "Server error (500), 2", later: "Server error (500), 1"}


def test_it_is_said_only_where_a_retry_came_last_and_failed_otherwise(app: Flask) -> None:
    shown = [[SERVER, SERVER], [SERVER, SAME], [AUTH], [AUTH, SERVER], [SERVER, AUTH, ARRIVED]]
    assert told(*map(failed, shown)) == {}
    codes = failed([BUSY, SAME])
    assert told(codes) == {codes: "Server error (503), 1"}


def test_retries_before_the_last_one_that_ended_the_same_are_counted_too(app: Flask) -> None:
    made = failed([SERVER, SERVER, SAME, ("manual", "refused", None), AUTH])
    assert told(made) == {made: "Server error (500), 3"}


def test_nothing_is_read_of_what_nobody_asked_about(app: Flask) -> None:
    one, other = failed([SERVER, AUTH]), failed([REFUSED, AUTH])
    assert told() == {}
    assert list(told(one)) == [one]
    assert list(told(other)) == [other]
