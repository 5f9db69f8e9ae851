"""Long work in chunks of two does what it does in chunks of thousands, to the last row."""

import ast
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from jobs.dispatcher import result_batches
from portal.extensions import db, settings
from portal.lib.clock import utcnow
from portal.services import audit as audit_queries
from portal.services import tasks
from portal.services.actions.planning import reservations
from portal.services.alerts import kinds
from portal.services.core import queries as core_queries
from portal.services.core.time_zones import moment_words
from portal.services.csv import export as csv_export
from portal.services.csv import import_task
from portal.services.deliveries import (
    bulk_retry,
    bulk_retry_report,
    bulk_retry_selection,
    dismissals,
)
from portal.services.deliveries import log as log_pages
from portal.services.dispatch import maintenance
from portal.services.operations import retention
from portal.services.outbox import rollups
from portal.services.webhooks import held_deliveries, keys, rows, turn_on_off
from tests.conftest import put_equipment_away
from tests.services.core import chunked_upkeep, chunked_work
from tests.services.core.keyset_walk import ROOT
from tests.services.core.whole_database import differences, whole_database
from tests.support.database.empty_database import empty_out
from tests.support.factories import make_asset

pytestmark = pytest.mark.both_databases

FEW, THOUSANDS = 2, 10_000
Bound = tuple[ModuleType, str]
OFF: Sequence[Bound] = ((turn_on_off, "HOLD_BATCH"), (turn_on_off, "A_STATEMENT"))
RETRIED: Sequence[Bound] = (
    (bulk_retry_selection, "CHUNK"),
    (bulk_retry, "MOST_UNDER_WAY"),
    (bulk_retry, "A_STEP"),
    (bulk_retry_report, "CHUNK"),
)
# What is done, and the bounds that cut it into pieces.
WALKS: dict[Callable[[], Any], Sequence[Bound]] = {
    chunked_work.alerts_at_once: [(kinds, "CHUNK")],
    chunked_work.alerts_as_long_work: [(kinds, "CHUNK")],
    chunked_work.an_import: [(import_task, "CHUNK"), (tasks, "ROWS")],
    chunked_work.a_bulk_action: [(tasks, "ROWS")],
    chunked_work.a_bulk_retry: RETRIED,
    chunked_work.exports: [
        (log_pages, "EXPORT_CHUNK"),
        (audit_queries, "EXPORT_CHUNK"),
        (csv_export, "CHUNK"),
    ],
    chunked_upkeep.letting_go: [
        (retention, "BATCH"),
        (retention, "WINDOW"),
        (rollups, "HOURS_A_STEP"),
        (core_queries, "ROWS_A_STEP"),
        (rows, "DRAFTS_A_STEP"),
    ],
    chunked_upkeep.off_and_on_again: OFF,
    chunked_upkeep.on_again_in_the_middle: [*OFF, (dismissals, "A_STEP")],
    chunked_upkeep.deleted: OFF,
    chunked_upkeep.chosen_one_by_one: [(held_deliveries, "CHUNK"), (turn_on_off, "A_STATEMENT")],
    chunked_upkeep.spread: [(maintenance, "SPREAD_A_STEP")],
    chunked_upkeep.a_new_key: [(keys, "BATCH")],
    chunked_upkeep.reservations_that_run_out: [(reservations, "EXPIRED_A_RUN")],
    chunked_upkeep.recording: [(result_batches, "FLUSH_AT"), (result_batches, "RESULTS_A_WRITE")],
}
BOUND = re.compile(
    r"(CHUNK|BATCH|UNDER_WAY|A_STEP|A_RUN|A_WRITE|A_STATEMENT|ROWS|WINDOW|FLUSH_AT)$"
)
APART = {
    "portal.lib.spreadsheets.sheets.MOST_ROWS",  # a file with more is refused
    # tests/services/erasure/test_erasure.py: small stretches end as one large one
    "portal.services.erasure.places.ROWS_A_STEP",
    "portal.services.erasure.places.TASKS_A_STEP",
}
# Which results come first differs with how many are written at once.
IN_NO_ORDER = {"attempts", "attempt_bodies"}


def test_no_bound_of_a_walk_is_left_out() -> None:
    named = {f"{module.__name__}.{name}" for bounds in WALKS.values() for module, name in bounds}
    assert named | APART == bounds_in_the_sources()


def test_two_that_are_compared_may_lie_in_two_minutes(app: Flask) -> None:
    seen, now = [], utcnow()
    for later in (timedelta(0), timedelta(minutes=1), timedelta(days=400)):
        empty_out(db.engine)
        make_asset(f"Wanted on {moment_words(now + later, ZoneInfo('Europe/Vienna'))}")
        seen.append(whole_database())
    assert differences(seen[0], seen[1]) == []
    assert differences(seen[0], seen[2]) == []


def bounds_in_the_sources() -> set[str]:
    """The dotted names of the constants that say how many rows are taken at once."""
    found = set()
    for path in sorted([*(ROOT / "portal").rglob("*.py"), *(ROOT / "jobs").rglob("*.py")]):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Constant):
                name = ast.unparse(node.target)
                if type(node.value.value) is int and BOUND.search(name):
                    found.add(f"{module}.{name}")
    return found


@pytest.mark.parametrize("walk", WALKS, ids=lambda each: each.__name__)
def test_two_at_a_time_come_to_the_same_as_thousands(
    app: Flask, monkeypatch: pytest.MonkeyPatch, walk: Callable[[], Any]
) -> None:
    # No lease runs out, however slow the machine is.
    monkeypatch.setitem(app.extensions, "settings", replace(settings(), lease_margin=60))
    seen = []
    for size in (FEW, THOUSANDS):
        put_equipment_away(app)
        empty_out(db.engine)
        for module, name in WALKS[walk]:
            monkeypatch.setattr(module, name, size)
        seen.append((walk(), whole_database(besides=IN_NO_ORDER)))
    assert seen[0][0] == seen[1][0]
    assert differences(seen[0][1], seen[1][1]) == []
