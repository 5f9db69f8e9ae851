"""An import whose worker is killed continues by itself and handles each row once.

It has 400 rows in `make test` and 10,000 with FAULTS=full (`make chaos`).
"""

import csv
import io
import logging
from itertools import pairwise
from time import monotonic
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select

from portal.extensions import db
from portal.lib.csv_cells import write_csv
from portal.lib.spreadsheets.sheets import read_csv
from portal.models.assets import Activity, Asset
from portal.models.deliveries import Event
from portal.models.tasks import Task, TaskState
from portal.services import tasks
from portal.services.csv import import_task
from tests.faults.support.durations import IMPORT_ROWS, IMPORT_SECONDS, IS_FULL
from tests.faults.support.load import look_again
from tests.faults.support.running_portal import BACKGROUND, RunningPortal
from tests.support.factories import make_user
from tests.support.processes import until

log = logging.getLogger(__name__)

BAD_EVERY = 100
pytestmark = pytest.mark.timeout(4 * IMPORT_SECONDS + 60)


def sheet_of(mark: str) -> bytes:
    """Return a CSV of chairs with unique tags. Each hundredth row is invalid, and one name is a
    formula."""
    lines = [
        f"{mark}-{number},{'=cmd|calc' if number == 1 else 'Chair'},"
        f"{'many' if number % BAD_EVERY == 0 else '12.50'}"
        for number in range(IMPORT_ROWS)
    ]
    return "\n".join(["asset_tag,name,purchase_cost", *lines]).encode()


def now(public_id: UUID) -> Task:
    look_again()
    return tasks.find(public_id)


def killed_half_way(portal: RunningPortal, public_id: UUID) -> list[int]:
    """Kill the task's worker halfway and wait for the end. Return the progress seen at each
    look."""
    seen = [0]

    def reached(part: float) -> bool:
        task = now(public_id)
        if task.done != seen[-1]:
            seen.append(task.done)
        return task.done >= task.total * part

    began = monotonic()
    assert until(lambda: reached(0.5), IMPORT_SECONDS)
    portal.kill(BACKGROUND)
    killed = monotonic()
    at = now(public_id).done
    assert until(lambda: reached(0) and seen[-1] > at, 30), "it did not go on by itself"
    went_on = monotonic() - killed
    assert until(lambda: reached(1) and now(public_id).state == TaskState.DONE, IMPORT_SECONDS)
    log.warning(
        "%s: killed at %s of %s, went on after %.1f s, done after %.1f s",
        *(now(public_id).kind, at, now(public_id).total, went_on, monotonic() - began),
    )
    assert 0 < at < now(public_id).total
    return seen


def count(kind: type[Asset] | type[Event], mark: str) -> int:
    look_again()
    query = select(func.count(kind.id)).where(kind.asset_tag.startswith(f"{mark}-"))
    return db.session.execute(query).scalar_one()


@pytest.mark.parametrize(
    "running_portal", ["sqlite", "postgres"] if IS_FULL else ["sqlite"], indirect=True
)
def test_a_killed_worker_loses_no_row_and_repeats_none(portal: RunningPortal) -> None:
    mark, actor = f"C{uuid4().hex[:6]}", make_user().actor
    check = import_task.upload(actor, read_csv(sheet_of(mark)))
    bad = IMPORT_ROWS // BAD_EVERY
    killed_half_way(portal, check)
    assert now(check).counts == {"create": IMPORT_ROWS - bad, "error": bad}
    assert count(Asset, mark) == 0
    assert until(portal.is_whole, 20)

    task = import_task.confirm(actor, check)
    assert import_task.confirm(actor, check) == task
    seen = killed_half_way(portal, task)
    assert len(seen) > 3
    assert all(before < after for before, after in pairwise(seen))
    assert now(task).counts == {"created": IMPORT_ROWS - bad}
    assert (count(Asset, mark), count(Event, mark)) == (IMPORT_ROWS - bad,) * 2
    lines = select(func.count(Activity.id)).join(Asset, Asset.id == Activity.asset_id)
    lines = lines.where(Asset.asset_tag.startswith(f"{mark}-"))
    assert db.session.execute(lines).scalar_one() == IMPORT_ROWS - bad
    failed_rows_say_why(check, bad)


def failed_rows_say_why(check: UUID, bad: int) -> None:
    text = "".join(write_csv(import_task.failed_rows(import_task.find_check(check))))
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
    assert len(rows) == bad
    assert {row["problem"] for row in rows} == {
        "purchase_cost: Enter the purchase cost in digits, such as 1,250.00, not “many”"
    }
