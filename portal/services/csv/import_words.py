"""Find the words of a file that the register does not know, and what each probably becomes."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select

from portal.lib.spreadsheets.sheets import Row
from portal.lib.typed_values import is_email
from portal.models.assignments import Staff
from portal.services.assets import named_lists, staff
from portal.services.assets.fields import FieldType, fields_of_type
from portal.services.core.unit_of_work import session
from portal.services.csv import import_matches, import_people, import_sheet
from portal.services.csv.export import HOLDER_COLUMN
from portal.services.csv.import_matches import NAMED, NOTHING, WORDED, Matches, Params, Words

MOST_WORDS: Final = 50  # of a column, the most frequent
MOST_NAMES: Final = 100  # to choose from; of more, those that have something in common
LONGEST_WORD: Final = 120
FIXED: Final[Mapping[str, Mapping[str, str]]] = {
    **{
        field.name: {choice: choice.capitalize() for choice in field.choices}
        for field in fields_of_type(FieldType.CHOICE)
    },
    **{field.name: {"yes": "Yes", "no": "No"} for field in fields_of_type(FieldType.YES_NO)},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileWord:
    """A word of the file that the register does not know, and in how many rows it stands.

    `choices`: {one of the register's own: as people know it}. `becomes`: one of them, nothing for
    blank, None: as it is. `is_skipped`: its rows are. `needs_email`: it is a person's name, to
    which an address has to be entered; `email`: that of before.
    """

    ours: str
    heading: str
    word: str
    rows: int
    choices: Mapping[str, str]
    becomes: str | None
    is_skipped: bool = False
    needs_email: bool = False
    email: str = ""


def known(ours: str) -> frozenset[str]:
    """Return what the register knows in this column, in small letters."""
    if ours in import_sheet.OURS:
        return import_sheet.OURS[ours]
    if ours != HOLDER_COLUMN:
        return frozenset(name.lower() for name in _offered(ours))
    rows = session().execute(select(Staff.name, Staff.email, Staff.is_active)).all()
    names = Counter(name.lower() for name, _, is_active in rows if is_active)
    single = {name for name, count in names.items() if count == 1}
    return frozenset(single | {email.lower() for _, email, _ in rows})


def unknown(
    rows: Iterable[Row], params: Params, matches: Matches, said: Words
) -> tuple[list[FileWord], int]:
    """Return unknown words, the most frequent first, and how many are left out."""
    theirs = {ours: name for name, ours in matches.items() if ours in WORDED}
    counters: dict[str, Counter[str]] = {ours: Counter() for ours in theirs}
    spelt: dict[str, str] = {}
    for row in rows if theirs else ():
        for ours, name in theirs.items():
            if (word := row.cells.get(name, "")) and len(word) <= LONGEST_WORD:
                counters[ours][word.lower()] += 1
                spelt.setdefault(word.lower(), word)
    headings, asked, more = dict(params["headings"]), [], 0
    for ours, counts in counters.items():
        offered, taken = _offered(ours), known(ours)
        missing = [(word, rows) for word, rows in counts.most_common() if not _is(word, taken)]
        more += len(missing[MOST_WORDS:])
        asked += [
            _word(ours, headings[theirs[ours]], spelt[word], count, offered, said.get(ours, {}))
            for word, count in missing[:MOST_WORDS]
        ]
    return asked, more


def _is(word: str, taken: frozenset[str]) -> bool:
    return word in taken or ("<" in word and import_people.said(word).email in taken)


def _word(
    ours: str,
    heading: str,
    word: str,
    rows: int,
    offered: Mapping[str, str],
    said: Mapping[str, str | None],
) -> FileWord:
    choices = _near(offered, word.lower())
    key = import_matches.word_key(ours, word)
    is_skipped = key in said and said[key] is None
    before = said.get(key)
    told = import_people.said(before or "").email if ours == HOLDER_COLUMN else ""
    if before not in {*choices, ""} and not is_skipped and not told:
        before = _guess(ours, word, choices)
    is_name = ours == HOLDER_COLUMN and not is_email(import_people.said(word).email)
    is_name = is_name and word.lower() not in NOTHING
    return FileWord(
        ours=ours,
        heading=heading,
        word=word,
        rows=rows,
        choices=choices,
        becomes=before if before in {*choices, ""} else None,
        is_skipped=is_skipped,
        needs_email=is_name,
        email=told if is_name and before not in choices else "",
    )


def _guess(ours: str, word: str, choices: Mapping[str, str]) -> str | None:
    if word.lower() in NOTHING and ours in NAMED:
        return ""
    names = {label: value for value, label in choices.items()}
    if ours == HOLDER_COLUMN:
        return None
    guessed = import_matches.guess_word(ours, word, list(choices))
    return guessed if guessed in choices else names.get(guessed or "")


def _offered(ours: str) -> Mapping[str, str]:
    """Return the register's own in this column, each with what people know it as."""
    if ours in FIXED:
        return FIXED[ours]
    if ours == HOLDER_COLUMN:
        emails = {row.id: row.email for row in session().execute(select(Staff.id, Staff.email))}
        return {emails[each.id]: each.label for each in staff.choices()}
    kind = named_lists.CATEGORIES if ours == "category" else named_lists.LOCATIONS
    return {name: name for _, _, name in named_lists.choices(kind)}


def _near(offered: Mapping[str, str], word: str) -> Mapping[str, str]:
    if len(offered) <= MOST_NAMES:
        return offered
    near = [
        (value, label)
        for value, label in offered.items()
        if word in label.lower() or label.lower()[:3] == word[:3]
    ]
    return dict(near[:MOST_NAMES])
