"""The reason of the scheduled attempts, which a Retry that fails otherwise would hide."""

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
    """Return the earlier reasons of these deliveries, with their counts."""
    ids = {stored(reason)["id"]: reason for reason in asked}
    reasons = earlier_reasons(session(), list(ids))
    return {ids[row_id]: f"{reason.words}, {reason.count}" for row_id, reason in reasons.items()}


def test_the_most_common_reason_counts_and_the_later_one_breaks_a_tie(app: Flask) -> None:
    many, later = failed([SERVER, SERVER, REFUSED, AUTH]), failed([REFUSED, SERVER, AUTH])
    assert told(many, later) == {many: "Server error (500), 2", later: "Server error (500), 1"}


def test_an_earlier_reason_is_shown_only_if_a_last_retry_failed_otherwise(app: Flask) -> None:
    shown = [[SERVER, SERVER], [SERVER, SAME], [AUTH], [AUTH, SERVER], [SERVER, AUTH, ARRIVED]]
    assert told(*map(failed, shown)) == {}
    codes = failed([BUSY, SAME])
    assert told(codes) == {codes: "Server error (503), 1"}


def test_earlier_retries_with_the_same_reason_are_counted_too(app: Flask) -> None:
    made = failed([SERVER, SERVER, SAME, ("manual", "refused", None), AUTH])
    assert told(made) == {made: "Server error (500), 3"}


def test_only_the_requested_deliveries_are_read(app: Flask) -> None:
    one, other = failed([SERVER, AUTH]), failed([REFUSED, AUTH])
    assert told() == {}
    assert list(told(one)) == [one]
    assert list(told(other)) == [other]
