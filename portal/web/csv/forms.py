"""The forms of an import: the file, and what its headings and words become."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from flask import request
from flask_wtf.file import FileField
from wtforms import BooleanField, Field
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]  # newer than its types

from portal.lib.spreadsheets.sheets import Sheet
from portal.services.core.refusals import Refusal
from portal.services.csv import import_task
from portal.services.csv.export import COLUMNS
from portal.services.csv.import_answers import FileAnswer, FileColumn, FileWord, Question
from portal.services.csv.import_matches import Matches, field_of
from portal.web.assets.presenter import LABELS
from portal.web.csv import wording
from portal.web.forms.base import PortalForm
from portal.web.forms.filter_form import ChosenField


class UploadForm(PortalForm):
    """The file, and what it may do beyond adding assets."""

    file = FileField("File")
    change_existing = BooleanField(wording.MAY_CHANGE)
    may_add = BooleanField("Add new categories and locations")

    def sheet(self) -> Sheet:
        """Read the file. Refuses what cannot be read, at its field."""
        if not self.file.data or not self.file.data.filename:
            raise Refusal("Choose a file", field=import_task.FILE_FIELD)
        return import_task.read_upload(self.file.data.stream)


# As the page calls our columns; the others as on the form of an asset.
NAMES: Final[Mapping[str, str]] = {
    **LABELS,
    "asset_tag": "Tag",
    "kind": "Type (item or stock)",
    "assigned_to_email": "Holder’s email address",
}
LEAVE_OUT: Final = SelectChoice("", "Leave out")
# What a word becomes: itself, nothing, or one of ours, before which this stands.
KEEP, BLANK, OURS = "keep", "blank", "to:"
ADDED: Final = frozenset({"category", "location"})


@dataclass(frozen=True, slots=True)
class ColumnLine:
    field: Field
    about: FileColumn


@dataclass(frozen=True, slots=True)
class WordLine:
    field: Field
    about: FileWord


class MatchForm(PortalForm):
    """Its choices depend on the file: `form_of` makes it with them."""

    may_add = BooleanField("Add new categories and locations")
    remembers = BooleanField("Remember for similar files", default=True)
    asked: Question

    @property
    def columns(self) -> list[ColumnLine]:
        each = enumerate(self.asked.columns)
        return [ColumnLine(self[field_of(number)], about) for number, about in each]

    @property
    def words(self) -> list[WordLine]:
        return [WordLine(self[_name_of(about)], about) for about in self.asked.words]

    @property
    def is_answered(self) -> bool:
        """Return whether all its words were asked about: other headings have other words."""
        return all(_name_of(about) in request.form for about in self.asked.words)

    def answer(self) -> FileAnswer:
        words: dict[str, dict[str, str]] = {}
        for line in self.words:
            if line.field.data != KEEP:
                becomes = str(line.field.data).removeprefix(OURS)
                said = "" if line.field.data == BLANK else becomes
                words.setdefault(line.about.ours, {})[line.about.word.lower()] = said
        return FileAnswer(
            matches={
                line.about.column: line.field.data for line in self.columns if line.field.data
            },
            words=words,
            may_add=bool(self.may_add.data),
            remembers=bool(self.remembers.data),
        )


def form_of(asked: Question, *, may_add: bool) -> MatchForm:
    fields = dict(_fields(asked))
    made: MatchForm = type("FileMatchForm", (MatchForm,), fields)(data={"may_add": may_add})
    made.asked = asked
    return made


def chosen_matches(check_params: Mapping[str, Any]) -> Matches:
    """Return the matches that were sent, whatever the words below them."""
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
    for word in asked.words:
        choices = [SelectChoice(f"{OURS}{name}", _in_words(word, name)) for name in word.choices]
        keep = f"Keep “{word.word}”" if word.ours in ADDED else "Keep it (its rows will fail)"
        choices = [SelectChoice(KEEP, keep), *choices, SelectChoice(BLANK, "Leave blank")]
        label = f"{word.word} becomes"
        yield _name_of(word), ChosenField(label, choices=choices, default=_chosen(word))


def _chosen(word: FileWord) -> str:
    if word.becomes is None:
        return KEEP
    return f"{OURS}{word.becomes}" if word.becomes else BLANK


def _in_words(word: FileWord, name: str) -> str:
    return name if word.ours in ADDED else name.capitalize()


def _name_of(word: FileWord) -> str:
    """Return the same for the same word, whatever else is asked."""
    return f"word_{sha256(f'{word.ours} {word.word.lower()}'.encode()).hexdigest()[:16]}"
