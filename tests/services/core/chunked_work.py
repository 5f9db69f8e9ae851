"""Work that people start on many rows, each with enough rows for several chunks.

Each function runs in an empty database and returns its result.
"""

from typing import Any

from sqlalchemy import update

from jobs import tasks as job
from jobs.deliver import deliver_due
from portal.lib.clock import utcnow
from portal.lib.spreadsheets.sheets import read_csv
from portal.models.alerts import RunKind
from portal.models.assets import Action, Asset
from portal.models.assignments import Assignment, Staff
from portal.models.planning import Maintenance
from portal.models.tasks import Task
from portal.services import audit as audit_queries
from portal.services import tasks
from portal.services.actions import assignments, bulk
from portal.services.alerts import runs
from portal.services.assets.queries import AssetFilter
from portal.services.audit import TrailFilter
from portal.services.core.permissions import SYSTEM
from portal.services.core.time_zones import today
from portal.services.core.unit_of_work import session, writing
from portal.services.csv import export as csv_export
from portal.services.csv import import_task
from portal.services.deliveries import bulk_retry, bulk_retry_report, bulk_retry_selection
from portal.services.deliveries import log as log_pages
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from portal.services.task_kinds import KINDS
from tests.jobs.dispatcher.delivery_clock import end_pause
from tests.services.alerts.due_things import decided, in_days
from tests.services.core.keyset_walk import store
from tests.support.deliveries import make_delivery
from tests.support.factories import make_asset, make_staff, make_webhook
from tests.support.receiver import Answer, Received, Receiver

MANY = 3
DUE = (0, 1, 2, 4)
FAILED = LogFilter(status=StatusFilter.FAILED)


def things_that_are_due() -> None:
    """Store due rows for each alert, several in succession, and rows that are not due."""
    decided()
    make_webhook(events=["alert.low_stock", "alert.maintenance_due"])
    person = Staff(name="Ana", email="ana@example.com")
    store(person)
    long_ago = in_days(-9)
    for number in range(2 * MANY):
        is_due = number in DUE
        row = Asset(
            asset_tag=f"T-{number}",
            name="Thing",
            kind="stock",
            quantity=1,
            min_quantity=2 if is_due else 1,
            warranty_expires=today() if is_due else None,
        )
        store(row)
        store(
            Maintenance(asset_id=row.id, title="Check", due_on=in_days(0 if is_due else 99).date()),
            Assignment(
                asset_id=row.id,
                staff_id=person.id,
                kind="checkout",
                started_at=long_ago,
                due_at=in_days(-1 if is_due else 1),
                condition_out="good",
            ),
        )


def alerts_at_once() -> Any:
    """Preview alerts and then run them, as commands do."""
    things_that_are_due()
    now = utcnow()
    preview = runs.preview(now, shown=10)
    counts, first = dict(preview.counts), [(alert.event, alert.asset_id) for alert in preview.first]
    assert list(counts.values()) == [len(DUE)] * 4
    return counts, first, runs.has_due(now), runs.run(RunKind.SCHEDULED, now)


def alerts_as_long_work() -> Any:
    """Run alerts in a task, as the button does."""
    things_that_are_due()
    runs.request_run(SYSTEM)
    job.work(KINDS, 60)


def an_import() -> Any:
    """Check a file, import it, and return its failed rows."""
    store(Staff(name="Ana", email="ana@example.com"))
    make_asset("Lamp", asset_tag="L-1")
    lines = [
        f"Chair {n},C-{n},Chairs,{'' if n % 3 else 'ana@example.com'}," for n in range(2 * MANY)
    ]
    wrong = [f"Desk {n},D-{n},,,yesterday" for n in range(2 * MANY)]
    rows = [*lines[:MANY], *wrong, *lines[MANY:]]
    text = "\n".join(["name,asset_tag,category,assigned_to_email,purchase_date", *rows, "Lamp,L-1"])
    check = import_task.upload(SYSTEM, read_csv(text.encode()))
    job.work(KINDS, 60)
    import_task.confirm(SYSTEM, check)
    job.work(KINDS, 60)
    task = import_task.find_check(check)
    counts, failed = import_task.outcome_counts(task), list(import_task.failed_rows(task))
    assert counts == {"created": 2 * MANY, "error": 2 * MANY, "unchanged": 1}
    assert [row[1] for row in failed[1:]] == [f"D-{n}" for n in range(2 * MANY)]
    return failed


def a_bulk_action() -> Any:
    """Allocate many assets to one person while some belong to another person."""
    maria, ben = make_staff("Maria"), make_staff("Ben")
    ids = [make_asset(f"Chair {n}") for n in range(3 * MANY)]
    for asset_id in ids[1::3]:
        assignments.allocate(SYSTEM, asset_id, staff_id=ben)
    public_id = bulk.start(SYSTEM, Action.ALLOCATE, ids, {"staff_id": maria, "note": ""})
    job.work(KINDS, 60)
    counts = bulk.find(public_id).counts
    assert counts == {"done": 2 * MANY, "refused": MANY}
    return counts


def exports() -> Any:
    """Export the register, the log and the audit trail, whole and filtered."""
    assets = [make_asset(f"Chair {n}", serial_number=f"SN{n}") for n in range(MANY)]
    hook = make_webhook()
    made = [
        make_delivery(hook, asset_id=assets[n % MANY], status="failed" if n % 2 else "queued")
        for n in range(2 * MANY)
    ]
    logs = [[row.public_id for row in log_pages.every(each)] for each in (LogFilter(), FAILED)]
    assert logs == [made[::-1], made[::-2]]
    few = [row.public_id for row in log_pages.every(LogFilter(), most=MANY)]
    assert few == made[::-1][:MANY]
    sheet = [row[1] for row in csv_export.rows(AssetFilter())]
    assert sheet == ["name", *(f"Chair {n}" for n in range(MANY))]
    assert len(list(csv_export.rows(AssetFilter(search="SN1")))) == 2
    for number in range(MANY):
        bulk.start(SYSTEM, Action.DELETE, [assets[number]], {"reason": ""})
    return [each.action for each in audit_queries.every(TrailFilter())], sheet


def a_bulk_retry() -> Any:
    """Retry many deliveries to three receivers, one of which always fails."""

    def answer(received: Received) -> Answer | None:
        return Answer(500) if received.path == "/broken" else None

    with Receiver(answerer=answer) as receiver:
        hooks = [make_webhook(receiver.url + path) for path in ("fine", "broken", "other")]
        made = [make_delivery(hooks[n % 3], status="failed") for n in range(4 * MANY)]
        make_delivery(hooks[0], status="delivered")
        choice = bulk_retry_selection.Selection(
            wanted=FAILED, newest=bulk_retry_selection.newest_now()
        )
        counted = bulk_retry_selection.count(choice)
        batch = bulk_retry.start(SYSTEM, choice)
        make_delivery(hooks[0], status="failed")  # created after the selection, so not part of it
        for _ in range(40):
            _as_if_time_had_passed()
            end_pause()
            job.work(KINDS, 20)
            deliver_due()
            session().rollback()
            if tasks.find(batch).state in tasks.ENDED:
                break
        got = [delivery.header("X-Asset-Webhook-Id") for delivery, _ in receiver.answered]
    task = tasks.find(batch)
    report = [(row.outcome, row.public_id) for row in bulk_retry_report.report_rows(task)]
    ends = ["failed" if n % 3 == 1 else "delivered" for n in range(4 * MANY)]
    assert report == list(zip(ends, made, strict=True))
    assert len(got) == len(set(got)) == counted.total == task.total == 4 * MANY
    assert set(got) == {str(delivery) for delivery in made}
    return task.counts, sorted(counted.by_webhook.values())


def _as_if_time_had_passed() -> None:
    """Make batches due now, which otherwise look again after half a second."""
    with writing() as current:
        under_way = Task.state.in_(["waiting", "running"])
        current.execute(update(Task).where(under_way).values(due_at=Task.created_at))
