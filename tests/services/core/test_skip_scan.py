"""The different values of an index, one step for each."""

import pytest
from flask import Flask
from sqlalchemy import text

from portal.services.core.unit_of_work import session
from portal.services.deliveries.bulk_retry import WAITING_AT as WAITING
from portal.services.outbox.claimable import with_open_rows
from tests.support.deliveries import make_delivery
from tests.support.factories import make_webhook

pytestmark = pytest.mark.both_databases


def test_each_is_found_once_in_order_and_others_are_not(app: Flask) -> None:
    hooks = [make_webhook() for _ in range(4)]
    for hook in (hooks[2], hooks[0], hooks[2], hooks[0]):
        make_delivery(hook)
    make_delivery(hooks[3], status="delivered")
    connection = session().connection()
    found = connection.execute(with_open_rows(connection.dialect.name)).scalars().all()
    assert found == [hooks[0].id, hooks[2].id]


def test_a_long_batch_is_stepped_through_by_its_index(app: Flask) -> None:
    current = session()
    if current.connection().dialect.name != "sqlite":
        pytest.skip("the plans of SQLite alone are the same every time")
    plan = text(f"EXPLAIN QUERY PLAN {WAITING}")
    steps = [row.detail for row in current.execute(plan, {"task": 1, "outcome": "waiting"})]
    reads = [step for step in steps if "batch_rows" in step]
    assert len(reads) == 2
    assert all("ix_batch_rows_next (task_id=? AND outcome=?" in step for step in reads)
