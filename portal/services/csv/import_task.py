"""CSV import: store the rows, say what each would do, and after one yes do it; each row once.

Two tasks: the check (a dry run, which changes nothing but its own rows), and the import, which
works at the rows of the check and plans each of them again, for the register has moved on.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

from sqlalchemy import Select, func, insert, select
from sqlalchemy.orm import Session

from portal.engine.events.body import ActorKind, Origin
from portal.lib.csv_upload import Sheet
from portal.lib.paging import PAGE_SIZE
from portal.models.tasks import Task, TaskRow, TaskState
from portal.services.assets.tag_numbers import of_the_series
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import NotFound, Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.csv import import_notes, import_rows, import_sheet
from portal.services.csv.columns import MOVED, PROBLEM
from portal.services.csv.import_notes import Notes
from portal.services.csv.import_rows import ShownRow, Ticks, Verdict
from portal.services.tasks import tasks
from portal.services.tasks.tasks import Kind, Step

PERMISSION: Final = "assets.edit"
CHECK_NAME: Final = "import_check"
NAME: Final = "import"
TO_DO: Final = (Verdict.CREATE, Verdict.UPDATE)
WRONG: Final = (Verdict.ERROR, Verdict.FAILED)
CHUNK: Final = 500
DONE_AS: Final = {Verdict.CREATE: Verdict.CREATED, Verdict.UPDATE: Verdict.UPDATED}


def upload(
    actor: Actor,
    sheet: Sheet,
    *,
    may_add: bool,
    change_existing: bool = False,
    file_name: str = "",
) -> UUID:
    """Store the rows and have them checked; the public id of the check.

    `may_add`: categories and locations that are not there yet are added. `change_existing`: rows
    of assets that exist change them; otherwise these are skipped.
    """
    columns = import_sheet.known_columns(sheet)
    with writing() as current:
        require(current, actor, PERMISSION)
        params = {
            "columns": columns,
            "unknown": import_sheet.unknown_columns(sheet),
            "left_alone": [column for column in MOVED if column in sheet.columns],
            "may_add": may_add,
            "change_existing": change_existing,
            "file_name": file_name[:120],
            "numbered": _numbered(sheet),
        }
        task = tasks.start(current, actor, CHECK_NAME, total=len(sheet.rows), params=params)
        stored = list(_stored(task.id, sheet, columns))
        for start in range(0, len(stored), CHUNK):
            current.execute(insert(TaskRow), stored[start : start + CHUNK])
        return task.public_id


def confirm(actor: Actor, public_id: UUID) -> UUID:
    """Start the import of a finished check, once; the import's public id, every time."""
    with writing() as current:
        require(current, actor, PERMISSION)
        check = tasks.locked(current, public_id)
        _refuse_other(check)
        started = check.params.get("import")
        if started:
            return UUID(started)
        if check.state != TaskState.DONE:
            raise Refusal("The file is still being checked. Wait until that is finished")
        total = sum(check.counts.get(verdict, 0) for verdict in TO_DO)
        if not total:
            raise Refusal("There is nothing to import in this file")
        left = {name: count for name, count in check.counts.items() if name not in TO_DO}
        params = {"check": str(public_id), "left": left}
        task = tasks.start(current, actor, NAME, total=total, params=params)
        check.params = {**check.params, "import": str(task.public_id)}
        return task.public_id


def find_check(public_id: UUID) -> Task:
    """The check with this public id."""
    task = tasks.find(public_id)
    _refuse_other(task)
    return task


def rows_page(
    check: Task, outcomes: Sequence[str], after: int
) -> tuple[Sequence[TaskRow], int | None]:
    """One page of rows in the order of the file, and the number that the next one begins after.

    `outcomes`: only rows with one of these; none for all.
    """
    wanted = _rows_of(check.id).where(TaskRow.number > after)
    if outcomes:
        wanted = wanted.where(TaskRow.outcome.in_(outcomes))
    rows = session().scalars(wanted.limit(PAGE_SIZE + 1)).all()
    return rows[:PAGE_SIZE], rows[PAGE_SIZE - 1].number if len(rows) > PAGE_SIZE else None


def outcome_counts(check: Task) -> dict[str, int]:
    """How many rows stand at each outcome now."""
    wanted = select(TaskRow.outcome, func.count()).where(TaskRow.task_id == check.id)
    rows = session().execute(wanted.group_by(TaskRow.outcome))
    return {outcome: count for outcome, count in rows if outcome}


def cells_of(row: TaskRow) -> dict[str, str]:
    """What the file says in this row, by column; blank cells are left out."""
    cells: dict[str, str] = row.data.get("cells", {})
    return cells


def failed_rows(check: Task) -> Iterator[Sequence[object]]:
    """The rows that were not imported, as they came, and why; ready to be mended and sent again."""
    columns: list[str] = check.params["columns"]
    task_id, after = check.id, 0
    yield (*columns, PROBLEM)
    while True:
        session().rollback()
        wanted = _rows_of(task_id).where(TaskRow.number > after, TaskRow.outcome.in_(WRONG))
        chunk = session().scalars(wanted.limit(CHUNK)).all()
        lines = [(*(cells_of(row).get(name, "") for name in columns), row.message) for row in chunk]
        after = chunk[-1].number if chunk else after
        session().rollback()
        yield from lines
        if len(lines) < CHUNK:
            return


def _numbered(sheet: Sheet) -> list[str]:
    """The file's own tags that rows without one must not get; nothing where each row has a tag."""
    tags = {row.cells.get("asset_tag", "") for row in sheet.rows}
    return sorted(of_the_series(tags)) if "" in tags else []


def _stored(task_id: int, sheet: Sheet, columns: Sequence[str]) -> Iterator[dict[str, object]]:
    for row, problem in import_sheet.rows_with_problems(sheet, columns):
        yield {
            "task_id": task_id,
            "number": row.number,
            "data": {"cells": row.cells},
            "outcome": Verdict.ERROR if problem else None,
            "message": problem,
        }


def _check_step(current: Session, task: Task) -> Step:
    after, ticks, notes = task.cursor.get("number", 0), _ticks(task), task.params.get("notes", {})
    rows = current.scalars(_rows_of(task.id).where(TaskRow.number > after).limit(tasks.ROWS)).all()
    for row in tasks.few(rows):
        if not row.outcome:
            notes = _judge(current, row, ticks, notes)
        task.count(row.outcome or "")
        task.cursor = {"number": row.number}
    task.params = {**task.params, "notes": notes}
    return tasks.DONE if task.done >= task.total else tasks.MORE


def _ticks(check: Task) -> Ticks:
    return Ticks(bool(check.params["may_add"]), bool(check.params.get("change_existing")))


def _judge(current: Session, row: TaskRow, ticks: Ticks, notes: Notes) -> Notes:
    """Keep with the row what would become of it; the file's notes with its own."""
    try:
        made = import_rows.plan(current, cells_of(row), ticks)
    except Refusal as refusal:
        row.outcome, row.message = Verdict.ERROR, refusal.sentence
        return notes
    shown = made.shown
    row.outcome, row.asset_id = shown.verdict, shown.asset_id
    row.message = import_notes.remark(made.left_out)
    kept = {"version": shown.version, "adds": shown.adds, "changes": shown.changes}
    row.data = {**row.data, **kept}
    return import_notes.noted(notes, shown.adds, made.values.kind, made.left_out)


def _shown(row: TaskRow) -> ShownRow:
    """What the check has shown of the row."""
    return ShownRow(
        verdict=row.outcome or "",
        asset_id=row.asset_id,
        version=row.data.get("version"),
        adds=row.data.get("adds", {}),
        changes=row.data.get("changes", {}),
    )


def _import_step(current: Session, task: Task) -> Step:
    check = find_check(UUID(task.params["check"]))
    after, ticks = task.cursor.get("number", 0), _ticks(check)
    numbered = frozenset(check.params.get("numbered", ()))
    wanted = _rows_of(check.id).where(TaskRow.number > after, TaskRow.outcome.in_(TO_DO))
    rows = current.scalars(wanted.limit(tasks.ROWS)).all()
    for row in tasks.few(rows):
        _carry_out(current, _actor(task), row, ticks, numbered)
        task.count(row.outcome or "")
        task.cursor = {"number": row.number}
    return tasks.MORE if rows else tasks.DONE


def _carry_out(
    current: Session, actor: Actor, row: TaskRow, ticks: Ticks, numbered: Collection[str]
) -> None:
    shown = _shown(row)

    def do() -> None:
        planned = import_rows.plan_as_shown(current, cells_of(row), ticks, shown)
        row.asset_id = import_rows.carry_out(current, actor, planned, numbered)

    refusal = tasks.refusal_of(current, do)
    if refusal:
        row.outcome, row.message = Verdict.FAILED, refusal.sentence
    else:
        row.outcome = DONE_AS[Verdict(shown.verdict)]


def _actor(task: Task) -> Actor:
    """The person who said yes, by way of an import; the portal itself stays what it is."""
    actor = tasks.actor_of(task, Origin.IMPORT)
    return actor if actor.user_id is None else replace(actor, kind=ActorKind.IMPORT)


def _rows_of(task_id: int) -> Select[TaskRow]:
    return select(TaskRow).where(TaskRow.task_id == task_id).order_by(TaskRow.number)


def _refuse_other(task: Task) -> None:
    if task.kind != CHECK_NAME:
        raise NotFound("There is no import at this address.")


CHECK: Final = Kind(name=CHECK_NAME, permission=PERMISSION, step=_check_step)
IMPORT: Final = Kind(name=NAME, permission=PERMISSION, step=_import_step)
