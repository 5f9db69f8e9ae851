"""Each order of the register's list enters its index at the place where the page begins."""

import pytest
from flask import Flask
from sqlalchemy import event, text

from portal.extensions import db
from portal.services.assets import pages
from portal.services.assets.pages import AssetOrder, in_order
from portal.services.assets.queries import AssetFilter, Shown
from portal.services.core.unit_of_work import session, writing
from tests.services.core.register_lists import asset

MANY = 1200
INDEXES = {
    AssetOrder.NAME: "ix_assets_name_id",
    AssetOrder.TAG: "assets_asset_tag",
    AssetOrder.STATUS: "ix_assets_status_id",
    AssetOrder.CHANGED: "ix_assets_updated_at_id",
}


@pytest.fixture
def many(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a page of available assets among others, of which the planner has been told."""
    if db.engine.dialect.name != "sqlite":
        pytest.skip("the plans of SQLite alone are the same every time")
    monkeypatch.setattr(pages, "COUNTED_BESIDE", 10)
    with writing() as current:
        kinds = ("available", "lost", "broken")
        current.add_all(asset(number, status=kinds[number % 3]) for number in range(MANY))
    session().execute(text("ANALYZE"))
    session().commit()


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("chosen", [AssetFilter(), AssetFilter(shown=Shown.FREE, search="Thing")])
@pytest.mark.parametrize("order", INDEXES)
def test_the_second_page_begins_in_the_index(
    many: None, order: AssetOrder, chosen: AssetFilter, reverse: bool
) -> None:
    of_page = plan_of_the_second_page(chosen, order, reverse=reverse)
    walked = [line for line in of_page if "assets USING" in line and "rowid" not in line]
    assert walked, of_page
    assert all(INDEXES[order] in line and "SEARCH" in line for line in walked), of_page
    if order is not AssetOrder.STATUS:  # whose ranks are put together, a page of each
        assert not any("TEMP B-TREE" in line for line in of_page), of_page


@pytest.mark.parametrize("order", INDEXES)
def test_what_few_match_is_looked_up_and_sorted(
    many: None, monkeypatch: pytest.MonkeyPatch, order: AssetOrder
) -> None:
    monkeypatch.setattr(pages, "COUNTED_BESIDE", 200)
    of_page = plan_of_the_second_page(AssetFilter(search="Thing 11"), order, reverse=False)
    walked = [line for line in of_page if "assets USING" in line]
    assert walked, of_page
    assert all("INTEGER PRIMARY KEY (rowid=?)" in line for line in walked), walked


def plan_of_the_second_page(chosen: AssetFilter, order: AssetOrder, *, reverse: bool) -> list[str]:
    """How SQLite finds its rows."""
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
