"""Which heading of a file is which column of ours, and which of its words is which. Pure."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from portal.services.core.refusals import Refusal
from portal.services.csv.columns import COLUMNS
from portal.services.csv.import_spellings import HEADINGS, WORDS

# {column of the file: column of ours}
Matches = Mapping[str, str]
# {column of ours: {word of the file, in small letters: ours, or nothing to leave it blank}}
Words = Mapping[str, Mapping[str, str]]
# What a check keeps of its file (`Task.params`).
Params = Mapping[str, Any]

NEEDED: Final = ("asset_tag", "name")  # one of them
# Columns whose words the register knows, or does not.
WORDED: Final = ("condition", "category", "location", "kind", "reservable")
ALIKE: Final = 0.82  # Laptop is close to Laptops, and Desk to nothing
# Our columns, as sentences about cells name them.
_NAMED: Final = re.compile(
    rf"(?<=Enter )(?:{'|'.join(COLUMNS)})\b(?= )"
    rf"|(?<= in )(?:{'|'.join(COLUMNS)})\b(?=,|$)"
    rf"|\b(?:{'|'.join(name for name in COLUMNS if '_' in name)})\b"
)


def guess(columns: Sequence[str]) -> dict[str, str]:
    """What the headings probably are: by our own names first, then by those of other programs."""
    found = {column: column for column in columns if column in COLUMNS}
    for column in columns:
        ours = HEADINGS.get(_plain(column), "")
        if ours and column not in found and ours not in found.values():
            found[column] = ours
    return found


def guess_word(field: str, word: str, known: Sequence[str]) -> str | None:
    """Which of the `known` words of ours it probably is; None where nothing is near."""
    by_letters = {each.lower(): each for each in known}
    said = WORDS.get(field, {}).get(word.lower(), "")
    if said in by_letters:
        return by_letters[said]
    close = get_close_matches(word.lower(), list(by_letters), 1, ALIKE)
    return by_letters[close[0]] if close and field in {"category", "location"} else None


def cells_by(matches: Matches, words: Words, cells: Mapping[str, str]) -> dict[str, str]:
    """The cells of a row of the file by our columns, in our words; blank ones are left out."""
    found = {}
    for column, ours in matches.items():
        text = cells.get(column, "")
        text = words[ours].get(text.lower(), text) if ours in words else text
        if text:
            found[ours] = text
    return found


def refuse_unfit(columns: Sequence[str], matches: Matches) -> None:
    """Refuse two headings for one of ours, at the second, and a file that names no assets."""
    taken: set[str] = set()
    for number, column in enumerate(columns):
        ours = matches.get(column, "")
        if ours and ours not in COLUMNS:
            raise Refusal("Choose from the list", field=field_of(number))
        if ours and ours in taken:
            sentence = "Another heading above becomes this already. Choose one of the two"
            raise Refusal(sentence, field=field_of(number))
        taken.add(ours)
    if not taken & set(NEEDED):
        raise Refusal("Match one heading to Tag or to Name, so that the rows name assets")


def field_of(number: int) -> str:
    """What the form calls its choice for the heading with this number."""
    return f"column_{number}"


def cells_of(params: Params, cells: Mapping[str, str]) -> dict[str, str]:
    """The cells of a row by our columns and in our words, as the check with these `params` was
    told to read it."""
    # A check of before there was a choice has the cells of our own columns alone.
    matches = params.get("matches") or {name: name for name in params["columns"]}
    return cells_by(matches, params.get("words", {}), cells)


def in_their_words(sentence: str, params: Params) -> str:
    """A sentence about a cell, by the headings of the file that the check is of."""
    spelt = dict(params.get("headings", ()))
    theirs = {ours: spelt.get(name, ours) for name, ours in params.get("matches", {}).items()}
    theirs = {ours: name for ours, name in theirs.items() if "_".join(name.lower().split()) != ours}
    return _NAMED.sub(lambda found: theirs.get(found[0], found[0]), sentence)


def _plain(column: str) -> str:
    """A heading without what is written one way or another: "serien-nr." and "seriennr"."""
    return re.sub(r"[\W_]+", "", column)
