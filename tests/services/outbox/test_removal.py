"""What is no longer kept takes everything with it that belongs to it, and nothing else."""

import pytest
from flask import Flask
from sqlalchemy import func, select

from portal.models.deliveries import Attempt, AttemptBody, Delivery, Lease
from portal.services.core.unit_of_work import session, writing
from portal.services.outbox.rollups import remove_deliveries
from tests.support.deliveries import lease, make_attempt, make_delivery, stored

pytestmark = pytest.mark.both_databases

KINDS = (Delivery, Attempt, AttemptBody, Lease)


def counts() -> list[int]:
    session().rollback()
    return [session().scalar(select(func.count()).select_from(kind)) or 0 for kind in KINDS]


@pytest.mark.parametrize("is_asked", [False, True], ids=["ids", "query"])
def test_attempts_and_what_came_back_and_leases_go_with_a_delivery(
    app: Flask, *, is_asked: bool
) -> None:
    made = [make_delivery() for _ in range(3)]
    for each in made:
        make_attempt(each, reason="server", code=500)
        make_attempt(each, reason="dns")
        lease(each)
    assert counts() == [3, 6, 6, 3]
    ids = [stored(each)["id"] for each in made[:2]]
    with writing() as current:
        wanted = select(Delivery.id).where(Delivery.id.in_(ids)) if is_asked else ids
        remove_deliveries(current, wanted)
    assert counts() == [1, 2, 2, 1]
    assert session().scalars(select(Attempt.delivery_id).distinct()).all() == [
        stored(made[2])["id"]
    ]
