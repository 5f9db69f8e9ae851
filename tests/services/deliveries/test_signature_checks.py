"""Signature checks are audited and throttled, so that they can't be used to guess keys."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from portal.models.audit import AuditEntry
from portal.models.people import SignInThrottle
from portal.services.core.unit_of_work import session, writing
from portal.services.deliveries.detail import find_delivery
from portal.services.deliveries.signature_checks import CHECKS, check_signature
from portal.services.people.sign_in_throttle import Throttled
from tests.support.deliveries import make_delivery
from tests.support.factories import Person, make_user, make_webhook

pytestmark = pytest.mark.usefixtures("app")

PASTED, BODY = "v1,what somebody pasted", "a body that somebody pasted"


@pytest.fixture
def check(app: Flask) -> Callable[[Person], None]:
    made = make_delivery(make_webhook(secret="a key that nobody guesses"))

    def run(person: Person) -> None:
        check_signature(person.actor, find_delivery(made), PASTED, BODY)

    return run


def told() -> list[AuditEntry]:
    session().rollback()
    return list(session().scalars(select(AuditEntry).order_by(AuditEntry.id)))


def let_pass(length: timedelta) -> None:
    with writing() as current:
        for row in current.scalars(select(SignInThrottle)):
            row.last_failed_at -= length
            row.blocked_until = row.blocked_until and row.blocked_until - length


def test_each_check_is_audited_without_the_pasted_text(check: Callable[[Person], None]) -> None:
    check(make_user("support", name="Ben"))
    (entry,) = told()
    assert (entry.actor_name, entry.action) == ("Ben", "delivery.signature_checked")
    assert (entry.target_kind, entry.target_name) == ("delivery", "asset.created AST-00007")
    everything = f"{entry.changes} {entry.target_id} {entry.target_name}"
    assert PASTED not in everything
    assert BODY not in everything


def test_many_checks_in_a_row_are_throttled_per_person(check: Callable[[Person], None]) -> None:
    ben, cleo = make_user("support"), make_user("support")
    for _ in range(CHECKS):
        check(ben)
    with pytest.raises(Throttled, match=r"Wait (30|29) seconds"):
        check(ben)
    check(cleo)
    assert len(told()) == CHECKS + 1, "what was refused was no check"


def test_the_count_restarts_after_five_quiet_minutes(check: Callable[[Person], None]) -> None:
    ben = make_user("support")
    for _ in range(2):
        for _ in range(CHECKS):
            check(ben)
        let_pass(timedelta(minutes=5, seconds=1))
