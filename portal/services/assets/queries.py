"""The register as a list: searched, filtered, the newest first, in keyset pages."""

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


# The chips that are no more than some statuses.
STATUSES: Final[Mapping[Shown, tuple[AssetStatus, ...]]] = {
    Shown.FREE: (AssetStatus.AVAILABLE,),
    Shown.OUT: (AssetStatus.ALLOCATED, AssetStatus.CHECKED_OUT),
    Shown.MAINTENANCE: (AssetStatus.MAINTENANCE,),
    Shown.BROKEN: (AssetStatus.BROKEN, AssetStatus.WARRANTY),
    Shown.LOST: (AssetStatus.LOST,),
}

# So many are read to tell how many each chip would show beside a search or another filter.
COUNTED_BESIDE: Final = 1_000
ASSETS: Final = select(Asset.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetFilter:
    """The filter of the list.

    `search` looks into tag, name, serial number, and the name and address of whoever has it.
    `deleted`: what was deleted, and nothing else; otherwise nothing that was. `asset_tag`,
    `serial_number`: whole, in whatever capitals.
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
    """Return one page of the assets that match, with their category and location."""
    query = select(Asset).options(joinedload(Asset.category), joinedload(Asset.location))
    return newest_of(query, Asset.id, cursor, _scans(chosen), size)


def matching(chosen: AssetFilter, limit: int, after: int | None = None) -> list[int]:
    """Return the ids of the first `limit` that match: the newest first, or the oldest first from
    `after` this id on."""
    is_ascending = after is not None
    query = side_by_side(_scans(chosen), limit, after, ascending=is_ascending)
    return sorted(session().scalars(query), reverse=not is_ascending)[:limit]


def has_assets() -> bool:
    query = select(Asset.id).where(Asset.deleted_at.is_(None)).limit(1)
    return session().execute(query).first() is not None


def counts(chosen: AssetFilter) -> dict[Shown | None, int | None]:
    """Count the assets that each chip would show beside the other filters.

    Without any, `capped`, each from its index. Beside some, what they leave is read and counted, up
    to one more than `COUNTED_BESIDE`: then only all of them, and the chip that is chosen, have a
    number, and the others None.
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
    """Return who has which of these assets, each with the person."""
    query = select(Assignment).where(Assignment.asset_id.in_(ids), Assignment.ended_at.is_(None))
    rows = session().scalars(query.options(joinedload(Assignment.staff)))
    return {row.asset_id: row for row in rows}


def count(chosen: AssetFilter) -> int:
    """Count what matches, up to one more than `limit_of` it."""
    limit = limit_of(chosen)
    if chosen == AssetFilter(shown=Shown.OVERDUE):
        # What somebody has cannot be deleted: no asset need be looked at.
        return session().execute(select(up_to(_overdue(), limit))).scalar_one()
    query = side_by_side(_scans(chosen), limit + 1)
    return session().execute(select(up_to(query, limit))).scalar_one()


def limit_of(chosen: AssetFilter) -> int:
    """Return how far to count: not as far beside a search or another filter than a chip."""
    return queries.COUNT_LIMIT if _is_whole(chosen) else COUNTED_BESIDE


def _is_whole(chosen: AssetFilter) -> bool:
    return replace(chosen, shown=None) == AssetFilter()


def is_overdue(now: datetime) -> ColumnElement[bool]:
    """Return whether a loan should have ended by `now`, as a condition on assignments."""
    return and_(Assignment.ended_at.is_(None), Assignment.due_at < now)


def is_low() -> ColumnElement[bool]:
    """Return whether there are fewer than there should be, as a condition on assets."""
    return and_(Asset.min_quantity.is_not(None), Asset.quantity < Asset.min_quantity)


def _scans(chosen: AssetFilter) -> list[Select[int]]:
    """Return queries for the ids of what matches, each along an index: words, holder or status."""
    scans = [by_words(chosen.search), by_holder(chosen.search)] if chosen.search else [ASSETS]
    asked = conditions(chosen)
    statuses = STATUSES.get(chosen.shown, ()) if chosen.shown else ()
    if chosen.search and statuses:
        asked.append(Asset.status.in_(statuses))
    elif statuses:
        scans = [scan.where(Asset.status == status) for scan in scans for status in statuses]
    return [scan.where(*asked) for scan in scans]


def conditions(chosen: AssetFilter) -> list[ColumnElement[bool]]:
    """Return what the filter asks of an asset, apart from the search and the chips of statuses."""
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
    """Read once, and not for each asset."""
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
    """Count the newest that match by the chips that they belong to."""
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

    `trigrams`: SQLite's table, which is no model, since its rows are the database's own. `joined`:
    the expression of PostgreSQL's index, to the letter, or it would not be used.
    """

    ids: InstrumentedAttribute[int]
    texts: tuple[InstrumentedAttribute[Any], ...]
    trigrams: Table
    joined: ColumnElement[str]


def _trigrams(name: str) -> Table:
    """Make the table. MATCH asks the column that is named as the table."""
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
    """Return the ids of assets whose tag, name or serial number holds the text, deleted ones too.

    Joined with the assets, for whatever else is asked of them.
    """
    return _holding(ASSET_WORDS, text)


def holds_words(text: str) -> ColumnElement[bool]:
    """Return the same as `by_words`, asked of a row of assets that another index has led to."""
    return any_holds(ASSET_WORDS.texts, _words(text))


def by_holder(text: str) -> Select[int]:
    """Return the ids of the assets that somebody has now whose name or address holds the text."""
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
    # Said with a sign, so that each that is found is looked up, and never the other way round.
    row_id = literal_column(f"+{trigrams.name}.rowid", Integer())
    phrase = '"' + words.replace('"', '""') + '"'
    joined = select(trigrams.c.id).join(searched.ids.class_, searched.ids == row_id)
    return joined.where(trigrams.c.words.op("MATCH")(phrase))


def _words(text: str) -> str:
    return " ".join(harmless(text).splitlines())
