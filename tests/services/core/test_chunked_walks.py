"""Long work in chunks of two has the same result as in chunks of thousands, to the last row."""

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
# Each piece of work and the limits that split it into chunks.
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
    # tests/services/erasure/test_erasure.py covers these two
    "portal.services.erasure.places.ROWS_A_STEP",
    "portal.services.erasure.places.TASKS_A_STEP",
}
# The order of results depends on how many are written at once.
IN_NO_ORDER = {"attempts", "attempt_bodies"}


def test_every_chunk_limit_is_covered() -> None:
    named = {f"{module.__name__}.{name}" for bounds in WALKS.values() for module, name in bounds}
    assert named | APART == bounds_in_the_sources()


def test_databases_can_be_compared_across_minutes(app: Flask) -> None:
    seen, now = [], utcnow()
    for later in (timedelta(0), timedelta(minutes=1), timedelta(days=400)):
        empty_out(db.engine)
        make_asset(f"Wanted on {moment_words(now + later, ZoneInfo('Europe/Vienna'))}")
        seen.append(whole_database())
    assert differences(seen[0], seen[1]) == []
    assert differences(seen[0], seen[2]) == []


def bounds_in_the_sources() -> set[str]:
    """Return the dotted names of the constants that limit how many rows are taken at once."""
    names = set()
    for path in sorted([*(ROOT / "portal").rglob("*.py"), *(ROOT / "jobs").rglob("*.py")]):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Constant):
                name = ast.unparse(node.target)
                if type(node.value.value) is int and BOUND.search(name):
                    names.add(f"{module}.{name}")
    return names


@pytest.mark.parametrize("walk", WALKS, ids=lambda each: each.__name__)
def test_chunks_of_two_have_the_same_result_as_chunks_of_thousands(
    app: Flask, monkeypatch: pytest.MonkeyPatch, walk: Callable[[], Any]
) -> None:
    # Leases must not expire, even on a slow machine.
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
