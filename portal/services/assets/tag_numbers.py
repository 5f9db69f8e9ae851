"""Asset tags for those who do not think up their own: AST-00001 and on, none given twice."""

import re
from collections.abc import Collection
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.extensions import db
from portal.models.assets import Asset, Counter
from portal.services.core.unit_of_work import insert_or_ignore

SERIES: Final = "asset_tag"
LOOKED_AT: Final = 50  # tags, for a hint
GIVEN: Final = re.compile(r"ast-\d{5,}", re.ASCII)


def next_tag(current: Session, besides: Collection[str] = ()) -> str:
    """The next tag that no asset has or had, and none of `besides` (in small letters).

    It is gone when the transaction fails: nobody waits for the end of that to get the next.
    """
    while True:
        tag = f"AST-{_next_number(current):05d}"
        if tag.lower() not in besides and not _is_used(current, tag):
            return tag


def likely_tag(current: Session) -> str | None:
    """The tag that `next_tag` would give now, unless many after the last are taken. Reads only."""
    last = current.scalar(select(Counter.value).where(Counter.name == SERIES)) or 0
    tags = [f"AST-{last + step:05d}" for step in range(1, LOOKED_AT + 1)]
    same = func.lower(Asset.asset_tag)
    taken = set(current.scalars(select(same).where(same.in_([each.lower() for each in tags]))))
    return next((each for each in tags if each.lower() not in taken), None)


def of_the_series(tags: Collection[str]) -> set[str]:
    """Those, in small letters, that could be given out as well."""
    return {tag.lower() for tag in tags if GIVEN.fullmatch(tag.lower())}


def _next_number(current: Session) -> int:
    make = insert_or_ignore(current.connection())
    first = make(Counter).values(name=SERIES, value=1)
    counted = first.on_conflict_do_update(
        index_elements=[Counter.name], set_={"value": Counter.value + 1}
    )
    told = counted.returning(Counter.value)
    if current.connection().dialect.name == "sqlite":
        return current.execute(told).scalar_one()
    # Committed at once: a machine that is cut off in the middle of a Save would keep the row, and
    # all others waiting, until the database gave that Save up.
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as apart:
        return apart.execute(told).scalar_one()


def _is_used(current: Session, tag: str) -> bool:
    """Whether a person gave this tag to an asset, deleted ones included."""
    same = select(Asset.id).where(func.lower(Asset.asset_tag) == tag.lower()).limit(1)
    return current.execute(same).first() is not None
