"""Asset search: any part of tag, name or serial number, any input, through an index."""

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import event, text

from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.assets import Asset
from portal.models.assignments import Assignment, Staff
from portal.services.actions import assignments, lifecycle
from portal.services.assets import queries
from portal.services.assets.queries import (
    COUNTED_BESIDE,
    AssetFilter,
    Shown,
    by_holder,
    by_words,
    counts,
    list_assets,
)
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import session, writing
from tests.support.database.statements import asked
from tests.support.factories import make_asset, make_staff

pytestmark = pytest.mark.both_databases

MANY = COUNTED_BESIDE + 500
LOST = MANY // 3


def found(search: str) -> list[int]:
    return [row.id for row in list_assets(AssetFilter(search=search)).rows]


def test_any_part_of_tag_name_or_serial_number_finds_the_asset(app: Flask) -> None:
    asset_id = make_asset("ThinkPad T14 von Äna", asset_tag="ADMIN-007", serial_number="5CG0391XYZ")
    make_asset("Chair", asset_tag="CH-1", serial_number="000")
    parts = ("T14", "t14", "DMIN-0", "5CG0391", "g0391", "391", "ad T", "dm", "Ä", "äna", "ÄNA")
    assert {part: found(part) for part in parts} == {part: [asset_id] for part in parts}


# Inputs that a search engine, a pattern or an SQL statement could interpret.
STRANGE = [
    *("%", "_", "%%%", "___", "a_c", "a%c", "*", "***", "ab*", "'", '"', '"""', 'a"b', "\\", "/"),
    *("NEAR", "NEAR(abc def, 2)", "abc AND def", "abc OR def", "NOT abc", "-abc", "abc -def"),
    *("name:abc", "words:abc", "^abc", "{abc}", "(abc", "abc)", "abc + def", ":abc", "$1", ";--"),
    *("\x00", "abc\x00def", "\x1f", "abc\x1fdef", "abc\ndef", "😀😀😀", "\u202eabc"),
    "x" * 10_000,
    "'; DROP TABLE assets; --",
]


def test_search_input_is_taken_literally(app: Flask) -> None:
    asset_id = make_asset("abc def xyz", asset_tag="T-1")
    for search in STRANGE:
        seen = "".join(
            character for character in search.replace("\n", " ") if character.isprintable()
        )
        assert found(search) == ([asset_id] if seen in "abc def xyz" else []), search
        assert counts(AssetFilter(search=search))[None] == len(found(search)), search


def test_a_match_does_not_span_two_fields(app: Flask) -> None:
    make_asset("Lamp", asset_tag="T-1", serial_number="SN1")
    for search in ("1lamp", "T-1Lamp", "lampsn", "T-1 Lamp"):
        assert found(search) == []


@pytest.fixture
def on_sqlite(app: Flask) -> None:
    if db.engine.dialect.name != "sqlite":
        pytest.skip("the plans of SQLite alone are the same every time")


@pytest.fixture
def many(app: Flask) -> None:
    """Store more assets than a search counts, some of them held, one of them unique and overdue."""
    status = ("lost", "broken", "allocated")
    with writing() as current:
        current.add_all(
            Asset(asset_tag=f"M-{n:05d}", name="Monitor 27", status=status[n % 3])
            for n in range(MANY)
        )
        current.add(Asset(asset_tag="X-1", name="Telescope", status="checked_out"))
        few = {"kind": "stock", "quantity": 1, "min_quantity": 2}
        current.add(Asset(asset_tag="X-2", name="Paper", status="available", **few))
        gone = {"status": "available", "deleted_at": utcnow()}
        current.add(Asset(asset_tag="X-3", name="Paper", **gone))
        current.add(Staff(name="Zoe Winter", email="zoe@example.com"))
        current.add_all(Staff(name=f"Ben {n}", email=f"ben{n}@example.com") for n in range(200))
    long_ago = datetime(2001, 2, 3, tzinfo=UTC)
    held = {"kind": "allocation", "condition_out": "good", "started_at": long_ago}
    with writing() as current:
        current.add_all(
            Assignment(asset_id=n + 1, staff_id=2 + n % 200, **held) for n in range(2, MANY, 3)
        )
        current.add(Assignment(**held | {"asset_id": MANY + 1, "staff_id": 1, "due_at": long_ago}))
    session().execute(text("ANALYZE"))
    session().commit()


def test_search_counts_stop_at_a_limit_and_show_it(many: None) -> None:
    broad = counts(AssetFilter(search="monitor"))
    assert broad[None] == COUNTED_BESIDE + 1
    assert {number for chip, number in broad.items() if chip} == {None}
    chosen = counts(AssetFilter(search="monitor", shown=Shown.LOST))
    assert (chosen[Shown.LOST], chosen[Shown.BROKEN]) == (LOST, None)
    one = counts(AssetFilter(search="winter"))
    assert {chip: n for chip, n in one.items() if n} == {None: 1, Shown.OUT: 1, Shown.OVERDUE: 1}
    few = counts(AssetFilter(search="paper"))
    assert {chip: n for chip, n in few.items() if n} == {None: 1, Shown.FREE: 1, Shown.LOW: 1}
    everything = counts(AssetFilter())
    assert (everything[None], everything[Shown.LOST]) == (MANY + 2, LOST)
    assert everything[Shown.FREE] == 1


def test_the_whole_register_is_counted_up_to_the_limit(
    many: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.services.core.queries.COUNT_LIMIT", 20)
    numbers = counts(AssetFilter())
    assert (numbers[None], numbers[Shown.LOST], numbers[Shown.OVERDUE]) == (21, 21, 1)
    assert queries.count(AssetFilter(shown=Shown.LOST)) == 21


def test_counting_overdue_assets_reads_only_assignments(many: None) -> None:
    with asked(db.engine, "SELECT") as statements:
        assert queries.count(AssetFilter(shown=Shown.OVERDUE)) == 1
    assert [statement for statement in statements if "FROM assignments" in statement]
    assert [statement for statement in statements if "FROM assets" in statement] == []


def test_counts_over_two_searches_or_statuses_stop_at_the_limit(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.services.core.queries.COUNT_LIMIT", 2)
    monkeypatch.setattr(queries, "COUNTED_BESIDE", 2)
    zoe = make_staff("Zoe Winter")
    for _ in range(2):
        assignments.allocate(SYSTEM, make_asset("Laptop"), staff_id=zoe)
        tomorrow = utcnow() + timedelta(days=1)
        assignments.check_out(SYSTEM, make_asset("Laptop"), staff_id=zoe, due_at=tomorrow)
        make_asset("Winter coat")
    lifecycle.delete_asset(SYSTEM, make_asset("Winter coat"))
    numbers = dict.fromkeys(Shown) | {None: 3}
    assert counts(AssetFilter(search="winter")) == numbers
    assert counts(AssetFilter(search="winter", shown=Shown.OUT)) == numbers | {Shown.OUT: 3}
    none = dict.fromkeys(Shown, 0)
    assert counts(AssetFilter()) == none | {None: 3, Shown.OUT: 3, Shown.FREE: 2}


WAYS = {
    "all": AssetFilter(),
    "a chip": AssetFilter(shown=Shown.LOST),
    "a chip of two statuses": AssetFilter(shown=Shown.BROKEN),
    "late": AssetFilter(shown=Shown.OVERDUE),
    "low": AssetFilter(shown=Shown.LOW),
    "deleted": AssetFilter(deleted=True),
    "words": AssetFilter(search="telescope"),
    "a person": AssetFilter(search="winter"),
    "nothing": AssetFilter(search="nowhere"),
}


NEWEST = {"all": {"SCAN assets"}}


def test_no_list_or_count_scans_the_whole_register(on_sqlite: None, many: None) -> None:
    scans: list[str] = []

    def explain(connection, _cursor, words, values, *_) -> None:  # type: ignore[no-untyped-def]
        if words.startswith("SELECT"):
            plan = connection.connection.cursor().execute(f"EXPLAIN QUERY PLAN {words}", values)
            lines = [row[-1] for row in plan.fetchall()]
            scans.extend(line for line in lines if line.startswith("SCAN "))

    event.listen(db.engine, "before_cursor_execute", explain)
    try:
        for way, chosen in WAYS.items():
            scans.clear()
            list_assets(chosen)
            counts(chosen)
            # The newest assets are read from the end of the table, one page only.
            whole = set(scans) & {"SCAN assets", "SCAN staff", "SCAN assignments"}
            assert whole <= NEWEST.get(way, set()), way
    finally:
        event.remove(db.engine, "before_cursor_execute", explain)


def test_postgresql_uses_its_trigram_index_for_both_searches(many: None) -> None:
    if db.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has tables in the place of these indexes")
    current = session()
    # Other plans are cheaper for few rows. This only checks that the index fits.
    for method in ("seqscan", "indexscan", "indexonlyscan"):
        current.execute(text(f"SET LOCAL enable_{method} = off"))
    for query, index in (
        (by_words("telescope"), "ix_asset_words"),
        (by_holder("winter"), "ix_staff_words"),
    ):
        sql = query.compile(current.connection(), compile_kwargs={"literal_binds": True})
        plan = current.connection().exec_driver_sql(f"EXPLAIN {sql}").scalars().all()
        assert index in "\n".join(plan)


def test_sqlite_uses_its_index_for_three_letters_or_more(
    on_sqlite: None,
) -> None:
    for words, by_index in (("lamp", True), ("lam", True), ("la", False)):
        statement = str(by_words(words).compile(session().connection()))
        assert ("MATCH" in statement) is by_index, words
