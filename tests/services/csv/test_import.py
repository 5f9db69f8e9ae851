"""Import: the check predicts each row, and each row is done once, even after a kill."""

import io
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from jobs import tasks as job
from portal.extensions import settings
from portal.lib.csv_cells import write_csv
from portal.lib.file_lock import FileLock
from portal.lib.spreadsheets.sheets import Sheet, read_csv
from portal.models.assets import Asset, Category
from portal.models.tasks import Task, TaskRow, TaskState
from portal.services import tasks
from portal.services import tasks as task_leases
from portal.services.actions import assignments
from portal.services.assets.queries import AssetFilter
from portal.services.core.refusals import NotFound, Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.csv import export as csv_export
from portal.services.csv import import_task
from portal.services.task_kinds import KINDS
from tests.lib.spreadsheets.workbook_files import cells_of, ods, xlsx
from tests.services.actions.plan_examples import bodies
from tests.services.csv.import_steps import check, found, run
from tests.support.factories import make_asset, make_category, make_staff, make_user


def test_an_unquoted_comma_is_an_error_and_cuts_no_name(app: Flask) -> None:
    ((number, outcome, message),) = found(check(make_user(), "name\nDesk, large\n"))
    assert (number, outcome) == (2, "error")
    assert "“large” has no column" in message


def test_a_dry_run_predicts_each_row_and_changes_nothing(app: Flask) -> None:
    make_category("Laptops")
    make_asset("Lamp", asset_tag="L-1", serial_number="S1")
    make_asset("Toner", asset_tag="T-1", kind="stock", quantity=4)
    before = len(bodies())
    public_id = check(
        make_user(),
        "asset_tag;Name;CATEGORY;purchase_cost;quantity;kind;serial number;status\n"
        "L-1;Desk lamp;;;;;;broken\n"
        "l-1;;;;;;;\n"
        "T-1;;;;9;;;\n"
        ";ThinkPad;laptops;1249,5;;;;\n"
        ";;;;;;;\n"
        "X-1;;;;;;;\n"
        ";Chair;Chairs;;;;;\n"
        ";Chair;;a lot;;;;\n"
        ";Chair;;;;;s1;\n"
        ";Paper;;;many;stock;;\n"
        "T-1;;;;;item;;\n",
        change_existing=True,
    )
    assert found(public_id) == [
        (2, "update", ""),
        (3, "error", "asset_tag: Row 2 already has this tag"),
        (4, "unchanged", "Left out: quantity 9"),
        (5, "create", ""),
        (7, "error", "Name: No asset has the tag X-1. To add one with it, enter its name"),
        (8, "create", ""),
        (
            9,
            "error",
            "purchase_cost: Enter the purchase cost in digits, such as 1,250.00, not “a lot”",
        ),
        (
            10,
            "error",
            "serial number: L-1 already has this serial number. "
            "If this row is for that asset, enter L-1 as its tag",
        ),
        (11, "error", "quantity: Enter the number in digits, such as 25, not “many”"),
        (
            12,
            "error",
            "asset_tag: Row 4 already has this tag\n"
            "kind: This asset is a consumable. You can’t change its kind",
        ),
    ]
    assert len(bodies()) == before
    task = tasks.find(public_id)
    assert task.counts == {"update": 1, "error": 6, "unchanged": 1, "create": 2}
    assert task.params["notes"]["faults"] == {
        "twice:asset_tag": 2,
        "other:name": 1,
        "unread:purchase_cost": 1,
        "other:serial_number": 1,
        "unread:quantity": 1,
        "other:kind": 1,
    }
    assert task.params["left_alone"] == ["status"]


def test_a_confirmed_import_applies_each_row_and_publishes_its_events(app: Flask) -> None:
    person, maria = make_user(name="Ana"), make_staff("Maria", email="maria@example.com")
    make_asset("Lamp", asset_tag="L-1", notes="By the door")
    public_id = check(
        person,
        "name,asset_tag,location,reservable,kind,quantity,min_quantity,assigned_to_email,notes\n"
        "Desk lamp,L-1,,no,,,,,\n"
        "Camera,,Studio,,,,,MARIA@example.com,\n"
        "Toner,,Studio,,stock,12,4,,\n",
        change_existing=True,
    )
    assert [outcome for _, outcome, _ in found(public_id)] == ["update", "create", "create"]
    first = import_task.confirm(person.actor, public_id)
    assert import_task.confirm(person.actor, public_id) == first
    assert run(person, public_id).counts == {"updated": 1, "created": 2}
    events = bodies()[1:]
    assert [body["event"] for body in events] == [
        "asset.updated",
        "asset.created",
        "asset.allocated",
        "asset.created",
    ]
    assert events[0]["data"]["changed_fields"] == ["name", "reservable"]
    assert events[2]["data"]["staff"]["id"] == maria
    assert events[3]["asset"]["quantity"] == 12
    assert events[3]["asset"]["location"]["name"] == "Studio"
    assert {body["data"]["origin"] for body in events} == {"import"}
    assert events[0]["data"]["actor"] == {"type": "import", "id": person.id, "name": "Ana"}
    assert [outcome for _, outcome, _ in found(public_id)] == ["updated", "created", "created"]


def test_a_row_outdated_since_the_check_fails_with_a_reason(app: Flask) -> None:
    person = make_user()
    public_id = check(person, "name,asset_tag,serial_number\nA,A-1,S1\nB,B-1,S2\n")
    make_asset("Other", serial_number="S1")
    assert run(person, public_id).counts == {"failed": 1, "created": 1}
    lines = list(import_task.failed_rows(import_task.find_check(public_id)))
    assert lines == [
        ("name", "asset_tag", "serial_number", "problem"),
        ("A", "A-1", "S1", "serial_number: AST-00001 already has this serial number"),
    ]


def test_corrected_failed_rows_can_be_imported_again(app: Flask) -> None:
    person = make_user()
    public_id = check(person, "name,purchase_date\nA,yesterday\nB,2026-01-02\n=1,never\n")
    run(person, public_id)
    text = "".join(write_csv(import_task.failed_rows(import_task.find_check(public_id))))
    assert "'=1" in text
    again = check(person, text.replace("yesterday", "2026-01-03").replace("never", ""))
    assert [outcome for _, outcome, _ in found(again)] == ["create", "create"]
    assert run(person, again).counts == {"created": 2}
    session().rollback()
    assert session().scalars(select(Asset.name).order_by(Asset.name)).all() == ["=1", "A", "B"]


def test_an_export_imports_again_without_a_change(app: Flask) -> None:
    person = make_user()
    make_asset("Toner", kind="stock", quantity=3, min_quantity=1, unit="box")
    camera = make_asset(
        "=Camera",
        notes='two\nlines, “quoted” "so"',
        category_id=make_category("@home"),
        purchase_cost=Decimal("12.50"),
        purchase_date=date(2026, 1, 2),
        warranty_expires=date(2027, 1, 2),
        reservable=False,
    )
    assignments.allocate(person.actor, camera, staff_id=make_staff())
    text = "".join(write_csv(csv_export.rows(AssetFilter())))
    public_id = check(person, text)
    assert [row[1:] for row in found(public_id)] == [("unchanged", ""), ("unchanged", "")]
    with pytest.raises(Refusal, match="nothing to import"):
        import_task.confirm(person.actor, public_id)


def test_a_killed_import_resumes_and_does_each_row_once(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = make_user()
    lines = "".join(f"Chair {number},C-{number},Chairs\n" for number in range(120))
    public_id = check(person, f"name,asset_tag,category\n{lines}")
    task_id = import_task.confirm(person.actor, public_id)
    kind, steps = KINDS["import"], 0

    def step(current: Any, task: Task) -> tasks.Step:
        nonlocal steps
        steps += 1
        done = kind.step(current, task)
        if steps == 3:
            raise KeyboardInterrupt  # the process dies with its transaction open
        return done

    dying = tasks.Kind(name="import", permission=kind.permission, step=step)
    with pytest.raises(KeyboardInterrupt):
        job.work({"import": dying})
    session().rollback()
    half = tasks.find(task_id)
    assert 0 < half.done < 120
    with writing() as current:
        current.execute(update(Task).values(lease_until=Task.created_at))
    assert task_leases.has_due()
    job.work(KINDS, seconds=60)
    session().rollback()
    whole = tasks.find(task_id)
    assert (whole.state, whole.counts) == (TaskState.DONE, {"created": 120})
    assert session().scalar(select(func.count(Asset.id))) == 120
    assert session().scalar(select(func.count(Category.id))) == 1
    assert len(bodies()) == 120


def test_a_new_upload_replaces_the_persons_earlier_ones_that_were_not_imported(
    app: Flask,
) -> None:
    ana, ben = make_user(), make_user()
    begun, others = check(ana, "name\nA\n"), check(ben, "name\nB\n")
    import_task.confirm(ana.actor, begun)
    checked = check(ana, "name\nC\n")
    waiting = import_task.upload(ana.actor, read_csv(b"name\nD\n"))
    asked = import_task.upload(ana.actor, read_csv(b"title\nE\n"), asks=True)
    newest = check(ana, "name\nF\n")
    kept = session().scalars(select(Task.public_id).where(Task.kind == "import_check"))
    assert set(kept) == {begun, others, newest}
    assert session().scalar(select(func.count()).select_from(TaskRow)) == 3
    for gone in (checked, waiting, asked):
        with pytest.raises(NotFound, match="A newer upload replaces"):
            import_task.find_check(gone)


def test_an_import_needs_a_finished_check_of_a_file_with_known_columns(app: Flask) -> None:
    person = make_user()
    public_id = import_task.upload(person.actor, read_csv(b"name\nA\n"))
    with pytest.raises(Refusal, match="Wait until the check finishes"):
        import_task.confirm(person.actor, public_id)
    job.work(KINDS)
    started = import_task.confirm(person.actor, public_id)
    with pytest.raises(Refusal, match="no import"):
        import_task.confirm(person.actor, started)
    with pytest.raises(Refusal, match="asset_tag or name"):
        import_task.upload(person.actor, read_csv(b"model\nA\n"))


ROWS = [["name", "notes"], ["Chair", "red"]]


CSV, EXCEL = b"name,notes\nChair,red\n", xlsx(cells_of(ROWS))


# A file with the maximum number of columns.
WIDEST = b",".join(b"c%d" % number for number in range(200)) + (b"\n" + b"ab," * 200) * 5_000


def read(content: bytes) -> Sheet:
    return import_task.read_upload(io.BytesIO(content))


def test_csv_excel_and_ods_are_read_alike(app: Flask) -> None:
    for content in (CSV, EXCEL, ods(ROWS)):
        sheet = read(content)
        for _ in range(2):  # rows can be read more than once
            assert [(row.number, row.cells) for row in sheet.rows] == [
                (2, {"name": "Chair", "notes": "red"})
            ]


@contextmanager
def both_places_taken() -> Iterator[FileLock]:
    folder = settings().instance_dir / import_task.READING_FOLDER
    folder.mkdir(exist_ok=True)
    first, second = (FileLock.take(folder / str(number)) for number in range(2))
    assert first is not None
    assert second is not None
    yield second
    first.release()
    second.release()


def test_a_machine_reads_at_most_two_files_at_a_time(app: Flask) -> None:
    for content in (CSV, EXCEL):
        with both_places_taken() as second:
            with pytest.raises(Refusal, match="We’re reading other files") as refused:
                read(content)
            assert refused.value.field == "file"
            second.release()
            for _ in range(3):
                assert list(read(content).rows)


def test_a_damaged_file_is_refused_at_its_field(app: Flask) -> None:
    with pytest.raises(Refusal, match="incomplete or damaged") as refused:
        read(b"PK\x03\x04")
    assert refused.value.field == "file"


def test_a_large_text_takes_little_memory(app: Flask) -> None:
    for content, count in (
        (b"," * (4 << 20), None),
        (b"name\n" + b"," * (4 << 20), None),
        (WIDEST, 5_000),
    ):
        file = io.BytesIO(content)
        tracemalloc.start()
        try:
            if count is None:
                with pytest.raises(Refusal, match="more than 200 columns"):
                    import_task.read_upload(file)
            else:
                assert sum(1 for _ in import_task.read_upload(file).rows) == count
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 1 << 20, content
