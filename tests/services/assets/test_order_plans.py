"""Each sort order of the asset list seeks in its index to the start of the page."""

import pytest
from flask import Flask
from sqlalchemy import event, select

from portal.extensions import db
from portal.models.assets import Asset, Category, Location
from portal.models.assignments import Assignment, Staff
from portal.services.assets import pages
from portal.services.assets.pages import AssetOrder, in_order
from portal.services.assets.queries import AssetFilter, Shown
from portal.services.core.unit_of_work import writing
from tests.services.core.register_lists import asset
from tests.support.database.kept_filling import told_once

MANY = 1200
INDEXES = {
    AssetOrder.NAME: "ix_assets_name_id",
    AssetOrder.TAG: "assets_asset_tag",
    AssetOrder.STATUS: "ix_assets_status_id",
    AssetOrder.CHANGED: "ix_assets_updated_at_id",
}


@pytest.fixture
def counted(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set COUNTED_BESIDE to 10, so that a search with more matches walks the index."""
    if db.engine.dialect.name != "sqlite":
        pytest.skip("the plans of SQLite alone are the same every time")
    monkeypatch.setattr(pages, "COUNTED_BESIDE", 10)


@pytest.fixture
def many(counted: None) -> None:
    """Store more than a page of available assets among others, with planner statistics."""
    told_once(_fill)


def _fill() -> None:
    with writing() as current:
        kinds = ("available", "lost", "broken")
        current.add_all(asset(number, status=kinds[number % 3]) for number in range(MANY))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("chosen", [AssetFilter(), AssetFilter(shown=Shown.FREE, search="Thing")])
@pytest.mark.parametrize("order", INDEXES)
def test_the_second_page_starts_in_the_index(
    many: None, order: AssetOrder, chosen: AssetFilter, reverse: bool
) -> None:
    of_page = plan_of_the_second_page(chosen, order, reverse=reverse)
    walked = [line for line in of_page if "assets USING" in line and "rowid" not in line]
    assert walked, of_page
    of_statuses = order is AssetOrder.NAME and chosen.shown
    index = "ix_assets_status_name" if of_statuses else INDEXES[order]
    assert all(index in line and "SEARCH" in line for line in walked), of_page
    # Statuses are merged from one page of each, which takes a sort.
    if order is not AssetOrder.STATUS and not of_statuses:
        assert not any("TEMP B-TREE" in line for line in of_page), of_page


# For each order by a related name, the index of its groups and the index of their members.
GROUPED = {
    AssetOrder.CATEGORY: ("uq_categories_name", "ix_assets_category_id_id"),
    AssetOrder.LOCATION: ("uq_locations_name", "ix_assets_location_id_id"),
    AssetOrder.HOLDER: ("ix_staff_name_id", "ix_assignments_holding"),
    AssetOrder.SERIAL: ("uq_assets_serial_number", "uq_assets_serial_number"),
}


@pytest.fixture
def grouped(counted: None) -> None:
    """Give each stored asset a category, a location, a serial number and a holder."""
    told_once(_group)


def _group() -> None:
    _fill()
    with writing() as current:
        kinds = (Category, Location)
        groups = [[kind(name=f"{kind.__name__} {n}") for n in range(40)] for kind in kinds]
        people = [Staff(name=f"Ben {n}", email=f"ben.{n}@example.com") for n in range(300)]
        current.add_all([*groups[0], *groups[1], *people])
        current.flush()
        for row in current.scalars(select(Asset)):
            row.category_id, row.location_id = (group[row.id % 40].id for group in groups)
            row.serial_number = f"SN{row.id * 7919 % 10007}"
            held = {"kind": "checkout", "condition_out": "good", "started_at": row.created_at}
            staff_id = people[row.id % 300].id
            current.add(Assignment(asset_id=row.id, staff_id=staff_id, **held))


@pytest.mark.parametrize("order", GROUPED)
def test_an_order_by_a_related_name_walks_its_indexes(grouped: None, order: AssetOrder) -> None:
    for reverse in (False, True):
        of_groups, of_members = GROUPED[order]
        of_page = plan_of_the_second_page(AssetFilter(), order, reverse=reverse)
        lines = [line for line in of_page if "SUBQUERY" not in line]
        assert of_groups in lines[0], of_page
        assert all("SEARCH" in line for line in lines if "RIGHT PART" not in line), of_page
        assert any(of_members in line for line in lines), of_page


@pytest.mark.parametrize("reverse", [False, True])
def test_by_name_each_status_is_walked_separately_even_if_few(
    many: None, monkeypatch: pytest.MonkeyPatch, reverse: bool
) -> None:
    monkeypatch.setattr(pages, "COUNTED_BESIDE", MANY)
    chosen = AssetFilter(shown=Shown.BROKEN)
    of_page = plan_of_the_second_page(chosen, AssetOrder.NAME, reverse=reverse)
    walked = [line for line in of_page if "ix_assets_status_name" in line]
    assert len(walked) == 2, of_page
    assert all("SEARCH" in line and "<expr>" in line for line in walked), of_page


@pytest.mark.parametrize(
    "chosen", [AssetFilter(search="Thing 11"), AssetFilter(search="Thing 1", shown=Shown.FREE)]
)
@pytest.mark.parametrize("order", INDEXES)
def test_few_matches_are_looked_up_and_sorted(
    many: None, monkeypatch: pytest.MonkeyPatch, order: AssetOrder, chosen: AssetFilter
) -> None:
    monkeypatch.setattr(pages, "COUNTED_BESIDE", 200)
    of_page = plan_of_the_second_page(chosen, order, reverse=False)
    walked = [line for line in of_page if "assets USING" in line]
    assert walked, of_page
    assert all("INTEGER PRIMARY KEY (rowid=?)" in line for line in walked), walked


def plan_of_the_second_page(chosen: AssetFilter, order: AssetOrder, *, reverse: bool) -> list[str]:
    """Return SQLite's query plan for the second page."""
    cursor = in_order(chosen, None, order, reverse=reverse).older
    assert cursor
    plans: list[list[str]] = []

    def explain(connection, _cursor, words, values, *_) -> None:  # type: ignore[no-untyped-def]
        if "ORDER BY" in words:
            plan = connection.connection.cursor().execute(f"EXPLAIN QUERY PLAN {words}", values)
            plans.append([row[-1] for row in plan.fetchall()])

    event.listen(db.engine, "before_cursor_execute", explain)
    try:
        in_order(chosen, cursor, order, reverse=reverse)
    finally:
        event.remove(db.engine, "before_cursor_execute", explain)
    return plans[-1]
