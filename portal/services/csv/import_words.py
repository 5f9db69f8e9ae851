"""Find words in a file that are unknown to the register, and guess a match for each."""

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

MOST_WORDS: Final = 50  # per column, the most frequent ones
MOST_NAMES: Final = 100  # choices, of which only similar ones are offered if there are more
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
    """A word in the file that is unknown to the register, with its number of rows.

    `choices` maps the register's own values to labels. `becomes` is one of these values, "" for
    blank, or None to keep the word. `is_skipped` means that its rows are skipped. `needs_email`
    means that the word is a person's name that needs an address. `email` is the address entered
    before.
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
    """Return the register's known values for this column, in lower case."""
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
    """Return unknown words, most frequent first, and the number of omitted words."""
    columns = {ours: name for name, ours in matches.items() if ours in WORDED}
    counters: dict[str, Counter[str]] = {ours: Counter() for ours in columns}
    spelt: dict[str, str] = {}
    for row in rows if columns else ():
        for ours, name in columns.items():
            if (word := row.cells.get(name, "")) and len(word) <= LONGEST_WORD:
                counters[ours][word.lower()] += 1
                spelt.setdefault(word.lower(), word)
    headings, asked, more = dict(params["headings"]), [], 0
    for ours, counts in counters.items():
        offered, taken = _offered(ours), known(ours)
        missing = [(word, rows) for word, rows in counts.most_common() if not _is(word, taken)]
        more += len(missing[MOST_WORDS:])
        asked += [
            _word(ours, headings[columns[ours]], spelt[word], count, offered, said.get(ours, {}))
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
    answer = said.get(key)
    email = import_people.said(answer or "").email if ours == HOLDER_COLUMN else ""
    if answer not in {*choices, ""} and not is_skipped and not email:
        answer = _guess(ours, word, choices)
    is_name = ours == HOLDER_COLUMN and not is_email(import_people.said(word).email)
    is_name = is_name and word.lower() not in NOTHING
    return FileWord(
        ours=ours,
        heading=heading,
        word=word,
        rows=rows,
        choices=choices,
        becomes=answer if answer in {*choices, ""} else None,
        is_skipped=is_skipped,
        needs_email=is_name,
        email=email if is_name and answer not in choices else "",
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
    """Return the register's values for this column, each with its label."""
    if ours in FIXED:
        return FIXED[ours]
    if ours == HOLDER_COLUMN:
        emails = {row.id: row.email for row in session().execute(select(Staff.id, Staff.email))}
        return {emails[choice.id]: choice.label for choice in staff.choices()}
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
