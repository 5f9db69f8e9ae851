"""Pages that list and merge spellings of suppliers and manufacturers."""

from flask import Flask

from jobs import tasks as job
from portal.services.task_kinds import KINDS
from tests.support.factories import make_asset
from tests.web.signed_in import visit


def test_a_person_merges_two_spellings(app: Flask) -> None:
    for supplier, maker in (("DELL", "Dell & Co"), ("Dell", "HP")):
        make_asset(supplier=supplier, manufacturer=maker)
    pages = visit(app, "manager")
    pages.get("/assets")
    page = pages.follow("Suppliers and manufacturers")
    assert sorted(row[:2] for row in page.rows()) == [["DELL", "1 asset"], ["Dell", "1 asset"]]
    page = pages.get(page.links("Merge DELL")[0])
    page = pages.submit(page.form(), into="Dell")
    assert page.h1 == "Merge “DELL” into “Dell”"
    job.work(KINDS)
    page = pages.get(pages.get(page.path).links("View suppliers")[0])
    assert [row[:2] for row in page.rows()] == [["Dell", "2 assets"]]
    page = pages.follow("Manufacturers")
    page = pages.get(page.links("Merge Dell & Co")[0])
    assert page.h1 == "Merge “Dell & Co”"
    assert page.here[-1] == "Assets"


def test_an_unknown_spelling_is_not_found(app: Flask) -> None:
    make_asset(supplier="Dell")
    pages = visit(app)
    for query in ("field=supplier&name=DELL", "name=%00", "name=%ed%a0%80"):
        assert pages.get(f"/assets/spellings/merge?{query}").status == 404
    assert pages.get("/assets/spellings?field=odd").status == 400
    assert pages.get("/assets/spellings/merge?name=").path == "/assets/spellings?field=supplier"
    assert pages.get("/assets/spellings?field=manufacturer").rows() == []


def test_a_role_that_only_reads_sees_no_merge_link(app: Flask) -> None:
    make_asset(supplier="Dell")
    assert not visit(app, "support").get("/assets/spellings").links("Merge")
