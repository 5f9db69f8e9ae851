"""Match a file's headings and words with our columns and values. Pure."""

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
# {another program's heading, or a word of it, in small letters, without blanks, points and dashes:
# what it may be of ours}
HEADINGS: Final[Mapping[str, Sequence[str]]] = {
    word: [ours for ours, spelt in SPELLINGS.items() if word in spelt]
    for word in chain.from_iterable(SPELLINGS.values())
}

# {column: {another's word: ours}}
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

# {column of the file: column of ours}
Matches = Mapping[str, str]
# {column of ours: {`word_key` of a word of the file: ours, nothing to leave it blank, or None to
# skip its rows}}
Words = Mapping[str, Mapping[str, str | None]]
# {column of the file: some of the texts below it}
Samples = Mapping[str, Sequence[str]]
# What a check keeps of its file (`Task.params`).
Params = Mapping[str, Any]

NEEDED: Final = ("asset_tag", "name")  # one of them
CHOICES: Final = {field.name: field.choices for field in fields_of_type(FieldType.CHOICE)}
COUNTS: Final = frozenset(field.name for field in fields_of_type(FieldType.COUNT))
# Columns whose words the register knows, or does not.
WORDED: Final = [
    *(field.name for field in fields_of_type(FieldType.CHOICE, FieldType.LISTED, FieldType.YES_NO)),
    HOLDER_COLUMN,
]
# Those of them to which a file may add.
NAMED: Final = ("category", "location", HOLDER_COLUMN)
# Words that say that there is nothing.
NOTHING: Final = frozenset({"-", "--", "—", "?", "??", "???", "n/a", "na", "none", "tbd", "k.a."})
SLIP: Final = 0.75  # so that serial_numer is close to serial_number, and asset_name to nothing
ALIKE: Final = 0.82  # Laptop is close to Laptops, and Desk to nothing
FITTING: Final = 0.5  # the part of a column's texts that its type has to read


def guess(columns: Sequence[str], samples: Samples, currency: str) -> dict[str, str]:
    """Guess what the headings are: by our own names, by those of other programs, by a slip, by a
    word in them; each time only where the texts below may be such values."""
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
    """Return whether at least half of these texts can be values of this column of ours."""
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
    """Return which of the `known` words of ours it probably is; None where nothing is near."""
    by_letters = {name.lower(): name for name in known}
    said = WORDS.get(field, {}).get(word.lower(), "")
    if said in by_letters:
        return by_letters[said]
    close = get_close_matches(word.lower(), list(by_letters), 1, ALIKE)
    return by_letters[close[0]] if close and field in {"category", "location"} else None


def word_key(ours: str, word: str) -> str:
    """Return what a word is remembered by: in small letters, or a hash of a person's."""
    return import_people.key_of(word) if ours == HOLDER_COLUMN else word.lower()


def cells_by(matches: Matches, words: Words, cells: Mapping[str, str]) -> dict[str, str]:
    """Return a row's cells by our columns, in our words; blank ones are left out."""
    ours_by_column = {}
    for column, ours in matches.items():
        text = cells.get(column, "")
        is_said = text and ours in words
        said = words[ours].get(word_key(ours, text), text) if is_said else text
        if said:
            ours_by_column[ours] = said
    return ours_by_column


def skipped_word(params: Params, cells: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the heading and the word for which a person skips this row; None for no such word."""
    words: Words = params.get("words", {})
    for column, ours in params["matches"].items():
        text = cells.get(column, "")
        if text and ours in words and words[ours].get(word_key(ours, text), text) is None:
            return heading_of(params, ours), text
    return None


def refuse_unfit(columns: Sequence[str], matches: Matches) -> None:
    """Refuse two headings for one of ours, at the second, and a file that names no assets."""
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
    """Return what the form calls its choice for the heading with this number."""
    return f"column_{number}"


def reading_field(number: int) -> str:
    """Return what the form calls its choice of how this heading's values are read."""
    return f"reading_{number}"


def cells_of(params: Params, cells: Mapping[str, str]) -> dict[str, str]:
    """Return a row's cells by our columns, in our words, as the check with these `params` was told
    to read them."""
    return cells_by(params["matches"], params.get("words", {}), cells)


def heading_of(params: Params, ours: str) -> str:
    """Return how the file calls a column of ours; our own name where it has none."""
    column = next((name for name, match in params["matches"].items() if match == ours), ours)
    headings: dict[str, str] = dict(params["headings"])
    return headings.get(column, column)


def _plain(column: str) -> str:
    """Return a heading without what is written one way or another: "serien-nr." and "seriennr"."""
    return re.sub(r"[\W_]+", "", column)


MOST_KEPT: Final = 500  # sets of headings; of more, those used last
MOST_WORDS: Final = 200  # of a column, the newest
LONGEST_TOLD: Final = 500
TARGET: Final = "import_headings"


@dataclass(frozen=True, slots=True)
class Remembered:
    """What was said of the last file with these headings."""

    matches: Matches = field(default_factory=dict)
    words: Words = field(default_factory=dict)
    readings: Readings = field(default_factory=dict)


def recall(columns: Sequence[str]) -> Remembered:
    """Return what was said of the last file with this set of headings; nothing of none."""
    row = session().get(ImportMatch, _key(columns))
    if row is None:
        return Remembered()
    known = {name: ours for name, ours in row.matches.items() if name in columns}
    matches = {name: ours for name, ours in known.items() if ours in COLUMNS}
    return Remembered(matches, row.words, row.readings)


def keep(current: Session, actor: Actor, columns: Sequence[str], said: Remembered) -> None:
    """Remember this, in the caller's transaction, with its entry in the audit trail."""
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
    """Remember nothing of files with these headings."""
    row = current.get(ImportMatch, _key(columns), with_for_update=True)
    if row is not None:
        _record(current, actor, columns, (_in_audit(row.matches), None))
        current.delete(row)


def rename_word(current: Session, field: str, before: str, after: str) -> None:
    """Let what became `before` in files with this column become `after`, and that word itself."""
    for row in current.scalars(
        select(ImportMatch).order_by(ImportMatch.headings).with_for_update()
    ):
        if field in row.matches.values():
            words = {**row.words.get(field, {}), word_key(field, before): after}
            renamed = {word: after if ours == before else ours for word, ours in words.items()}
            row.words = {**row.words, field: renamed}


def _key(columns: Sequence[str]) -> str:
    """Return the set of headings, in whatever order; rows that failed come back with one more."""
    names = sorted(set(columns) - {PROBLEM})
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def _newest(before: Mapping[str, str | None], said: Mapping[str, str | None]) -> dict[str, Any]:
    kept = {word: ours for word, ours in before.items() if word not in said} | dict(said)
    return dict(list(kept.items())[-MOST_WORDS:])


def _in_audit(matches: Matches) -> str | None:
    pairs = "; ".join(f"{name}: {ours}" for name, ours in matches.items())
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
