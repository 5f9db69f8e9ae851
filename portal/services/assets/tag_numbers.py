"""Generate asset tags from AST-00001 on, never one twice, and check tags for uniqueness."""

import re
from collections.abc import Collection
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from portal.extensions import db
from portal.models.assets import Asset, Counter
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import insert_or_ignore

SERIES: Final = "asset_tag"
LOOKED_AT: Final = 50  # tags checked for a hint
GIVEN: Final = re.compile(r"ast-\d{5,}", re.ASCII)


def next_tag(current: Session, besides: Collection[str] = ()) -> str:
    """Return the next tag that no asset has or had and that is not in `besides`.

    `besides` is in lower case. A failed transaction loses its tag, so that nobody has to wait for a
    transaction to get the next tag.
    """
    while True:
        tag = f"AST-{_next_number(current):05d}"
        if tag.lower() not in besides and not _is_used(current, tag):
            return tag


def likely_tag(current: Session) -> str | None:
    """Return the tag that `next_tag` would give, or None if the next `LOOKED_AT` are taken."""
    last = current.scalar(select(Counter.value).where(Counter.name == SERIES)) or 0
    tags = [f"AST-{last + step:05d}" for step in range(1, LOOKED_AT + 1)]
    same = func.lower(Asset.asset_tag)
    taken = set(current.scalars(select(same).where(same.in_([tag.lower() for tag in tags]))))
    return next((tag for tag in tags if tag.lower() not in taken), None)


def of_the_series(tags: Collection[str]) -> set[str]:
    """Return the tags, in lower case, that `next_tag` could give too."""
    return {tag.lower() for tag in tags if GIVEN.fullmatch(tag.lower())}


def _next_number(current: Session) -> int:
    make = insert_or_ignore(current.connection())
    first = make(Counter).values(name=SERIES, value=1)
    counted = first.on_conflict_do_update(
        index_elements=[Counter.name], set_={"value": Counter.value + 1}
    )
    numbered = counted.returning(Counter.value)
    if current.connection().dialect.name == "sqlite":
        return current.execute(numbered).scalar_one()
    # Commit immediately. Otherwise a machine cut off during a save would keep the row locked, and
    # everyone else waiting, until the database aborts that transaction.
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as apart:
        return apart.execute(numbered).scalar_one()


def _is_used(current: Session, tag: str) -> bool:
    """Return whether any asset has this tag, including deleted assets."""
    same = select(Asset.id).where(func.lower(Asset.asset_tag) == tag.lower()).limit(1)
    return current.execute(same).first() is not None


def refuse_taken(current: Session, tag: str | None, serial: str | None, own_id: int | None) -> None:
    """Raise a `Refusal` that names the other asset with this tag or serial number, if any."""
    holder = _holder(current, Asset.asset_tag, tag, own_id)
    if holder:
        sentence = f"“{holder.name}” already has the tag {holder.asset_tag}"
        raise Refusal(sentence, field="asset_tag")
    holder = holder_of_serial(current, serial, own_id)
    if holder:
        sentence = f"{holder.asset_tag} already has this serial number"
        raise Refusal(sentence, field="serial_number")


def holder_of_serial(
    current: Session, serial: str | None, own_id: int | None = None
) -> Asset | None:
    """Return the asset with this serial number, other than the asset `own_id`."""
    return _holder(current, Asset.serial_number, serial, own_id)


def _holder(
    current: Session,
    column: InstrumentedAttribute[str] | InstrumentedAttribute[str | None],
    value: str | None,
    own_id: int | None,
) -> Asset | None:
    if not value:
        return None
    # The database lowers both sides, because Python lowers more letters than SQLite.
    query = select(Asset).where(func.lower(column) == func.lower(value), column.is_not(None))
    others = query.where(Asset.deleted_at.is_(None), Asset.id != (own_id or 0))
    with current.no_autoflush:
        return current.scalars(others).first()
