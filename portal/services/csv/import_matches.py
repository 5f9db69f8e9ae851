"""Match a file's headings and words to our columns and values, and remember the matches."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import chain
from typing import Any, Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from portal.lib.clock import common_now
from portal.models.tasks import ImportMatch
from portal.services import audit
from portal.services.assets.fields import ASSET_FIELDS, FieldType, fields_of_type
from portal.services.core.permissions import Actor
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import insert_or_ignore, session
from portal.services.csv import import_people
from portal.services.csv.export import COLUMNS, HOLDER_COLUMN, PROBLEM
from portal.services.csv.import_readings import READ, Readings, is_value

HOLDER: Final = (
    "email mail emailadresse holdersemail assignedtoemail inhaberemail nutzeremail useremail "
    "holder holdername who wer user username assigned assignedto assignee employee person inhaber "
    "nutzer mitarbeiter custodian"
)
SPELLINGS: Final = {
    **{field.name: field.spellings.split() for field in ASSET_FIELDS},
    HOLDER_COLUMN: HOLDER.split(),
}
LABELS: Final = {field.name: field.label for field in ASSET_FIELDS} | {HOLDER_COLUMN: "Holder"}
# Another program's heading, or a word in one → the columns of ours that it can mean. The keys are
# in lower case, without blanks, periods, and dashes.
HEADINGS: Final[Mapping[str, Sequence[str]]] = {
    word: [ours for ours, spelt in SPELLINGS.items() if word in spelt]
    for word in chain.from_iterable(SPELLINGS.values())
}

# Column → {another program's word: our word}.
WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "condition": {
        **dict.fromkeys(("neu", "neuwertig", "sehr gut", "new", "like new", "neuf"), "excellent"),
        **dict.fromkeys(("gut", "used", "ok", "okay", "gebraucht", "bon", "bueno"), "good"),
        **dict.fromkeys(("mittel", "befriedigend", "average", "moyen", "regular"), "fair"),
        **dict.fromkeys(("schlecht", "abgenutzt", "bad", "worn", "mauvais", "malo"), "poor"),
        **dict.fromkeys(("defekt", "kaputt", "beschädigt", "broken", "cassé", "roto"), "damaged"),
    },
    "kind": {
        **dict.fromkeys(("einzelstück", "gerät", "einzeln", "single", "thing", "asset"), "item"),
        **dict.fromkeys(("lager", "verbrauch", "verbrauchsmaterial", "consumable"), "stock"),
    },
    "reservable": {
        **dict.fromkeys(("ja", "j", "oui", "si", "sí", "x", "wahr"), "yes"),
        **dict.fromkeys(("nein", "non", "falsch", "-"), "no"),
    },
}

# Column of the file → our column.
Matches = Mapping[str, str]
# Our column → {`word_key` of a word in the file: our word, "" for blank, or None to skip its rows}.
Words = Mapping[str, Mapping[str, str | None]]
# Column of the file → some of the texts below it.
Samples = Mapping[str, Sequence[str]]
# A check's parameters for its file (`Task.params`).
Params = Mapping[str, Any]

NEEDED: Final = ("asset_tag", "name")  # at least one of them
CHOICES: Final = {field.name: field.choices for field in fields_of_type(FieldType.CHOICE)}
COUNTS: Final = frozenset(field.name for field in fields_of_type(FieldType.COUNT))
# Columns whose words are looked up in the register.
WORDED: Final = [
    *(field.name for field in fields_of_type(FieldType.CHOICE, FieldType.LISTED, FieldType.YES_NO)),
    HOLDER_COLUMN,
]
# The columns among `WORDED` to which a file can add names.
NAMED: Final = ("category", "location", HOLDER_COLUMN)
# Words that mean "no value".
NOTHING: Final = frozenset({"-", "--", "—", "?", "??", "???", "n/a", "na", "none", "tbd", "k.a."})
SLIP: Final = 0.75  # so that serial_numer matches serial_number, and asset_name matches nothing
ALIKE: Final = 0.82  # so that Laptop matches Laptops, and Desk matches nothing
FITTING: Final = 0.5  # the share of a column's texts that must be readable as its type


def guess(columns: Sequence[str], samples: Samples, currency: str) -> dict[str, str]:
    """Guess our column for each heading, provided that the texts below it fit.

    The guesses try our own names, then other programs' names, then typing mistakes, then single
    words in the heading.
    """
    matches: dict[str, str] = {}

    def take(column: str, candidates: Iterable[str], *, is_sure: bool) -> None:
        texts = samples.get(column, ())
        for ours in candidates:
            is_free = column not in matches and ours not in matches.values()
            if is_free and ((is_sure and not texts) or fits(ours, texts, currency)):
                matches[column] = ours

    for column in columns:
        if column in COLUMNS and (column != "kind" or fits(column, samples.get(column, ()), "")):
            matches[column] = column
    for column in columns:
        take(column, HEADINGS.get(_plain(column), ()), is_sure=True)
    for column in columns:
        take(column, get_close_matches(column, COLUMNS, 1, SLIP), is_sure=True)
    for column in columns:
        for word in re.split(r"[\W_]+", column):
            take(column, HEADINGS.get(word, ()), is_sure=False)
    return matches


def fits(ours: str, texts: Sequence[str], currency: str) -> bool:
    """Return whether at least half of the texts can be values of our column."""
    if ours in READ:
        fitting = [text for text in texts if is_value(ours, text, currency)]
    elif ours == "kind":
        known = {*CHOICES["kind"], *WORDS["kind"]}
        fitting = [text for text in texts if text.lower() in known]
    elif ours in COUNTS:
        fitting = [text for text in texts if text.isascii() and text.isdigit()]
    else:
        return True
    return len(fitting) >= FITTING * len(texts)


def guess_word(field: str, word: str, known: Sequence[str]) -> str | None:
    """Return the most likely of our `known` words, or None if none is similar."""
    by_letters = {name.lower(): name for name in known}
    synonym = WORDS.get(field, {}).get(word.lower(), "")
    if synonym in by_letters:
        return by_letters[synonym]
    close = get_close_matches(word.lower(), list(by_letters), 1, ALIKE)
    return by_letters[close[0]] if close and field in {"category", "location"} else None


def word_key(ours: str, word: str) -> str:
    """Return the key under which a word is remembered: in lower case, or a hash for a person."""
    return import_people.key_of(word) if ours == HOLDER_COLUMN else word.lower()


def cells_by(matches: Matches, words: Words, cells: Mapping[str, str]) -> dict[str, str]:
    """Return a row's nonblank cells by our columns and in our words."""
    ours_by_column = {}
    for column, ours in matches.items():
        text = cells.get(column, "")
        is_said = text and ours in words
        value = words[ours].get(word_key(ours, text), text) if is_said else text
        if value:
            ours_by_column[ours] = value
    return ours_by_column


def skipped_word(params: Params, cells: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the heading and the word for which a person skips this row, or None."""
    words: Words = params.get("words", {})
    for column, ours in params["matches"].items():
        text = cells.get(column, "")
        if text and ours in words and words[ours].get(word_key(ours, text), text) is None:
            return heading_of(params, ours), text
    return None


def refuse_unfit(columns: Sequence[str], matches: Matches) -> None:
    """Refuse two headings for one column of ours, and a file that can't identify assets."""
    taken: set[str] = set()
    for number, column in enumerate(columns):
        ours = matches.get(column, "")
        if ours and ours not in COLUMNS:
            raise Refusal("Choose from the list", field=field_of(number))
        if ours and ours in taken:
            sentence = "Choose one of the 2 columns for this field"
            raise Refusal(sentence, field=field_of(number))
        taken.add(ours)
    if not taken & set(NEEDED):
        raise Refusal("Match one heading to Tag or Name")


def field_of(number: int) -> str:
    """Return the form's field name for the match of heading `number`."""
    return f"column_{number}"


def reading_field(number: int) -> str:
    """Return the form's field name for the reading of heading `number`."""
    return f"reading_{number}"


def cells_of(params: Params, cells: Mapping[str, str]) -> dict[str, str]:
    """Return a row's nonblank cells by our columns and in our words, for a check's parameters."""
    return cells_by(params["matches"], params.get("words", {}), cells)


def heading_of(params: Params, ours: str) -> str:
    """Return the file's heading for a column of ours, or else our own name."""
    column = next((name for name, match in params["matches"].items() if match == ours), ours)
    headings: dict[str, str] = dict(params["headings"])
    return headings.get(column, column)


def _plain(column: str) -> str:
    """Return a heading without punctuation and blanks, so that "serien-nr." equals "seriennr"."""
    return re.sub(r"[\W_]+", "", column)


MOST_KEPT: Final = 500  # sets of headings, the most recently used ones
MOST_WORDS: Final = 200  # per column, the newest ones
LONGEST_TOLD: Final = 500
TARGET: Final = "import_headings"


@dataclass(frozen=True, slots=True)
class Remembered:
    """The answers about the last file with a set of headings."""

    matches: Matches = field(default_factory=dict)
    words: Words = field(default_factory=dict)
    readings: Readings = field(default_factory=dict)


def recall(columns: Sequence[str]) -> Remembered:
    """Return the answers about the last file with these headings, or empty ones."""
    row = session().get(ImportMatch, _key(columns))
    if row is None:
        return Remembered()
    known = {name: ours for name, ours in row.matches.items() if name in columns}
    matches = {name: ours for name, ours in known.items() if ours in COLUMNS}
    return Remembered(matches, row.words, row.readings)


def keep(current: Session, actor: Actor, columns: Sequence[str], said: Remembered) -> None:
    """Remember the answers, with an audit entry, in the caller's transaction."""
    key = _key(columns)
    fresh = {"headings": key, "matches": {}, "words": {}, "readings": {}, "used_at": common_now()}
    insert = insert_or_ignore(current.connection())(ImportMatch)
    added: Any = current.execute(insert.values(fresh).on_conflict_do_nothing())
    row = current.get_one(ImportMatch, key, with_for_update=True, populate_existing=True)
    before = _in_audit(row.matches)
    row.matches, row.used_at = dict(said.matches), common_now()
    row.words = {name: _newest(row.words.get(name, {}), new) for name, new in said.words.items()}
    row.readings = dict(said.readings)
    _record(current, actor, columns, (before, _in_audit(row.matches)))
    if added.rowcount:
        newest = select(ImportMatch.headings).order_by(ImportMatch.used_at.desc()).limit(MOST_KEPT)
        current.execute(delete(ImportMatch).where(ImportMatch.headings.not_in(newest)))


def forget(current: Session, actor: Actor, columns: Sequence[str]) -> None:
    """Forget the answers about files with these headings, with an audit entry."""
    row = current.get(ImportMatch, _key(columns), with_for_update=True)
    if row is not None:
        _record(current, actor, columns, (_in_audit(row.matches), None))
        current.delete(row)


def rename_word(current: Session, field: str, before: str, after: str) -> None:
    """Replace the remembered value `before` by `after`, and match the word `before` to it too."""
    for row in current.scalars(
        select(ImportMatch).order_by(ImportMatch.headings).with_for_update()
    ):
        if field in row.matches.values():
            words = {**row.words.get(field, {}), word_key(field, before): after}
            renamed = {word: after if ours == before else ours for word, ours in words.items()}
            row.words = {**row.words, field: renamed}


def _key(columns: Sequence[str]) -> str:
    """Return a hash of the headings in any order, without the extra one in files of failed rows."""
    names = sorted(set(columns) - {PROBLEM})
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def _newest(before: Mapping[str, str | None], said: Mapping[str, str | None]) -> dict[str, Any]:
    kept = {word: ours for word, ours in before.items() if word not in said} | dict(said)
    return dict(list(kept.items())[-MOST_WORDS:])


def _in_audit(matches: Matches) -> str | None:
    pairs = "; ".join(f"{name}: {LABELS.get(ours, ours)}" for name, ours in matches.items())
    return pairs[:LONGEST_TOLD] or None


def _record(
    current: Session, actor: Actor, columns: Sequence[str], change: tuple[str | None, str | None]
) -> None:
    before, after = change
    if before == after:
        return
    target = (TARGET, _key(columns)[:16], ", ".join(columns)[:120])
    changes = {"matches": {"from": before, "to": after}}
    verb = "remembered" if after else "forgotten"
    audit.record(current, actor, f"{TARGET}.{verb}", target=target, changes=changes)
