"""Ask a person how to match a file's headings and words to the register, and apply the answer."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from portal.extensions import settings
from portal.lib.spreadsheets.sheets import Row, kept_cell
from portal.models.tasks import Task, TaskRow, TaskState
from portal.services import tasks
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.csv import import_matches, import_sheet, import_task, import_words
from portal.services.csv.export import COLUMNS, HOLDER_COLUMN, MOVED, PROBLEM
from portal.services.csv.import_matches import Matches, Remembered, Words
from portal.services.csv.import_readings import Reading, Readings
from portal.services.csv.import_rows import Verdict
from portal.services.csv.import_words import FileWord

SAMPLED: Final = 200  # rows used to guess headings
LOOKED_AT: Final = 20  # rows used for examples
MOST_EXAMPLES: Final = 3
LONGEST_EXAMPLE: Final = 40
MOST_CORRECTED: Final = 20  # rows at a time
MOST_CELLS: Final = 400  # on one page


@dataclass(frozen=True, slots=True)
class FileColumn:
    """One column of the file. `ours` is the matching column of ours, or "" to leave it out.

    `reading` holds the possible readings of its dates or amounts, and `chosen` the selected one.
    """

    column: str
    heading: str
    examples: Sequence[str]
    ours: str
    is_remembered: bool
    reading: Reading
    chosen: str


@dataclass(frozen=True, slots=True)
class Question:
    """The questions about a file. `more_words` is the number of words not asked about."""

    columns: Sequence[FileColumn]
    words: Sequence[FileWord]
    more_words: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileAnswer:
    """The answers. `readings` maps our columns to readings, where there is a choice.

    `remembers` keeps the answers for the next file with these headings.
    """

    matches: Matches
    words: Words
    readings: Readings = field(default_factory=dict)
    remembers: bool


def question(check: Task, matches: Matches | None = None) -> Question:
    """Return the questions about a file.

    `matches` are the matches chosen now. By default they come from an earlier answer, else from the
    last file with these headings, else from a guess.
    """
    headings = dict(check.params["headings"])
    rows = list(_rows(check))
    kept = import_matches.recall(list(headings))
    if matches is None:
        samples = _texts(rows[:SAMPLED], headings)
        guessed = import_matches.guess(list(headings), samples, settings().currency)
        matches = check.params["matches"] or kept.matches or guessed
    words = {**kept.words, **check.params.get("words", {})}
    previous = {**kept.readings, **check.params.get("readings", {})}
    unknown, more = import_words.unknown(rows, check.params, matches, words)
    readings = _readings(check, rows, matches)
    texts = _texts(rows[:LOOKED_AT], headings)
    columns = [
        FileColumn(
            column=name,
            heading=heading,
            examples=[text[:LONGEST_EXAMPLE] for text in texts[name][:MOST_EXAMPLES]],
            ours=ours,
            is_remembered=bool(ours) and kept.matches.get(name) == ours,
            reading=reading,
            chosen=_chosen(reading, previous.get(ours, "")),
        )
        for name, heading in headings.items()
        if name != PROBLEM  # our own column in a file of failed rows
        for ours in [matches.get(name, "")]
        for reading in [readings.get(ours, Reading())]
    ]
    return Question(columns, unknown, more)


def answer(actor: Actor, public_id: UUID, said: FileAnswer) -> None:
    """Apply a person's answers to the file, and check all its rows again."""
    check = import_task.find_check(public_id)
    columns = [name for name, _ in check.params["headings"]]
    import_matches.refuse_unfit(columns, said.matches)
    rows = list(_rows(check))
    params = {
        **check.params,
        "columns": [ours for ours in COLUMNS if ours in said.matches.values()],
        "matches": dict(said.matches),
        "words": {name: dict(words) for name, words in said.words.items()},
        "readings": _decided(columns, said, _readings(check, rows, said.matches)),
        "left_alone": [name for name in MOVED if name in columns and name not in said.matches],
    }

    def remember(current: Session) -> None:
        if not said.remembers:
            import_matches.forget(current, actor, columns)
            return
        # People named in this file are on the staff list by the next import.
        words = {ours: matched for ours, matched in said.words.items() if ours != HOLDER_COLUMN}
        kept = Remembered(said.matches, words, params["readings"])
        import_matches.keep(current, actor, columns, kept)

    _check_again(actor, check, rows, params, remember)


def correctable(check: Task) -> Sequence[TaskRow]:
    """Return the first rows with errors, as many as fit on a page."""
    limit = max(MOST_CELLS // max(len(check.params["matches"]), 1), 1)
    query = import_task.rows_of(check.id).where(TaskRow.outcome == Verdict.ERROR)
    return session().scalars(query.limit(min(limit, MOST_CORRECTED))).all()


def correct(actor: Actor, public_id: UUID, said: Mapping[int, Mapping[str, str]]) -> None:
    """Replace cells of rows with errors, and check all rows again.

    `said` maps row numbers to {column of the file: new text}.
    """
    check = import_task.find_check(public_id)
    if check.state != TaskState.DONE:
        raise Refusal("Wait until the check finishes")
    matches = check.params["matches"]
    cells = {
        row.number: {**row.data["cells"], **_only(matches, said[row.number])}
        for row in correctable(check)
        if row.number in said
    }
    before = list(_rows(check))
    rows = [Row(row.number, cells[row.number]) if row.number in cells else row for row in before]
    decided = _found_with_typed(check, before, rows)
    chosen = check.params.get("readings", {})
    readings = {ours: way for ours, way in {**decided, **chosen}.items() if way}
    params = {**check.params, "readings": readings}
    _check_again(actor, check, rows, params, lambda _current: None, frozenset(cells))


def _found_with_typed(check: Task, before: Iterable[Row], after: Iterable[Row]) -> dict[str, str]:
    """Return the reading that each column's values determine, after a person typed new cells.

    A typed text is not a workbook number. It is read like the rest of its column, unless that
    column already had ambiguous texts.
    """
    matches = check.params["matches"]
    kept, typed = _readings(check, before, matches), _readings(check, after, matches, is_typed=True)
    strict = _readings(check, after, matches)
    return {ours: (strict if kept[ours].choices else typed)[ours].found for ours in strict}


def _only(matches: Matches, cells: Mapping[str, str]) -> dict[str, str]:
    return {name: kept_cell(text) for name, text in cells.items() if name in matches}


def _check_again(
    actor: Actor,
    check: Task,
    rows: Sequence[Row],
    params: dict[str, Any],
    then: Callable[[Session], None],
    corrected: Collection[int] = (),
) -> None:
    """Check the rows again from the first one.

    The rows are read before the check is locked, to keep the lock short. Raises `Refusal` if
    someone else has started the check again since.
    """
    changed = list(_changed(check, rows, params, corrected))
    tags = [import_matches.cells_of(params, row.cells).get("asset_tag", "") for row in rows]
    turn = params.get("turn", 0)
    params |= {"notes": {}, "numbered": import_sheet.numbered(tags), "turn": turn + 1}
    with writing() as current:
        require(current, actor, import_task.PERMISSION)
        check = tasks.locked(current, check.public_id)
        _refuse_late(check)
        if check.params.get("turn", 0) != turn:
            raise Refusal("Open this page again. Someone else has changed how the file is read")
        blank = {"outcome": None, "message": "", "asset_id": None}
        current.execute(update(TaskRow).where(TaskRow.task_id == check.id).values(blank))
        for start in range(0, len(changed), import_task.CHUNK):
            current.execute(update(TaskRow), changed[start : start + import_task.CHUNK])
        check.params = params
        tasks.begin_again(current, check)
        then(current)


def _refuse_late(check: Task) -> None:
    if check.params.get("import"):
        raise Refusal("This import is finished. To repeat it, choose the file again")
    if check.state in {TaskState.WAITING, TaskState.RUNNING}:
        raise Refusal("Wait until the check finishes")


def _readings(
    check: Task, rows: Iterable[Row], matches: Matches, *, is_typed: bool = False
) -> dict[str, Reading]:
    is_workbook = not (is_typed or check.params["origin"].get("separator"))
    return import_sheet.readings(rows, matches, settings().currency, is_workbook=is_workbook)


def _chosen(reading: Reading, said: str) -> str:
    """Return the preselected reading, which is the earlier one if the values allow it."""
    if not reading.choices:
        return ""
    return reading.found or (said if said in reading.choices else reading.leans)


def undecided(reading: Reading) -> str:
    """Return the message for a column without a chosen reading."""
    text, _ = next(iter(reading.choices.values()))
    return f"Choose how to read “{text[:LONGEST_EXAMPLE]}”"


def _decided(
    columns: Sequence[str], said: FileAnswer, readings: Mapping[str, Reading]
) -> dict[str, str]:
    """Return the reading of each column. Raises `Refusal` for an undecided one."""
    decided = {}
    for number, column in enumerate(columns):
        ours = said.matches.get(column, "")
        reading = readings.get(ours, Reading())
        if not reading.choices:
            continue
        chosen = said.readings.get(ours, "") or reading.found
        if chosen not in reading.choices:
            raise Refusal(undecided(reading), field=import_matches.reading_field(number))
        decided[ours] = chosen
    return decided


def _rows(check: Task) -> Iterator[Row]:
    after, more = 0, True
    while more:
        query = select(TaskRow.number, TaskRow.data).where(
            TaskRow.task_id == check.id, TaskRow.number > after
        )
        chunk = session().execute(query.order_by(TaskRow.number).limit(import_task.CHUNK)).all()
        for after, data in chunk:
            yield Row(after, data["cells"], data.get("problem", ""))
        more = len(chunk) == import_task.CHUNK


def _changed(
    check: Task, rows: Iterable[Row], params: Mapping[str, Any], corrected: Collection[int]
) -> Iterator[dict[str, object]]:
    """Yield the new stored form of corrected rows, and of rows that conflict now or did before.

    Rows with a problem of their own are included too.
    """
    words = params.get("words", {})
    marked = select(TaskRow.number).where(
        TaskRow.task_id == check.id, TaskRow.data["twin"].as_string().is_not(None)
    )
    before = {*session().scalars(marked), *corrected}
    for row, (column, sentence) in import_sheet.twins(rows, params["matches"], words):
        if row.problem or sentence or row.number in before:
            yield import_sheet.stored_row(check.id, row, column, sentence)


def _texts(rows: Iterable[Row], headings: Iterable[str]) -> dict[str, list[str]]:
    """Return the distinct texts below each heading."""
    by_heading: dict[str, dict[str, None]] = {name: {} for name in headings}
    for row in rows:
        for name, texts in by_heading.items():
            if text := row.cells.get(name, ""):
                texts[text] = None
    return {name: list(texts) for name, texts in by_heading.items()}
