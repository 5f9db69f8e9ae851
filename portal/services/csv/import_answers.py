"""Ask a person about a file that speaks otherwise than the register, and keep the answer."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, update

from portal.lib.spreadsheets.sheets import Row
from portal.models.tasks import Task, TaskRow, TaskState
from portal.services import tasks
from portal.services.assets import named_lists
from portal.services.assets.fields import FieldType, fields_of_type
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.csv import import_matches, import_sheet, import_task
from portal.services.csv.export import COLUMNS, MOVED, PROBLEM
from portal.services.csv.import_matches import WORDED, Matches, Words
from portal.services.csv.import_rows import Verdict

MOST_WORDS: Final = 50  # of a column, the most frequent
MOST_NAMES: Final = 100  # to choose from; of more, those that have something in common
LONGEST_WORD: Final = 120
LOOKED_AT: Final = 20  # rows, for examples
MOST_EXAMPLES: Final = 3
FIXED: Final[Mapping[str, Sequence[str]]] = {
    **{field.name: list(field.choices) for field in fields_of_type(FieldType.CHOICE)},
    **{field.name: ["yes", "no"] for field in fields_of_type(FieldType.YES_NO)},
}


@dataclass(frozen=True, slots=True)
class FileColumn:
    """One column of the file; `ours` is what it becomes, nothing to leave it out."""

    column: str
    heading: str
    examples: Sequence[str]
    ours: str
    is_remembered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FileWord:
    """A word of the file that the register does not know, and in how many rows it stands.

    `choices`: the register's own. `becomes`: one of them, nothing for blank, None: as it is.
    """

    ours: str
    heading: str
    word: str
    rows: int
    choices: Sequence[str]
    becomes: str | None


@dataclass(frozen=True, slots=True)
class Question:
    """The questions about a file; `more_words`: how many words are not asked about."""

    columns: Sequence[FileColumn]
    words: Sequence[FileWord]
    more_words: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileAnswer:
    """The answers. `remembers`: the same holds for the next file with these headings."""

    matches: Matches
    words: Words
    may_add: bool
    remembers: bool


def question(check: Task, matches: Matches | None = None) -> Question:
    """Return the questions. `matches`: chosen now; else of before, of the last file, or guessed."""
    headings = dict(check.params["headings"])
    kept, words = import_matches.recall(list(headings))
    if matches is None:
        guessed = import_matches.guess(list(headings))
        matches = check.params["matches"] or kept or guessed
    words = {**words, **check.params.get("words", {})}
    found, more = _unknown_words(check, matches, words)
    examples = _examples(check)
    columns = [
        FileColumn(name, heading, examples[name], ours, bool(ours) and kept.get(name) == ours)
        for name, heading in headings.items()
        if name != PROBLEM  # ours, in a file of rows that failed
        for ours in [matches.get(name, "")]
    ]
    return Question(columns, found, more)


def answer(actor: Actor, public_id: UUID, said: FileAnswer) -> None:
    """Read the file by what a person says, and check its rows by that, from the first one."""
    check = import_task.find_check(public_id)
    columns = [name for name, _ in check.params["headings"]]
    import_matches.refuse_unfit(columns, said.matches)
    params = {
        **check.params,
        "columns": [ours for ours in COLUMNS if ours in said.matches.values()],
        "matches": dict(said.matches),
        "words": {field: dict(words) for field, words in said.words.items()},
        "unknown": {},
        "left_alone": [name for name in MOVED if name in columns and name not in said.matches],
        "may_add": said.may_add,
        "notes": {},
    }
    # What the file says never changes; so it is read before anybody has to wait for us.
    rows = list(_rows(check))
    ruled_out = list(_ruled_out(check.id, rows, params))
    tags = [import_matches.cells_of(params, row.cells).get("asset_tag", "") for row in rows]
    with writing() as current:
        require(current, actor, import_task.PERMISSION)
        check = tasks.locked(current, public_id)
        _refuse_late(check)
        blank = {"outcome": None, "message": "", "asset_id": None}
        current.execute(update(TaskRow).where(TaskRow.task_id == check.id).values(blank))
        for start in range(0, len(ruled_out), import_task.CHUNK):
            current.execute(update(TaskRow), ruled_out[start : start + import_task.CHUNK])
        check.params = {**params, "numbered": import_sheet.numbered(tags)}
        tasks.begin_again(current, check)
        if said.remembers:
            import_matches.keep(current, actor, columns, said.matches, said.words)
        else:
            import_matches.forget(current, actor, columns)


def _refuse_late(check: Task) -> None:
    if check.params.get("import"):
        raise Refusal("This import is finished. To repeat it, choose the file again")
    if check.state in {TaskState.WAITING, TaskState.RUNNING}:
        raise Refusal("Wait until the check finishes")


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


def _ruled_out(
    task_id: int, rows: Sequence[Row], params: Mapping[str, Any]
) -> Iterator[dict[str, object]]:
    for row, problem in import_sheet.rows_with_problems(rows, params["matches"], params["words"]):
        if problem:
            yield {
                "task_id": task_id,
                "number": row.number,
                "outcome": Verdict.ERROR,
                "message": import_matches.in_their_words(problem, params),
            }


def _examples(check: Task) -> dict[str, list[str]]:
    """Return the first few different texts below each heading."""
    query = import_task.rows_of(check.id).limit(LOOKED_AT)
    cells = [row.data["cells"] for row in session().scalars(query)]
    names = [name for name, _ in check.params["headings"]]
    return {
        name: list(dict.fromkeys(row[name][:40] for row in cells if row.get(name)))[:MOST_EXAMPLES]
        for name in names
    }


def _unknown_words(check: Task, matches: Matches, words: Words) -> tuple[list[FileWord], int]:
    """Return unknown words, the most frequent first, and how many are left out."""
    theirs = {ours: name for name, ours in matches.items() if ours in WORDED}
    if not theirs:
        return [], 0
    counters: dict[str, Counter[str]] = {ours: Counter() for ours in theirs}
    spelt: dict[str, str] = {}
    for row in _rows(check):
        for ours, name in theirs.items():
            if (word := row.cells.get(name, "")) and len(word) <= LONGEST_WORD:
                counters[ours][word.lower()] += 1
                spelt.setdefault(word.lower(), word)
    headings, asked, more = dict(check.params["headings"]), [], 0
    for ours, counts in counters.items():
        known = _known(ours)
        taken = import_sheet.OURS.get(ours, frozenset(name.lower() for name in known))
        missing = [(word, rows) for word, rows in counts.most_common() if word not in taken]
        more += len(missing[MOST_WORDS:])
        for word, rows in missing[:MOST_WORDS]:
            choices = _choices(known, word)
            guess = import_matches.guess_word(ours, word, choices)
            said = words.get(ours, {}).get(word, guess)
            asked.append(
                FileWord(
                    ours=ours,
                    heading=headings[theirs[ours]],
                    word=spelt[word],
                    rows=rows,
                    choices=choices,
                    becomes=said if said in {*choices, "", None} else guess,
                )
            )
    return asked, more


def _known(ours: str) -> list[str]:
    """Return the register's own words in this column."""
    if ours in FIXED:
        return list(FIXED[ours])
    kind = named_lists.CATEGORIES if ours == "category" else named_lists.LOCATIONS
    return [name for _, _, name in named_lists.choices(kind)]


def _choices(known: Sequence[str], word: str) -> list[str]:
    if len(known) <= MOST_NAMES:
        return list(known)
    near = [name for name in known if word in name.lower() or name.lower()[:3] == word[:3]]
    return near[:MOST_NAMES]
