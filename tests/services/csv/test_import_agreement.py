"""The import does with each row exactly what the check of the file predicted."""

from collections import Counter
from datetime import timedelta
from random import Random
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select

from jobs import tasks as job
from portal.lib.clock import utcnow
from portal.lib.csv_cells import write_csv
from portal.lib.spreadsheets.sheets import read_csv
from portal.models.assets import Asset, Category
from portal.models.assignments import Assignment, Staff
from portal.models.planning import Reservation
from portal.models.tasks import TaskRow
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import session
from portal.services.csv import import_task
from portal.services.csv.export import COLUMNS
from portal.services.task_kinds import KINDS
from tests.services.actions.plan_examples import bodies
from tests.services.core.keyset_walk import every, store

pytestmark = pytest.mark.both_databases

ROWS = 80
DONE = {"create": "created", "update": "updated", "unchanged": "unchanged", "error": "error"}
# Valid and invalid cell texts. Most cells are left blank.
CELLS = {
    "name": ["", "Größe 4", "x" * 121],
    "kind": ["item", "stock", "Stock", "box"],
    "category": ["Desks", "desks", "Chairs", "chairs", "y" * 121],
    "manufacturer": ["Acme"],
    "location": ["Hall", "Attic"],
    "purchase_date": ["2026-01-02", "3.5.2026", "yesterday", "1776-07-04"],
    "purchase_cost": ["1.250,00", "12", "12.345", "much"],
    "warranty_expires": ["2026-01-01", "2028-01-01"],
    "condition": ["good", "POOR", "new"],
    "reservable": ["yes", "no", "perhaps"],
    "quantity": ["1", "4", "04", "many"],
    "min_quantity": ["2", "-1"],
    "unit": ["box", "z" * 41],
    "notes": ["two\nlines", "=1+1"],
    "assigned_to_email": ["ana@example.com", "BEN@example.com", "left@example.com", "no@where"],
}


def a_register(rows: int) -> None:
    """Store one asset per row that the row can be about, in various states."""
    ana = Staff(name="Ana", email="ana@example.com")
    ben = Staff(name="Ben", email="ben@example.com")
    store(ana, ben, Staff(name="Cleo", email="left@example.com", is_active=False))
    store(Category(name="Desks"))
    now = utcnow()
    for number in range(rows):
        stock = number % 5 == 4
        row = Asset(
            asset_tag=f"E-{number}",
            name="Lamp",
            kind="stock" if stock else "item",
            quantity=4 if stock else None,
            serial_number=f"S{number}",
            status=("available", "allocated", "liquidated", "lost", "available")[number % 5],
            deleted_at=now if number % 17 == 16 else None,
        )
        store(row)
        of_it = {"asset_id": row.id, "staff_id": ana.id}
        if row.status == "allocated":
            held = {"kind": "allocation", "started_at": now, "condition_out": "good"}
            store(Assignment(**of_it, **held))
        if number % 10 == 5:
            day = timedelta(days=1)
            store(Reservation(**of_it, state="approved", starts_at=now - day, ends_at=now + day))


def a_file(rows: int, seed: int) -> str:
    """Build a file with a row about each asset or a new one, with or without a tag."""
    chance = Random(seed)  # noqa: S311 - picks examples
    lines: list[tuple[str, ...]] = [COLUMNS]
    for number in range(rows):
        tag = chance.choice([f"E-{number}", f"e-{number}", f"N-{number}", "", f"AST-{number:05}"])
        columns = chance.sample(sorted(CELLS), chance.choice([0, 1, 1, 2, 3]))
        cells = {"name": "Lamp", **{name: chance.choice(CELLS[name]) for name in columns}}
        serials = [f"S{number}", f"s{number + 1}", f"U{number}", *[""] * 6]
        cells |= {"asset_tag": tag, "serial_number": chance.choice(serials)}
        lines.append(tuple(cells.get(name, "") for name in COLUMNS))
    return "".join(write_csv(lines))


def checked(text: str) -> UUID:
    """Upload a file, finish its check, and return the public id of the check."""
    public_id = import_task.upload(SYSTEM, read_csv(text.encode()), change_existing=True)
    job.work(KINDS, 60)
    return public_id


def rows_of(check: UUID) -> list[tuple[int, str | None, int | None, str]]:
    """Reload number, outcome, asset and message of each row."""
    session().rollback()
    task_id = import_task.find_check(check).id
    query = select(TaskRow).where(TaskRow.task_id == task_id).order_by(TaskRow.number)
    rows = session().scalars(query.execution_options(populate_existing=True))
    return [(row.number, row.outcome, row.asset_id, row.message) for row in rows]


@pytest.mark.parametrize("seed", [0, 1])
def test_each_row_has_the_outcome_that_the_check_predicted(app: Flask, seed: int) -> None:
    a_register(ROWS)
    text = a_file(ROWS, seed)
    check = checked(text)
    before = rows_of(check)
    assert bodies() == []
    import_task.confirm(SYSTEM, check)
    job.work(KINDS, 60)
    after = rows_of(check)
    said = Counter(outcome for _, outcome, _, _ in before)
    assert min(said[verdict] for verdict in DONE) > 1, said
    wrong = [
        (now, then)
        for then, now in zip(before, after, strict=True)
        if now[1] != DONE[str(then[1])] or then[2] not in (None, now[2])
    ]
    assert wrong == []
    touched = {asset_id for _, outcome, asset_id, _ in after if outcome in ("created", "updated")}
    assert {body["asset_id"] for body in bodies()} == touched
    created = [body["asset_id"] for body in bodies() if body["event"] == "asset.created"]
    assert len(created) == len(set(created)) == said["create"]
    # A second import changes nothing, except for rows without a tag to identify them.
    tagged = {row.number for row in read_csv(text.encode()).rows if row.cells.get("asset_tag")}
    again = {number: outcome for number, outcome, _, _ in rows_of(checked(text))}
    assert {again[row[0]] for row in before if row[1] != "error" and row[0] in tagged} == {
        "unchanged"
    }


def test_a_tag_used_in_the_file_is_not_generated_for_another_row(app: Flask) -> None:
    check = checked("name,asset_tag\nChair,\nLamp,AST-00001\nDesk,\nSofa,ast-00003\n")
    import_task.confirm(SYSTEM, check)
    job.work(KINDS)
    assert [outcome for _, outcome, _, _ in rows_of(check)] == ["created"] * 4
    tags = {row.name: row.asset_tag for row in every(Asset)}
    assert tags == {
        "Chair": "AST-00002",
        "Lamp": "AST-00001",
        "Desk": "AST-00004",
        "Sofa": "ast-00003",
    }


@pytest.mark.parametrize("shown", [None, "error"])
def test_the_rows_of_a_check_are_paged(
    app: Flask, monkeypatch: pytest.MonkeyPatch, shown: str | None
) -> None:
    monkeypatch.setattr(import_task, "PAGE_SIZE", 2)
    lines = [f"Chair {n},{'never' if n % 3 else ''}" for n in range(9)]
    task = import_task.find_check(checked("\n".join(["name,purchase_date", *lines])))
    seen: list[int] = []
    after: int | None = 0
    for _ in lines:
        rows, after = import_task.rows_page(task, (shown,) if shown else (), after)
        assert len(rows) <= 2
        seen += [row.number for row in rows]
        if after is None:
            break
    assert seen == [n + 2 for n in range(9) if shown is None or n % 3]
