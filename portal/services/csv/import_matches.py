"""Match a file's headings and words with our columns and values. Pure."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
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
from portal.services.csv.export import COLUMNS, PROBLEM

HOLDERS_EMAIL: Final = (
    "email mail emailadresse holdersemail assignedtoemail inhaberemail nutzeremail useremail"
)
# {another program's heading, in small letters, without blanks, points and dashes: ours}
HEADINGS: Final[Mapping[str, str]] = {
    **{word: field.name for field in ASSET_FIELDS for word in field.spellings.split()},
    **dict.fromkeys(HOLDERS_EMAIL.split(), "assigned_to_email"),
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
# {column of ours: {word of the file, in small letters: ours, or nothing to leave it blank}}
Words = Mapping[str, Mapping[str, str]]
# What a check keeps of its file (`Task.params`).
Params = Mapping[str, Any]

NEEDED: Final = ("asset_tag", "name")  # one of them
# Columns whose words the register knows, or does not.
WORDED: Final = [
    field.name for field in fields_of_type(FieldType.CHOICE, FieldType.LISTED, FieldType.YES_NO)
]
ALIKE: Final = 0.82  # Laptop is close to Laptops, and Desk to nothing
# Our columns, as sentences about cells name them.
_NAMED: Final = re.compile(
    rf"(?<=Enter )(?:{'|'.join(COLUMNS)})\b(?= )"
    rf"|(?<= in the )(?:{'|'.join(COLUMNS)})\b(?= column)"
    rf"|\b(?:{'|'.join(name for name in COLUMNS if '_' in name)})\b"
)


def guess(columns: Sequence[str]) -> dict[str, str]:
    """Guess what the headings are: by our own names first, then by those of other programs."""
    matches = {column: column for column in columns if column in COLUMNS}
    for column in columns:
        ours = HEADINGS.get(_plain(column), "")
        if ours and column not in matches and ours not in matches.values():
            matches[column] = ours
    return matches


def guess_word(field: str, word: str, known: Sequence[str]) -> str | None:
    """Return which of the `known` words of ours it probably is; None where nothing is near."""
    by_letters = {name.lower(): name for name in known}
    said = WORDS.get(field, {}).get(word.lower(), "")
    if said in by_letters:
        return by_letters[said]
    close = get_close_matches(word.lower(), list(by_letters), 1, ALIKE)
    return by_letters[close[0]] if close and field in {"category", "location"} else None


def cells_by(matches: Matches, words: Words, cells: Mapping[str, str]) -> dict[str, str]:
    """Return a row's cells by our columns, in our words; blank ones are left out."""
    ours_by_column = {}
    for column, ours in matches.items():
        text = cells.get(column, "")
        text = words[ours].get(text.lower(), text) if ours in words else text
        if text:
            ours_by_column[ours] = text
    return ours_by_column


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


def cells_of(params: Params, cells: Mapping[str, str]) -> dict[str, str]:
    """Return a row's cells by our columns, in our words, as the check with these `params` was told
    to read them."""
    return cells_by(params["matches"], params.get("words", {}), cells)


def in_their_words(sentence: str, params: Params) -> str:
    """Return a sentence about a cell, by the headings of the file that the check is of."""
    spelt = dict(params["headings"])
    named = {ours: spelt[name] for name, ours in params["matches"].items()}
    theirs = {ours: f"“{name}”" for ours, name in named.items() if name != ours}
    return _NAMED.sub(lambda found: theirs.get(found[0], found[0]), sentence)


def _plain(column: str) -> str:
    """Return a heading without what is written one way or another: "serien-nr." and "seriennr"."""
    return re.sub(r"[\W_]+", "", column)


MOST_KEPT: Final = 500  # sets of headings; of more, those used last
MOST_WORDS: Final = 200  # of a column, the newest
LONGEST_TOLD: Final = 500
TARGET: Final = "import_headings"


def recall(columns: Sequence[str]) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Return matches and words of the last file with this set of headings; nothing of none."""
    row = session().get(ImportMatch, _key(columns))
    if row is None:
        return {}, {}
    known = {name: ours for name, ours in row.matches.items() if name in columns}
    return {name: ours for name, ours in known.items() if ours in COLUMNS}, row.words


def keep(
    current: Session, actor: Actor, columns: Sequence[str], matches: Matches, words: Words
) -> None:
    """Remember these, in the caller's transaction, with its entry in the audit trail."""
    key = _key(columns)
    fresh = {"headings": key, "matches": {}, "words": {}, "used_at": common_now()}
    insert = insert_or_ignore(current.connection())(ImportMatch)
    added: Any = current.execute(insert.values(fresh).on_conflict_do_nothing())
    row = current.get_one(ImportMatch, key, with_for_update=True, populate_existing=True)
    before = _in_audit(row.matches)
    row.matches, row.used_at = dict(matches), common_now()
    row.words = {field: _newest(row.words.get(field, {}), said) for field, said in words.items()}
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
    """Let remembered words that became `before` become `after`."""
    for row in current.scalars(select(ImportMatch).with_for_update()):
        words = row.words.get(field, {})
        if before in words.values():
            renamed = {word: after if ours == before else ours for word, ours in words.items()}
            row.words = {**row.words, field: renamed}


def _key(columns: Sequence[str]) -> str:
    """Return the set of headings, in whatever order; rows that failed come back with one more."""
    names = sorted(set(columns) - {PROBLEM})
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def _newest(before: dict[str, str], said: dict[str, str] | Any) -> dict[str, str]:
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
