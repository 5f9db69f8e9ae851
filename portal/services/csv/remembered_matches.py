"""What the headings and words of a file became, remembered for files with the same headings."""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from portal.lib.clock import common_now
from portal.models.tasks import ImportMatch
from portal.services.audit import trail
from portal.services.core.permissions import Actor
from portal.services.core.unit_of_work import insert_or_ignore, session
from portal.services.csv.columns import COLUMNS, PROBLEM
from portal.services.csv.import_matches import Matches, Words

MOST_KEPT: Final = 500  # sets of headings; of more, those used last
MOST_WORDS: Final = 200  # of a column, the newest
LONGEST_TOLD: Final = 500
TARGET: Final = "import_headings"


def recall(columns: Sequence[str]) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Matches and words of the last file with this set of headings; nothing of none."""
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
    before = _told(row.matches)
    row.matches, row.used_at = dict(matches), common_now()
    row.words = {field: _newest(row.words.get(field, {}), said) for field, said in words.items()}
    _record(current, actor, columns, (before, _told(row.matches)))
    if added.rowcount:
        newest = select(ImportMatch.headings).order_by(ImportMatch.used_at.desc()).limit(MOST_KEPT)
        current.execute(delete(ImportMatch).where(ImportMatch.headings.not_in(newest)))


def forget(current: Session, actor: Actor, columns: Sequence[str]) -> None:
    """Remember nothing of files with these headings."""
    row = current.get(ImportMatch, _key(columns), with_for_update=True)
    if row is not None:
        _record(current, actor, columns, (_told(row.matches), None))
        current.delete(row)


def _key(columns: Sequence[str]) -> str:
    """The set of headings, in whatever order; rows that failed come back with one more."""
    names = sorted(set(columns) - {PROBLEM})
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def _newest(before: dict[str, str], said: dict[str, str] | Any) -> dict[str, str]:
    kept = {word: ours for word, ours in before.items() if word not in said} | dict(said)
    return dict(list(kept.items())[-MOST_WORDS:])


def _told(matches: Matches) -> str | None:
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
    trail.record(current, actor, f"{TARGET}.{verb}", target=target, changes=changes)
