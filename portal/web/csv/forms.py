"""Define the forms of an import: upload, matching of headings and words, and corrections."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from flask import request
from flask_wtf.file import FileField
from wtforms import BooleanField, Field, StringField
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]  # newer than its types

from portal.lib.spreadsheets.sheets import Sheet
from portal.lib.typed_values import is_email
from portal.models.tasks import Task, TaskRow
from portal.services.core.refusals import Fault, Refusal, refuse_all
from portal.services.csv import import_answers, import_task
from portal.services.csv.export import COLUMNS, HOLDER_COLUMN
from portal.services.csv.import_answers import FileAnswer, FileColumn, Question, undecided
from portal.services.csv.import_matches import NAMED, Matches, field_of, reading_field, word_key
from portal.services.csv.import_words import FileWord
from portal.web.assets.presenter import LABELS
from portal.web.csv import wording
from portal.web.forms.base import PortalForm, typed
from portal.web.forms.filter_form import ChosenField


class UploadForm(PortalForm):
    """The file to import, and the option to update existing assets."""

    file = FileField("File")
    change_existing = BooleanField(wording.MAY_CHANGE)

    def sheet(self) -> Sheet:
        """Read the file. Raises `Refusal` at the field if that is not possible."""
        if not self.file.data or not self.file.data.filename:
            raise Refusal("Choose a file", field=import_task.FILE_FIELD)
        return import_task.read_upload(self.file.data.stream)


# Labels of the register's columns. Columns not listed here use the asset form's labels.
NAMES: Final[Mapping[str, str]] = {
    **LABELS,
    "asset_tag": "Tag",
    "kind": "Type (item or stock)",
    HOLDER_COLUMN: "Holder",
}
LEAVE_OUT: Final = SelectChoice("", "Leave out")
# Choices for a word: keep it, leave it blank, use a known value (with this prefix), skip its rows.
KEEP, BLANK, OURS, SKIP = "keep", "blank", "to:", "skip"
EXISTING: Final = "Use an existing one"


@dataclass(frozen=True, slots=True)
class ColumnLine:
    """A heading of the file.

    `reading`: the choice of a date or number format, if there are several. `which`: the question to
    ask if the values leave it open.
    """

    field: Field
    about: FileColumn
    reading: Field | None
    which: str


@dataclass(frozen=True, slots=True)
class WordLine:
    """A word in the file. `email`: the field for the address of a person known only by name."""

    field: Field
    about: FileWord
    email: Field | None


class MatchForm(PortalForm):
    """The form to match headings and words. `form_of` adds the fields, which depend on the file."""

    remembers = BooleanField("Remember for similar files", default=True)
    asked: Question

    @property
    def columns(self) -> list[ColumnLine]:
        return [
            ColumnLine(
                field=self[field_of(number)],
                about=about,
                reading=self._has(reading_field(number)),
                which=wording.which(about) if is_open else "",
            )
            for number, about in enumerate(self.asked.columns)
            for is_open in [about.reading.choices and not about.reading.found]
        ]

    @property
    def words(self) -> list[WordLine]:
        return [
            WordLine(self[_name_of(about)], about, self._has(_email_of(about)))
            for about in self.asked.words
        ]

    @property
    def unmatched(self) -> list[FileColumn]:
        """Return the headings that are left out although they have values."""
        return [line.about for line in self.columns if not line.field.data and line.about.examples]

    @property
    def matches(self) -> Matches:
        return {line.about.column: line.field.data for line in self.columns if line.field.data}

    @property
    def is_answered(self) -> bool:
        """Return whether the request answers everything. A new match raises new questions."""
        names = [
            *(_name_of(about) for about in self.asked.words),
            *(line.reading.name for line in self.columns if line.reading),
        ]
        return all(name in request.form for name in names)

    def answer(self) -> FileAnswer:
        """Return the answers.

        Raises `Refusal` for columns without a format and for new people without an email address,
        each at its field.
        """
        refuse_all(self._faults())
        words: dict[str, dict[str, str | None]] = {}
        for line in self.words:
            if line.field.data != KEEP or line.email is not None:
                becomes = words.setdefault(line.about.ours, {})
                becomes[word_key(line.about.ours, line.about.word)] = _said(line)
        return FileAnswer(
            matches=self.matches,
            words=words,
            readings={
                line.field.data: line.reading.data
                for line in self.columns
                if line.reading and line.reading.data
            },
            remembers=bool(self.remembers.data),
        )

    def _faults(self) -> Iterator[Fault]:
        for line in self.columns:
            if line.reading and not line.reading.data:
                yield Fault(line.reading.name, undecided(line.about.reading))
        for word in self.words:
            if word.email and word.field.data == KEEP and not is_email(typed(word.email)):
                sentence = "Enter an email address, such as maria@example.com"
                yield Fault(word.email.name, f"{sentence}, or choose another way")

    def _has(self, name: str) -> Field | None:
        return next((field for field in self if field.short_name == name), None)


def _said(line: WordLine) -> str | None:
    """Return the replacement for the word, as the services store it. None skips its rows."""
    chosen = str(line.field.data)
    if chosen == SKIP:
        return None
    if chosen == KEEP and line.email:
        return f"{line.about.word} <{typed(line.email)}>"
    return "" if chosen == BLANK else chosen.removeprefix(OURS)


def form_of(asked: Question) -> MatchForm:
    made: MatchForm = type("FileMatchForm", (MatchForm,), dict(_fields(asked)))()
    made.asked = asked
    return made


@dataclass(frozen=True, slots=True)
class CellLine:
    """A cell of a row that failed the check, with its faults."""

    field: Field
    faults: Sequence[str]


@dataclass(frozen=True, slots=True)
class RowLines:
    """A row that failed the check. `faults`: the faults for which no cell is shown."""

    number: int
    faults: Sequence[str]
    cells: Sequence[CellLine]


class CorrectForm(PortalForm):
    """The form to correct rows. `correct_form` adds a field for each cell."""

    wrong: Sequence[TaskRow]
    headings: Mapping[str, tuple[int, str]]

    @property
    def rows(self) -> list[RowLines]:
        return [self._row(row) for row in self.wrong]

    def said(self) -> dict[int, dict[str, str]]:
        """Return the entered cells as {row number: {column of the file: text}}."""
        return {
            row.number: {
                name: typed(self[_cell_of(row, at)])
                for name, (at, _) in self.headings.items()
                if _is_editable(row, name)
            }
            for row in self.wrong
        }

    def _row(self, row: TaskRow) -> RowLines:
        faults, cells = row.message.splitlines(), []
        for name, (at, heading) in self.headings.items():
            if _is_editable(row, name):
                own = [line for line in faults if line.startswith(f"{heading}: ")]
                faults = [line for line in faults if line not in own]
                sentences = [line.removeprefix(f"{heading}: ") for line in own]
                cells.append(CellLine(self[_cell_of(row, at)], sentences))
        return RowLines(row.number, faults, cells)


def correct_form(check: Task) -> CorrectForm:
    matches, headings = check.params["matches"], check.params["headings"]
    shown = {name: (at, said) for at, (name, said) in enumerate(headings) if name in matches}
    wrong = import_answers.correctable(check)
    fields = {
        _cell_of(row, at): StringField(heading, default=row.data["cells"].get(name, ""))
        for row in wrong
        for name, (at, heading) in shown.items()
        if _is_editable(row, name)
    }
    made: CorrectForm = type("RowsForm", (CorrectForm,), fields)()
    made.wrong, made.headings = wrong, shown
    return made


def _cell_of(row: TaskRow, at: int) -> str:
    return f"cell_{row.number}_{at}"


def _is_editable(row: TaskRow, name: str) -> bool:
    """Return whether a one-line field can hold the cell without losing line breaks."""
    return "\n" not in row.data["cells"].get(name, "")


def chosen_matches(check_params: Mapping[str, Any]) -> Matches:
    """Return the submitted matches of headings to columns."""
    sent = {
        name: request.form.get(field_of(number), "")
        for number, (name, _) in enumerate(check_params["headings"])
    }
    return {name: ours for name, ours in sent.items() if ours in COLUMNS}


def _fields(asked: Question) -> Iterator[tuple[str, object]]:
    ours = [LEAVE_OUT, *(SelectChoice(name, NAMES[name]) for name in COLUMNS)]
    for number, column in enumerate(asked.columns):
        field = ChosenField(f"{column.heading} becomes", choices=ours, default=column.ours)
        yield field_of(number), field
        if column.reading.choices:
            choices = [
                SelectChoice(way, wording.reading(way, *example))
                for way, example in column.reading.choices.items()
            ]
            choices = [*([] if column.chosen else [SelectChoice("", "Choose…")]), *choices]
            label = f"How to read {column.heading}"
            yield reading_field(number), ChosenField(label, choices=choices, default=column.chosen)
    for word in asked.words:
        label = f"{word.word} becomes"
        choices = list(_choices(word))
        yield _name_of(word), ChosenField(label, choices=choices, default=_chosen(word))
        if word.needs_email:
            yield _email_of(word), StringField(f"{word.word}’s email address", default=word.email)


def _choices(word: FileWord) -> Iterator[SelectChoice]:
    is_added = word.ours in NAMED
    yield SelectChoice(KEEP, "Add it" if is_added else "Keep it (its rows will fail)")
    for value, label in word.choices.items():
        yield SelectChoice(f"{OURS}{value}", label, optgroup=EXISTING if is_added else None)
    yield SelectChoice(BLANK, "Leave blank")
    yield SelectChoice(SKIP, "Skip these rows")


def _chosen(word: FileWord) -> str:
    if word.is_skipped:
        return SKIP
    if word.becomes is None:
        return KEEP
    return f"{OURS}{word.becomes}" if word.becomes else BLANK


def _name_of(word: FileWord) -> str:
    """Return the same field name for the same word, independent of the other questions."""
    return f"word_{_digest(word)}"


def _email_of(word: FileWord) -> str:
    return f"email_{_digest(word)}"


def _digest(word: FileWord) -> str:
    return sha256(f"{word.ours} {word.word.lower()}".encode()).hexdigest()[:16]
