"""Search, filter, and count assets, in keyset pages, newest first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    Column,
    ColumnElement,
    Integer,
    MetaData,
    ScalarSelect,
    Select,
    Table,
    Text,
    and_,
    func,
    literal_column,
    select,
)
from sqlalchemy.orm import InstrumentedAttribute, joinedload

from portal.lib.paging import Page
from portal.lib.typed_text import harmless
from portal.models.assets import Asset, AssetStatus, Category, Location
from portal.models.assignments import Assignment, Staff
from portal.services.core import queries
from portal.services.core.keyset import newest_of, side_by_side
from portal.services.core.queries import any_holds, up_to
from portal.services.core.unit_of_work import database_time, session


class Shown(StrEnum):
    FREE = "free"
    OUT = "out"
    OVERDUE = "overdue"
    MAINTENANCE = "maintenance"
    BROKEN = "broken"
    LOST = "lost"
    LOW = "low"


# The chips that are only a set of statuses.
STATUSES: Final[Mapping[Shown, tuple[AssetStatus, ...]]] = {
    Shown.FREE: (AssetStatus.AVAILABLE,),
    Shown.OUT: (AssetStatus.ALLOCATED, AssetStatus.CHECKED_OUT),
    Shown.MAINTENANCE: (AssetStatus.MAINTENANCE,),
    Shown.BROKEN: (AssetStatus.BROKEN, AssetStatus.WARRANTY),
    Shown.LOST: (AssetStatus.LOST,),
}

# The number of rows read to count each chip's assets with a search or another filter.
COUNTED_BESIDE: Final = 1_000
ASSETS: Final = select(Asset.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetFilter:
    """A filter for the list.

    `search` looks in the tag, name, serial number, and the holder's name and email address.
    `deleted` selects only deleted assets. Otherwise only undeleted assets match. `asset_tag` and
    `serial_number` match whole values, ignoring case.
    """

    search: str = ""
    category: UUID | None = None
    location: UUID | None = None
    status: AssetStatus | None = None
    shown: Shown | None = None
    deleted: bool = False
    asset_tag: str = ""
    serial_number: str = ""


def list_assets(
    chosen: AssetFilter, cursor: str | None = None, size: int | None = None
) -> Page[Asset]:
    """Return a page of matching assets with their category and location."""
    query = select(Asset).options(joinedload(Asset.category), joinedload(Asset.location))
    return newest_of(query, Asset.id, cursor, _scans(chosen), size)


def matching(chosen: AssetFilter, limit: int, after: int | None = None) -> list[int]:
    """Return the first `limit` matching ids, newest first, or oldest first after the id `after`."""
    is_ascending = after is not None
    query = side_by_side(_scans(chosen), limit, after, ascending=is_ascending)
    return sorted(session().scalars(query), reverse=not is_ascending)[:limit]


def has_assets() -> bool:
    query = select(Asset.id).where(Asset.deleted_at.is_(None)).limit(1)
    return session().execute(query).first() is not None


def counts(chosen: AssetFilter) -> dict[Shown | None, int | None]:
    """Count the assets that each chip would show with the other filters.

    Without other filters, each count comes from its index and is `capped`. With other filters, at
    most `COUNTED_BESIDE` + 1 matches are read. If there are more than `COUNTED_BESIDE`, only the
    total and the chosen chip have a number, and the others are None.
    """
    if _is_whole(chosen):
        return _counts_of_all()
    numbers = _counted(replace(chosen, shown=None))
    total = sum(numbers.values())
    if total <= COUNTED_BESIDE:
        return {
            chip: sum(number for chips, number in numbers.items() if chip is None or chip in chips)
            for chip in (None, *Shown)
        }
    unknown: dict[Shown | None, int | None] = dict.fromkeys((None, *Shown))
    return unknown | {None: total} | ({chosen.shown: count(chosen)} if chosen.shown else {})


def holders(ids: Sequence[int]) -> dict[int, Assignment]:
    """Return the open assignments of these assets by asset id, with their staff."""
    query = select(Assignment).where(Assignment.asset_id.in_(ids), Assignment.ended_at.is_(None))
    rows = session().scalars(query.options(joinedload(Assignment.staff)))
    return {row.asset_id: row for row in rows}


def count(chosen: AssetFilter) -> int:
    """Count the matches, up to `limit_of(chosen)` + 1."""
    limit = limit_of(chosen)
    if chosen == AssetFilter(shown=Shown.OVERDUE):
        # An assigned asset can't be deleted, so the assets need not be read.
        return session().execute(select(up_to(_overdue(), limit))).scalar_one()
    query = side_by_side(_scans(chosen), limit + 1)
    return session().execute(select(up_to(query, limit))).scalar_one()


def limit_of(chosen: AssetFilter) -> int:
    """Return the counting limit, which is lower with a search or any filter except a chip."""
    return queries.COUNT_LIMIT if _is_whole(chosen) else COUNTED_BESIDE


def _is_whole(chosen: AssetFilter) -> bool:
    return replace(chosen, shown=None) == AssetFilter()


def is_overdue(now: datetime) -> ColumnElement[bool]:
    """Return the condition on assignments that a checkout is overdue at `now`."""
    return and_(Assignment.ended_at.is_(None), Assignment.due_at < now)


def is_low() -> ColumnElement[bool]:
    """Return the condition on assets that the quantity is below the threshold."""
    return and_(Asset.min_quantity.is_not(None), Asset.quantity < Asset.min_quantity)


def _scans(chosen: AssetFilter) -> list[Select[int]]:
    """Return queries for matching ids, each along an index of words, holders, or statuses."""
    scans = [by_words(chosen.search), by_holder(chosen.search)] if chosen.search else [ASSETS]
    asked = conditions(chosen)
    statuses = STATUSES.get(chosen.shown, ()) if chosen.shown else ()
    if chosen.search and statuses:
        asked.append(Asset.status.in_(statuses))
    elif statuses:
        scans = [scan.where(Asset.status == status) for scan in scans for status in statuses]
    return [scan.where(*asked) for scan in scans]


def conditions(chosen: AssetFilter) -> list[ColumnElement[bool]]:
    """Return the filter's conditions on an asset, except for the search and status chips."""
    gone = Asset.deleted_at.is_not(None) if chosen.deleted else Asset.deleted_at.is_(None)
    asked: list[ColumnElement[bool]] = [gone]
    if chosen.category:
        asked.append(Asset.category_id == _id_of(Category, chosen.category))
    if chosen.location:
        asked.append(Asset.location_id == _id_of(Location, chosen.location))
    if chosen.status:
        asked.append(Asset.status == chosen.status)
    for column, text in (
        (Asset.asset_tag, chosen.asset_tag),
        (Asset.serial_number, chosen.serial_number),
    ):
        if text:
            asked.append(func.lower(column) == func.lower(text))
    if chosen.shown is Shown.LOW:
        asked.append(is_low())
    if chosen.shown is Shown.OVERDUE:
        asked.append(Asset.id.in_(_overdue()))
    return asked


def _id_of(kind: type[Category] | type[Location], public_id: UUID) -> ScalarSelect[int]:
    """Return a subquery for the id, which is read once and not for each asset."""
    return select(kind.id).where(kind.public_id == public_id).scalar_subquery()


def _overdue() -> Select[int]:
    return select(Assignment.asset_id).where(is_overdue(database_time(session())))


def _counts_of_all() -> dict[Shown | None, int | None]:
    numbers = {
        status: up_to(ASSETS.where(Asset.deleted_at.is_(None), Asset.status == status))
        for status in AssetStatus
    }
    (low,) = _scans(AssetFilter(shown=Shown.LOW))
    others = {Shown.LOW: up_to(low), Shown.OVERDUE: up_to(_overdue())}
    row = session().execute(select(*numbers.values(), *others.values())).one()
    known = dict(zip((*numbers, *others), row, strict=True))
    limit = queries.COUNT_LIMIT + 1
    of_status = {
        chip: min(limit, sum(known[status] for status in among)) for chip, among in STATUSES.items()
    }
    total = min(limit, sum(known[status] for status in numbers))
    return {None: total} | of_status | {chip: known[chip] for chip in others}


def _counted(chosen: AssetFilter) -> dict[frozenset[Shown], int]:
    """Count the newest matches by their set of chips."""
    ids = side_by_side(_scans(chosen), COUNTED_BESIDE + 1)
    read = select(ids.limit(COUNTED_BESIDE + 1).subquery())
    low, late = func.coalesce(is_low(), False), Asset.id.in_(_overdue())
    grouped = (
        select(Asset.status, low, late, func.count())
        .where(Asset.id.in_(read))
        .group_by(Asset.status, low, late)
    )
    numbers: dict[frozenset[Shown], int] = {}
    for status, is_low_, is_late, number in session().execute(grouped):
        chips = {chip for chip, among in STATUSES.items() if status in among}
        chips |= {Shown.LOW} if is_low_ else set()
        chips |= {Shown.OVERDUE} if is_late else set()
        key = frozenset(chips)
        numbers[key] = numbers.get(key, 0) + number
    return numbers


TRIGRAM: Final = 3


@dataclass(frozen=True, slots=True)
class Searched:
    """The search in one table.

    `trigrams` is SQLite's table. It has no model because the database maintains its rows. `joined`
    must match the expression of PostgreSQL's index exactly, or the index is not used.
    """

    ids: InstrumentedAttribute[int]
    texts: tuple[InstrumentedAttribute[Any], ...]
    trigrams: Table
    joined: ColumnElement[str]


def _trigrams(name: str) -> Table:
    """Return the table with a column named like the table, because MATCH needs that name."""
    columns = Column("rowid", Integer, key="id", primary_key=True), Column(name, Text, key="words")
    return Table(name, MetaData(), *columns)


ASSET_WORDS: Final = Searched(
    ids=Asset.id,
    texts=(Asset.asset_tag, Asset.name, Asset.serial_number),
    trigrams=_trigrams("asset_words"),
    joined=literal_column(
        "assets.asset_tag || chr(31) || assets.name || chr(31)"
        " || coalesce(assets.serial_number, '')",
        Text(),
    ),
)
STAFF: Final = Searched(
    ids=Staff.id,
    texts=(Staff.name, Staff.email),
    trigrams=_trigrams("staff_words"),
    joined=literal_column("staff.name || chr(31) || staff.email", Text()),
)


def by_words(text: str) -> Select[int]:
    """Return a query for assets whose tag, name, or serial number contains the text.

    It includes deleted assets and joins the assets, so that callers can add conditions.
    """
    return _holding(ASSET_WORDS, text)


def holds_words(text: str) -> ColumnElement[bool]:
    """Return the condition of `by_words` for asset rows that are read along another index."""
    return any_holds(ASSET_WORDS.texts, _words(text))


def by_holder(text: str) -> Select[int]:
    """Return a query for assets whose current holder's name or email address contains the text."""
    return (
        select(Assignment.asset_id)
        .join(Asset, Asset.id == Assignment.asset_id)
        .where(Assignment.ended_at.is_(None), Assignment.staff_id.in_(_holding(STAFF, text)))
    )


def _holding(searched: Searched, text: str) -> Select[int]:
    words = _words(text)
    if session().get_bind().dialect.name != "sqlite":
        return select(searched.ids).where(any_holds((searched.joined,), words))
    if len(words) < TRIGRAM:
        return select(searched.ids).where(any_holds(searched.texts, words))
    trigrams = searched.trigrams
    # The unary plus makes SQLite look up the row of each match, never a match for each row.
    row_id = literal_column(f"+{trigrams.name}.rowid", Integer())
    phrase = '"' + words.replace('"', '""') + '"'
    joined = select(trigrams.c.id).join(searched.ids.class_, searched.ids == row_id)
    return joined.where(trigrams.c.words.op("MATCH")(phrase))


def _words(text: str) -> str:
    return " ".join(harmless(text).splitlines())
