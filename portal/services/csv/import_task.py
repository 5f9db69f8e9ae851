"""Import a file in two tasks: a check that previews each row, and the confirmed import.

The check is a dry run that changes only its own rows. The import handles each of the check's rows
once, and plans it again because the register can have changed since.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import date
from decimal import Decimal
from itertools import islice
from typing import IO, Final
from uuid import UUID

from sqlalchemy import Select, delete, func, insert, select
from sqlalchemy.orm import Session

from portal.engine.events.body import ActorKind, Origin
from portal.extensions import settings
from portal.lib.file_lock import FileLock
from portal.lib.paging import PAGE_SIZE
from portal.lib.spreadsheets.files import read_file
from portal.lib.spreadsheets.sheets import Sheet, UnreadableError
from portal.models.tasks import Task, TaskRow, TaskState
from portal.services import tasks
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import NotFound, Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.csv import import_matches, import_rows, import_sheet, import_words
from portal.services.csv.export import MOVED, PROBLEM
from portal.services.csv.import_rows import (
    CellFault,
    FaultSort,
    ImportOptions,
    Notes,
    Plan,
    RowRefused,
    ShownRow,
    Verdict,
)
from portal.services.tasks import Kind, Step

PERMISSION: Final = "assets.edit"
CHECK_NAME: Final = "import_check"
NAME: Final = "import"
TO_DO: Final = (Verdict.CREATE, Verdict.UPDATE)
WRONG: Final = (Verdict.ERROR, Verdict.FAILED)
CHUNK: Final = 500
OF_THE_FILE: Final = ("cells", "problem", "twin")  # keys of a row's data that come from the file
DONE_AS: Final = {Verdict.CREATE: Verdict.CREATED, Verdict.UPDATE: Verdict.UPDATED}

MOST_READ: Final = 2  # files at a time per machine
READING_FOLDER: Final = "imports"
FILE_FIELD: Final = "file"
NO_CHECK: Final = (
    "There’s no import at this URL. A newer upload replaces the same person’s files that weren’t "
    "imported."
)


def read_upload(file: IO[bytes]) -> Sheet:
    """Read a CSV, Excel, or OpenDocument file. Raises `Refusal` if it is unreadable."""
    # Each file can use up its child process's memory.
    slot = FileLock.take_any(settings().instance_dir / READING_FOLDER, map(str, range(MOST_READ)))
    if slot is None:
        sentence = "Wait 30 seconds, then try again. We’re reading other files"
        raise Refusal(sentence, field=FILE_FIELD)
    try:
        return read_file(file)
    except UnreadableError as error:
        raise Refusal(str(error), field=FILE_FIELD) from None
    finally:
        slot.release()


def upload(
    actor: Actor,
    sheet: Sheet,
    *,
    change_existing: bool = False,
    file_name: str = "",
    asks: bool = False,
) -> UUID:
    """Store the rows, queue their check, and return its public id.

    With `change_existing`, rows of existing assets change them. Otherwise they are skipped. With
    `asks`, the check is paused until `import_answers.answer` if the file has unknown words or
    headings, or ambiguous dates or amounts. Replaces this person's files that weren't imported.
    """
    is_asked = asks and import_sheet.needs_matching(sheet)
    columns = [] if is_asked else import_sheet.known_columns(sheet)
    matches, readings = {column: column for column in columns}, {}
    if not is_asked:
        currency, is_workbook = settings().currency, not sheet.origin.separator
        readings = import_sheet.readings(sheet.rows, matches, currency, is_workbook=is_workbook)
        is_open = any(reading.choices and not reading.found for reading in readings.values())
        is_asked = asks and (is_open or _has_new_words(sheet))
    with writing() as current:
        require(current, actor, PERMISSION)
        _forget_earlier(current, actor)
        params = {
            "columns": columns,
            "matches": matches,
            "readings": {
                ours: reading.found for ours, reading in readings.items() if reading.found
            },
            "headings": list(zip(sheet.columns, sheet.headings, strict=True)),
            "left_alone": [column for column in MOVED if column in sheet.columns],
            "change_existing": change_existing,
            "file_name": file_name[:120],
            "origin": asdict(sheet.origin),
            "numbered": import_sheet.numbered(row.cells.get("asset_tag", "") for row in sheet.rows),
        }
        task = tasks.start(current, actor, CHECK_NAME, total=0, params=params)
        if is_asked:
            task.state = TaskState.PAUSED
        stored = import_sheet.stored_rows(task.id, sheet.rows, matches)
        while chunk := list(islice(stored, CHUNK)):
            current.execute(insert(TaskRow), chunk)
            task.total += len(chunk)
        return task.public_id


def _forget_earlier(current: Session, actor: Actor) -> None:
    """Delete this person's checks whose import wasn't started. Each can have 20,000 rows."""
    if actor.user_id is None:
        return
    mine = select(Task).where(Task.kind == CHECK_NAME, Task.actor_id == actor.user_id)
    # Waits for a step in progress, and keeps others from confirming the check.
    for task in current.scalars(mine.order_by(Task.id).with_for_update()).all():
        if not task.params.get("import"):
            current.execute(delete(Task).where(Task.id == task.id))


def _has_new_words(sheet: Sheet) -> bool:
    """Return whether the register lacks a category, location, or person named in the file."""
    words: dict[str, set[str]] = {name: set() for name in import_matches.NAMED}
    for row in sheet.rows:
        for name, texts in words.items():
            if text := row.cells.get(name, ""):
                texts.add(text.lower())
    return any(texts - import_words.known(name) for name, texts in words.items() if texts)


def confirm(actor: Actor, public_id: UUID) -> UUID:
    """Start the import of a finished check once and return its public id, also when repeated."""
    with writing() as current:
        require(current, actor, PERMISSION)
        check = tasks.locked(current, public_id)
        refuse_other(check)
        started = check.params.get("import")
        if started:
            return UUID(started)
        if check.state != TaskState.DONE:
            raise Refusal("Wait until the check finishes")
        total = sum(check.counts.get(verdict, 0) for verdict in TO_DO)
        if not total:
            raise Refusal("Choose another file. This one has nothing to import")
        left = {name: count for name, count in check.counts.items() if name not in TO_DO}
        params = {"check": str(public_id), "left": left}
        task = tasks.start(current, actor, NAME, total=total, params=params)
        check.params = {**check.params, "import": str(task.public_id)}
        return task.public_id


def find_check(public_id: UUID) -> Task:
    """Return the check of a file. Raises `NotFound`."""
    try:
        task = tasks.find(public_id)
    except NotFound:
        raise NotFound(NO_CHECK) from None
    refuse_other(task)
    return task


def rows_page(
    check: Task, outcomes: Sequence[str], after: int
) -> tuple[Sequence[TaskRow], int | None]:
    """Return a page of rows in file order, and the row number after which the next page begins.

    Only rows with one of the `outcomes` are included, or all rows if it is empty.
    """
    query = rows_of(check.id).where(TaskRow.number > after)
    if outcomes:
        query = query.where(TaskRow.outcome.in_(outcomes))
    rows = session().scalars(query.limit(PAGE_SIZE + 1)).all()
    return rows[:PAGE_SIZE], rows[PAGE_SIZE - 1].number if len(rows) > PAGE_SIZE else None


def outcome_counts(check: Task) -> dict[str, int]:
    query = select(TaskRow.outcome, func.count()).where(TaskRow.task_id == check.id)
    rows = session().execute(query.group_by(TaskRow.outcome))
    return {outcome: count for outcome, count in rows if outcome}


def cells_of(check: Task, row: TaskRow) -> dict[str, str]:
    """Return the row's nonblank cells by our columns and in our words."""
    return import_matches.cells_of(check.params, row.data["cells"])


def added_values(check: Task, row: TaskRow) -> dict[str, date | Decimal]:
    """Return the dates and amounts of a row that adds an asset, and none for other rows."""
    if row.outcome not in {Verdict.CREATE, Verdict.CREATED}:
        return {}
    return import_rows.read_values(cells_of(check, row), _options(check))


def failed_rows(check: Task) -> Iterator[Sequence[object]]:
    """Yield a header and the rows that were not imported, as in the file, with their problems."""
    kept = [(name, heading) for name, heading in check.params["headings"] if name != PROBLEM]
    task_id, after = check.id, 0
    yield (*(heading for _, heading in kept), PROBLEM)
    while True:
        session().rollback()
        query = rows_of(task_id).where(TaskRow.number > after, TaskRow.outcome.in_(WRONG))
        chunk = session().scalars(query.limit(CHUNK)).all()
        lines = [
            (
                *(row.data["cells"].get(name, "") for name, _ in kept),
                "; ".join(row.message.split("\n")),
            )
            for row in chunk
        ]
        after = chunk[-1].number if chunk else after
        session().rollback()
        yield from lines
        if len(lines) < CHUNK:
            return


def refuse_other(task: Task) -> None:
    """Raise `NotFound` unless the task is a check of a file."""
    if task.kind != CHECK_NAME:
        raise NotFound(NO_CHECK)


def rows_of(task_id: int) -> Select[TaskRow]:
    return select(TaskRow).where(TaskRow.task_id == task_id).order_by(TaskRow.number)


def _check_step(current: Session, task: Task) -> Step:
    after, notes = task.cursor.get("number", 0), task.params.get("notes", {})
    rows = current.scalars(rows_of(task.id).where(TaskRow.number > after).limit(tasks.ROWS)).all()
    for row in tasks.few(rows):
        if not row.outcome:
            notes = _judge(current, task, row, notes)
        task.count(row.outcome or "")
        task.cursor = {"number": row.number}
    task.params = {**task.params, "notes": notes}
    return tasks.DONE if task.done >= task.total else tasks.MORE


def _options(check: Task) -> ImportOptions:
    readings = check.params.get("readings", {})
    return ImportOptions(check.params["change_existing"], readings, settings().currency)


def _judge(current: Session, check: Task, row: TaskRow, notes: Notes) -> Notes:
    """Store the row's verdict and plan. Return the file's notes with those of the row added."""
    if skipped := import_matches.skipped_word(check.params, row.data["cells"]):
        heading, word = skipped
        row.outcome, row.message = Verdict.PASSED, f"{heading}: rows with “{word[:40]}” are skipped"
        return notes
    faults, made = _planned(current, check, row)
    if faults or made is None:
        row.outcome, row.message = Verdict.ERROR, _told(check, faults)
        row.data = {name: row.data[name] for name in OF_THE_FILE if name in row.data}
        return import_rows.with_faults(notes, faults)
    shown = made.shown
    row.outcome, row.asset_id = shown.verdict, shown.asset_id
    row.message = import_rows.remark(made.left_out)
    kept = {"version": shown.version, "adds": shown.adds, "changes": shown.changes}
    row.data = {**row.data, **kept}
    return import_rows.with_notes(notes, shown.adds, made.values.kind, made.left_out)


def _planned(
    current: Session, check: Task, row: TaskRow
) -> tuple[Sequence[CellFault], Plan | None]:
    """Return the row's faults, and its plan unless the register refuses it."""
    twin: Sequence[str] = row.data.get("twin", ())
    faults = [CellFault(twin[0], twin[1], FaultSort.TWICE)] if twin else []
    try:
        return faults, import_rows.plan(current, cells_of(check, row), _options(check))
    except RowRefused as refused:
        return [*faults, *refused.faults], None


def _told(check: Task, faults: Sequence[CellFault]) -> str:
    """Return the faults, one per line, each after the heading of its column."""
    headings = {
        fault.field: import_matches.heading_of(check.params, fault.field) for fault in faults
    }
    return "\n".join(
        f"{headings[fault.field]}: {fault.sentence}" if fault.field else fault.sentence
        for fault in faults
    )


def _shown(row: TaskRow) -> ShownRow:
    return ShownRow(
        verdict=row.outcome or "",
        asset_id=row.asset_id,
        version=row.data.get("version"),
        adds=row.data.get("adds", {}),
        changes=row.data.get("changes", {}),
    )


def _import_step(current: Session, task: Task) -> Step:
    check = find_check(UUID(task.params["check"]))
    after, taken = task.cursor.get("number", 0), frozenset(check.params["numbered"])
    query = rows_of(check.id).where(TaskRow.number > after, TaskRow.outcome.in_(TO_DO))
    rows = current.scalars(query.limit(tasks.ROWS)).all()
    for row in tasks.few(rows):
        _carry_out(current, _actor(task), check, row, taken)
        task.count(row.outcome or "")
        task.cursor = {"number": row.number}
    return tasks.MORE if rows else tasks.DONE


def _carry_out(
    current: Session, actor: Actor, check: Task, row: TaskRow, taken: Collection[str]
) -> None:
    shown = _shown(row)

    def do() -> None:
        cells, options = cells_of(check, row), _options(check)
        planned = import_rows.plan_as_shown(current, cells, options, shown)
        row.asset_id = import_rows.carry_out(current, actor, planned, taken)

    refusal = tasks.refusal_of(current, do)
    if refusal:
        faults = refusal.faults if isinstance(refusal, RowRefused) else ()
        row.outcome, row.message = Verdict.FAILED, _told(check, faults) or refusal.sentence
    else:
        row.outcome = DONE_AS[Verdict(shown.verdict)]


def _actor(task: Task) -> Actor:
    """Return the confirming person as an import actor. The portal's own actor is unchanged."""
    actor = tasks.actor_of(task, Origin.IMPORT)
    return actor if actor.user_id is None else replace(actor, kind=ActorKind.IMPORT)


CHECK: Final = Kind(name=CHECK_NAME, permission=PERMISSION, step=_check_step)
IMPORT: Final = Kind(name=NAME, permission=PERMISSION, step=_import_step)
