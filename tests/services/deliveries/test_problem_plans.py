"""Problems are read from the index of what failed, on both databases, and never from the log."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select

from portal.lib.clock import utcnow
from portal.models.deliveries import Delivery
from portal.services.core.unit_of_work import session
from portal.services.deliveries import log_query, problems
from portal.services.deliveries.log_query import page_statement
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from tests.services.deliveries.test_log_plans import explained
from tests.support.database.kept_filling import told_once
from tests.support.deliveries import make_delivery, make_many
from tests.support.factories import Hook, make_webhook

pytestmark = pytest.mark.both_databases

ROWS = 4000
INDEX = "ix_deliveries_failures"


@pytest.fixture
def hook(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Hook:
    """A webhook among four, with thousands of deliveries that the planner has been told about."""
    monkeypatch.setattr(log_query, "MOST_READ", 200)
    return told_once(_fill)


def _fill() -> Hook:
    hooks = [make_webhook() for _ in range(4)]
    make_many(hooks, ROWS, utcnow() - timedelta(seconds=ROWS))
    return hooks[1]


def reads_the_log(lines: str) -> bool:
    """Whether any line of a plan reads deliveries otherwise than by a search of an index."""
    bad = ("SCAN deliveries\n", "Seq Scan on deliveries")
    return any(each in f"{lines}\n" for each in bad)


def test_the_groups_are_found_step_by_step_in_the_index_of_what_failed(hook: Hook) -> None:
    current = session()
    dialect = current.get_bind().dialect.name
    for with_reason in (True, False):
        found = problems._pairs(dialect, with_reason=with_reason, of_one=False)
        whole, lines = explained(current, found)
        assert not reads_the_log(lines), whole
        assert "Bitmap" not in whole, whole
        assert {line.split(" ix_")[1].split()[0] for line in lines.splitlines()} == {INDEX[3:]}, (
            whole
        )


def test_they_are_those_that_there_are_each_with_the_time_of_its_last_failure(hook: Hook) -> None:
    make_delivery(hook, status="failed", reason="gone", code=410)
    current = session()
    dialect, columns = current.get_bind().dialect.name, (Delivery.webhook_id, Delivery.reason)
    failed = select(*columns, func.max(Delivery.finished_at)).where(Delivery.status == "failed")
    there_are = {tuple(row) for row in current.execute(failed.group_by(*columns))}
    found = current.execute(problems._pairs(dialect, with_reason=True, of_one=False))
    assert {tuple(row) for row in found if row.last} == there_are
    assert len(there_are) >= 3


def test_each_group_is_counted_along_that_index(hook: Hook) -> None:
    current = session()
    for is_untried in (False, True):
        wanted = problems._failures(is_untried=is_untried)
        given = {"webhook": hook.id} | ({} if is_untried else {"reason": "server"})
        whole, lines = explained(current, wanted.params(**given))
        assert INDEX in lines, whole
        assert not reads_the_log(lines), whole
        searched = [line for line in whole.splitlines() if "Cond" in line or INDEX in line]
        assert any("finished_at" in line for line in searched), whole


@pytest.mark.parametrize("is_of_one", [False, True])
def test_what_a_problem_opens_walks_the_statuses_of_its_webhook(
    hook: Hook, monkeypatch: pytest.MonkeyPatch, is_of_one: bool
) -> None:
    current = session()
    webhook = hook.public_id if is_of_one else None
    wanted = LogFilter(status=StatusFilter.ATTENTION, webhook=webhook)
    if is_of_one:
        monkeypatch.setattr(log_query, "MOST_READ", 20_000)
    scan = log_query.scan_for(current, wanted, None, utcnow())
    assert scan is not None
    whole, lines = explained(current, page_statement(scan, newer=False, limit=51))
    assert not reads_the_log(lines), whole
    # However long its log is: not along all that the webhook was ever sent.
    assert "ix_deliveries_webhook_id_id" not in lines, whole
    if not is_of_one:
        assert lines.count("ix_deliveries_status_id") >= 2, whole
