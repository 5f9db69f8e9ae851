"""Lists of the asset register, with rows and the expected pages."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select

from portal.lib.clock import utcnow
from portal.lib.paging import Page
from portal.models.assets import Activity, Asset, AssetStatus, Category, Location, StockMove
from portal.models.assignments import Assignment, Staff
from portal.services.actions import stock
from portal.services.assets import named_lists, timeline
from portal.services.assets import pages as asset_pages
from portal.services.assets import queries as asset_queries
from portal.services.assets import staff as asset_staff
from portal.services.assets.pages import AssetOrder
from portal.services.assets.queries import AssetFilter, Shown
from portal.services.assets.staff import StaffFilter
from portal.services.core.unit_of_work import session
from tests.services.core.keyset_walk import NOON, Case, by_id, every, newest, of_two_assets, store

# The longest possible name, of characters that take the most bytes.
LONG = "\U0001f527" * 120


def asset(number: int, **values: Any) -> Asset:
    """Build one of many assets."""
    return Asset(asset_tag=f"T-{number}", name=f"Thing {number}", **values)


def assets() -> Iterator[Case]:
    """Yield assets by each filter, which some rows match and some do not."""
    desks, hall = Category(name="Desks"), Location(name="Hall")
    store(desks, hall)
    late, now = NOON - timedelta(days=9000), utcnow()
    rows = [asset(n, status=status) for n, status in enumerate([*AssetStatus] * 3)]
    for number, row in enumerate(rows):
        row.category_id = desks.id if number % 3 == 0 else None
        row.location_id = hall.id if number % 5 == 0 else None
        row.deleted_at = now if number % 7 == 0 else None
        row.serial_number = f"SN{number}" if number % 4 == 0 else None
        row.quantity, row.min_quantity = (1, number % 3) if number % 2 else (None, None)
    store(*rows)
    ana = Staff(name="Ana", email="ana@example.com")
    store(ana)
    held = {"staff_id": ana.id, "kind": "checkout", "condition_out": "good", "started_at": late}
    lent = [Assignment(asset_id=row.id, due_at=late, **held) for row in rows[2::5]]
    back = [Assignment(asset_id=row.id, due_at=late, ended_at=now, **held) for row in rows[3::5]]
    store(*lent, *back)
    has_it = {assignment.asset_id for assignment in lent}
    of_status = {
        Shown.FREE: {"available"},
        Shown.OUT: {"allocated", "checked_out"},
        Shown.MAINTENANCE: {"maintenance"},
        Shown.BROKEN: {"broken", "warranty"},
        Shown.LOST: {"lost"},
    }

    def shown(row: Asset, chip: Shown) -> bool:
        if chip is Shown.LOW:
            return row.min_quantity is not None and (row.quantity or 0) < row.min_quantity
        return row.id in has_it if chip is Shown.OVERDUE else row.status in of_status[chip]

    stored = every(Asset)

    def case(does: Callable[[Any], bool], *, gone: bool = False, **asked: Any) -> Case:
        chosen = AssetFilter(deleted=gone, **asked)
        kept = [row for row in stored if (row.deleted_at is not None) is gone and does(row)]
        return Case(
            f"assets {asked} {gone}",
            lambda cursor: asset_queries.list_assets(chosen, cursor),
            by_id,
            newest(kept),
            frozenset({*asked, "deleted"}),
        )

    def at_desk(row: Asset) -> bool:
        return row.category_id is not None

    yield case(lambda _: True)
    yield case(lambda _: True, gone=True)
    yield case(at_desk, category=desks.public_id)
    yield case(lambda row: row.location_id is not None, location=hall.public_id)
    yield case(lambda row: row.serial_number is not None, search="sn")
    yield case(lambda row: row.serial_number == "SN4", serial_number="sn4")
    yield case(lambda row: row.asset_tag == "T-4", asset_tag="t-4")
    yield case(lambda row: row.id in has_it, search="ANA@")
    yield case(
        lambda row: at_desk(row) and row.id in has_it, search="Ana", category=desks.public_id
    )
    for status in AssetStatus:
        yield case(lambda row, status=status: row.status == status, status=status)
    for chip in Shown:
        yield case(lambda row, chip=chip: shown(row, chip), shown=chip)


def turned(
    chosen: AssetFilter, order: AssetOrder, reverse: bool, few: int, cursor: str | None
) -> Page[Asset]:
    """Return a page of the list. Up to `few` matches are sorted, more are walked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asset_pages, "COUNTED_BESIDE", few)
        return asset_pages.in_order(chosen, cursor, order, reverse=reverse)


def named(kind: type[Any], of: Callable[[Asset], int | None]) -> Callable[[Asset], int]:
    """Return a key function that ranks an asset by the name of its related row of `kind`."""
    ids = session().scalars(select(kind.id).order_by(func.lower(kind.name), kind.id))
    places = {row_id: place for place, row_id in enumerate(ids)}
    return lambda row: places.get(of(row), 0)


def sorted_assets() -> Iterator[Case]:
    """Yield assets in each order and reversed, with ties and with missing values in each column."""
    desks, halls = [
        [kind(name=name) for name in ("b", "A", "ää", "C")] for kind in (Category, Location)
    ]
    store(*desks, *halls)
    rows = [asset(n, status=status) for n, status in enumerate([*AssetStatus] * 3)]
    for number, row in enumerate(rows):
        row.name = ("Dock", "dock", "Ääd", "Chair", LONG)[number % 5]
        row.asset_tag = f"{'xX'[number % 2]}-{number * 7 % 32:02}"
        row.updated_at = NOON - timedelta(days=number % 6)
        row.deleted_at = utcnow() if number % 7 == 0 else None
        row.category_id = desks[number % 3].id if number % 4 else None
        row.location_id = halls[1 if number < 20 else number % 3].id if number % 5 else None
        row.serial_number = f"{'sS'[number % 2]}{number * 11 % 32:02}" if number % 3 else None
    store(*rows)
    people = [
        Staff(name=name, email=f"{name}{n}@x.example") for n, name in enumerate(["Zoe", "ana"] * 2)
    ]
    store(*people)
    held = {"kind": "checkout", "condition_out": "good", "started_at": NOON}
    lent = [
        Assignment(asset_id=row.id, staff_id=people[number % 4].id, **held)
        for number, row in enumerate(rows[2::3])
    ]
    back = [
        Assignment(asset_id=row.id, staff_id=people[0].id, ended_at=NOON, **held)
        for row in rows[3::3]
    ]
    store(*lent, *back)
    has_it = {assignment.asset_id: assignment.staff_id for assignment in lent}
    anas = {people[1].id, people[3].id}
    by_name, by_tag = (
        list(session().scalars(select(Asset.id).order_by(func.lower(column), Asset.id)))
        for column in (Asset.name, Asset.asset_tag)
    )
    keys: dict[AssetOrder, Callable[[Asset], Any]] = {
        AssetOrder.NAME: lambda row: by_name.index(row.id),
        AssetOrder.TAG: lambda row: by_tag.index(row.id),
        AssetOrder.STATUS: lambda row: (asset_pages.RANKS.index(AssetStatus(row.status)), -row.id),
        AssetOrder.CHANGED: lambda row: (-row.updated_at.timestamp(), -row.id),
        AssetOrder.CATEGORY: named(Category, lambda row: row.category_id),
        AssetOrder.LOCATION: named(Location, lambda row: row.location_id),
        AssetOrder.HOLDER: named(Staff, lambda row: has_it.get(row.id)),
        AssetOrder.SERIAL: lambda row: (row.serial_number or "").lower(),
        AssetOrder.ADDED: lambda row: -row.id,
    }
    nameless: dict[AssetOrder, Callable[[Asset], bool]] = {
        AssetOrder.CATEGORY: lambda row: row.category_id is None,
        AssetOrder.LOCATION: lambda row: row.location_id is None,
        AssetOrder.HOLDER: lambda row: row.id not in has_it,
        AssetOrder.SERIAL: lambda row: row.serial_number is None,
    }
    filters: list[tuple[AssetFilter, Callable[[Asset], bool]]] = [
        (AssetFilter(), lambda _: True),
        (AssetFilter(status=AssetStatus.BROKEN), lambda row: row.status == "broken"),
        (AssetFilter(shown=Shown.OUT), lambda row: row.status in ("allocated", "checked_out")),
        (AssetFilter(search="DOCK"), lambda row: row.name.lower() == "dock"),
        (AssetFilter(search="ana"), lambda row: has_it.get(row.id) in anas),
        (AssetFilter(deleted=True), lambda _: True),
    ]
    stored = every(Asset)
    for order, key in keys.items():
        for place, (chosen, does) in enumerate(filters):
            for reverse in (False, True) if order is not AssetOrder.ADDED else (False,):
                kept = [
                    row
                    for row in stored
                    if (row.deleted_at is not None) is chosen.deleted and does(row)
                ]
                # Ties are sorted by id. Rows without a name stay at the end.
                kept.sort(key=lambda row: (key(row), row.id), reverse=reverse)
                kept.sort(key=nameless.get(order, lambda _: False))
                yield Case(
                    f"assets by {order}, {reverse}, {chosen}",
                    partial(
                        turned, chosen, order, reverse, 1_000 if (place % 2 == 1) is reverse else 2
                    ),
                    by_id,
                    [row.id for row in kept],
                )


def staff() -> Iterator[Case]:
    """Yield staff with equal names, names that differ only in case, and very long names."""
    names = ["Ben", "ana", "Ana", "Ana", "ANA", "Zoe", LONG, LONG, LONG, "ben", "Émile", "émile"]
    store(
        *(
            Staff(name=name, email=f"p{n}@example.com", department="IT", is_active=n % 4 != 1)
            for n, name in enumerate(names * 2)
        )
    )
    key = func.lower(Staff.name)
    for left in (False, True):
        for search in ("", "it", "an"):
            query = select(Staff.public_id).where(Staff.is_active.is_(not left))
            query = query.where(Staff.name.icontains("an")) if search == "an" else query
            expected = list(session().scalars(query.order_by(key, Staff.id)))
            yield Case(
                f"staff {left} {search}",
                lambda cursor, left=left, search=search: asset_staff.listing(
                    search, left=left, cursor=cursor
                ),
                lambda line: line.public_id,
                expected,
            )


def newest_staff() -> Iterator[Case]:
    """Yield staff by each filter, which some rows match and some do not."""
    store(
        *(
            Staff(name="Ana" if n % 3 else "Ben", email=f"p{n}@example.com", is_active=n % 4 != 1)
            for n in range(15)
        )
    )

    def case(does: Callable[[Staff], bool], **asked: Any) -> Case:
        chosen = StaffFilter(**asked)
        return Case(
            f"staff {asked}",
            lambda cursor: asset_staff.find_page(chosen, cursor),
            by_id,
            newest([row for row in every(Staff) if does(row)]),
            frozenset(asked),
        )

    yield case(lambda _: True)
    yield case(lambda row: row.name == "Ana", search="an")
    yield case(lambda row: row.is_active, is_active=True)
    yield case(lambda row: not row.is_active, is_active=False)
    yield case(lambda row: row.email == "p2@example.com", email="P2@example.com")


def newest_names() -> Iterator[Case]:
    """Yield categories and locations, all of them and one by name."""
    for kind, model in ((named_lists.CATEGORIES, Category), (named_lists.LOCATIONS, Location)):
        store(*(model(name=f"N{n}") for n in range(9)))
        for name in ("", "n3"):
            yield Case(
                f"{kind.many} {name}",
                lambda cursor, kind=kind, name=name: named_lists.find_page(kind, name, cursor),
                by_id,
                newest([row for row in every(model) if name in ("", row.name.lower())]),
            )


def names() -> Iterator[Case]:
    """Yield categories and locations by name."""
    for kind, model in ((named_lists.CATEGORIES, Category), (named_lists.LOCATIONS, Location)):
        spelt = ["b", "a", "C", "ä", "zz", "_", *(LONG[:-2] + end for end in ("aa", "bb", "cc"))]
        store(*(model(name=name) for name in spelt))
        in_order = select(model.id).order_by(func.lower(model.name), model.id)
        yield Case(
            kind.many,
            lambda cursor, kind=kind: named_lists.page(kind, cursor),
            by_id,
            list(session().scalars(in_order)),
        )


def moves() -> Iterator[Case]:
    """Yield the stock moves of one asset."""
    one, other = of_two_assets()
    who = {"kind": "receive", "delta": 1, "balance_after": 1, "actor_name": "Ana"}
    store(*(StockMove(asset_id=one if n % 3 else other, note=f"N{n}", **who) for n in range(15)))
    for asset_id in (one, other):
        yield Case(
            f"moves {asset_id}",
            lambda cursor, asset_id=asset_id: stock.moves(asset_id, cursor),
            by_id,
            newest([row for row in every(StockMove) if row.asset_id == asset_id]),
        )


def timelines() -> Iterator[Case]:
    """Yield the timeline of one asset."""
    one, other = of_two_assets()
    who = {"actor_name": "Ana", "origin": "ui", "action": "edit"}
    store(*(Activity(asset_id=one if n % 3 else other, note=f"N{n}", **who) for n in range(15)))
    for asset_id in (one, other):
        yield Case(
            f"timeline {asset_id}",
            lambda cursor, asset_id=asset_id: timeline.timeline(asset_id, cursor),
            by_id,
            newest([row for row in every(Activity) if row.asset_id == asset_id]),
        )
