"""Importing as people do it: choose a file, review, confirm once, and get failed rows back."""

import io
from decimal import Decimal

import pytest
from flask import Flask

from jobs import tasks as job
from portal.engine.events.catalogue import EventName
from portal.services.actions import assignments
from portal.services.core.permissions import SYSTEM
from portal.services.csv.export import COLUMNS
from portal.services.task_kinds import KINDS
from tests.services.core.whole_database import whole_database
from tests.support.factories import make_asset, make_staff, make_webhook
from tests.web.csv.test_import_match import preview, send
from tests.web.signed_in import visit


def test_a_person_imports_a_file(app: Flask) -> None:
    make_asset("Lamp", asset_tag="L-1")
    pages = visit(app)
    assert pages.get("/assets").links("Import") == ["/assets/import"]
    text = b"asset_tag,name,condition,colour\nL-1,Desk lamp,,red\n,Chair,,\n,X,odd,\n"
    page = send(pages, text, change_existing="y")
    assert page.h1 == "Match headings"
    page = pages.submit(page.form(), "Continue")
    assert page.h1 == "Check file"
    job.work(KINDS)
    look = pages.get(page.path).path
    assert pages.client.get(f"{page.path}/live").get_json() == {"next": look}
    page = pages.get(look)
    assert page.h1 == "Preview import"
    assert [row[2] for row in page.rows()] == ["Change", "Add", "Failed"]
    assert len(pages.get(f"{look}?show=failed").rows()) == 1
    assert pages.get(f"{look}?show=failed&after={2**63}").status == 400
    assert pages.get(f"{look}?show=nothing").status == 400
    progress = pages.submit(page.form(look), "Import 2 rows")
    assert progress.h1 == "Import assets"
    assert "failed" not in progress.main  # the import has not started
    assert pages.submit(page.form(look), "Import 2 rows").path == progress.path
    job.work(KINDS)
    page = pages.get(progress.path)
    assert "1 added, 1 changed, 1 failed." in page.main
    assert "tag-success" not in page.html
    (rows_that_failed,) = page.links("View failed rows")
    assert [row[0] for row in pages.get(rows_that_failed).rows()] == ["4"]
    assert page.links("Import another file") == ["/assets/import"]
    (failed,) = page.links("Download failed rows")
    assert "Enter one of excellent" in pages.client.get(failed, buffered=True).get_data(
        as_text=True
    )
    page = pages.get(look)
    assert page.h1 == "Import results"
    assert [row[2] for row in page.rows()] == ["Changed", "Added", "Failed"]
    (failed,) = page.links("Download it with error details")
    text = pages.client.get(failed, buffered=True).get_data(as_text=True)
    assert text.splitlines()[1].startswith(',X,odd,,"condition: Enter one of excellent')


def test_a_file_without_valid_rows_says_so_once(app: Flask) -> None:
    pages = visit(app)
    for rows, words in (
        (b"Chair,odd\nDesk,odd\n", "None of the 2 rows can be imported. 2 rows: value not"),
        (b"Chair,odd\n", "1 row can’t be imported. 1 row: value not recognized in “condition”"),
    ):
        page = pages.submit(send(pages, b"name,condition\n" + rows).form(), "Continue")
        page = preview(pages, page)
        assert words in page.main
        assert "The rest can" not in page.main
        assert "nothing to import" not in page.main


def test_a_file_with_our_headings_leads_to_the_same_check_each_time(app: Flask) -> None:
    pages = visit(app)
    form = pages.get("/assets/import").form("/assets/import")
    paths = []
    for _ in range(2):
        file = (io.BytesIO(b"name\nLamp\n"), "assets.csv")
        paths.append(pages.submit(form, follow=False, file=file).location)
        job.work(KINDS)
    assert paths[0] == paths[1]
    assert pages.get(paths[0]).h1 == "Preview import"
    assert paths[0].startswith("/tasks/")


def test_a_preview_counts_used_columns_and_shows_serial_numbers(app: Flask) -> None:
    pages = visit(app)
    for heading, words in (
        ("name,serial_number", "Recognized all 2 columns."),
        ("name,serial_number,status", "We use 2 of 3 columns."),
    ):
        page = send(pages, f"{heading}\nLamp,PF-1\nDesk,\n".encode())
        assert page.h1 == "Check file"
        page = preview(pages, page)
        assert words in page.main
        assert [row[:3] for row in page.rows()] == [["2", "Lamp", "PF-1"], ["3", "Desk", "\u2014"]]
        assert pages.get(page.links("Change columns")[0]).h1 == "Match headings"


def test_changed_fields_are_worded_as_in_the_timeline(app: Flask) -> None:
    asset_id = make_asset("Lamp", asset_tag="L-1", purchase_cost=Decimal(1349), notes="n" * 200)
    make_staff("Maria Lopez", email="maria@example.com")
    pages = visit(app)
    heading = b"asset_tag,name,condition,purchase_cost,warranty_expires,notes,assigned_to_email\n"
    line = f"L-1,Desk <lamp>,FAIR,1299,31.12.2028,{'n' * 200}!,maria@example.com\n"
    page = send(pages, heading + line.encode(), change_existing="y")
    page = preview(pages, page)
    look = page.path
    (row,) = page.rows()
    shown = (
        "Name: Lamp → Desk <lamp>",
        "Condition: Good → Fair",
        "Purchase cost: EUR 1,349.00 → EUR 1,299.00",
        "Warranty ends: nothing → Dec 31, 2028",
        f"Notes: …{'n' * 40} → …{'n' * 40}!",
        "Status: Available → Allocated",
        "Holder: no one → Maria Lopez",
    )
    assert [words for words in shown if words not in row[3]] == []
    progress = pages.submit(page.form(look), "Import 1 row").path
    job.work(KINDS)
    assert "tag-success" in pages.get(progress).html
    timeline = pages.get(f"/assets/{asset_id}/timeline").main
    assert [words for words in shown if words not in timeline] == []
    assert [words for words in shown if words not in pages.get(look).rows()[0][3]] == []


def test_dates_and_amounts_of_a_new_asset_are_shown_as_read(app: Flask) -> None:
    pages = visit(app)
    text = (
        b"name;purchase_date;purchase_cost;warranty_expires\nLamp;13/04/2023;1.249,50;\nDesk;;;\n"
    )
    page = send(pages, text)
    page = preview(pages, page)
    look = page.path
    changes = ["Purchase date: nothing → Apr 13, 2023 Purchase cost: nothing → EUR 1,249.50", "—"]
    assert [row[-1] for row in page.rows()] == changes
    pages.submit(page.form(look), "Import 2 rows")
    job.work(KINDS)
    assert [row[-1] for row in pages.get(look).rows()] == changes


def test_the_holder_of_an_asset_that_would_change_is_shown(app: Flask) -> None:
    lent, jonas = make_asset("Lamp", asset_tag="L-1"), make_staff("Jonas Brandt")
    for asset_id in (lent, make_asset("Phone", asset_tag="P-1")):
        assignments.allocate(SYSTEM, asset_id, staff_id=jonas)
    make_asset("Chair", asset_tag="C-1")
    pages = visit(app)
    text = b"asset_tag,name\nL-1,Desk lamp\nC-1,Stool\nD-1,Desk\nP-1,Phone\n"
    page = send(pages, text, change_existing="y")
    page = preview(pages, page)
    look = page.path
    assert [row[1] for row in page.rows()] == [
        "Desk lamp L-1 With Jonas Brandt",
        "Stool C-1",
        "Desk D-1",
        "Phone P-1",  # which does not change
    ]
    assert page.rows()[0][3] == "Name: Lamp → Desk lamp"
    assignments.revoke(SYSTEM, lent)
    pages.submit(page.form(look), "Import 3 rows")
    job.work(KINDS)
    changed = "The asset changed after the check. Check the file again"
    assert pages.get(look).rows()[0][3] == f"{changed} Not done Name: Lamp → Desk lamp"
    assert pages.get(look).rows()[1][3] == "Name: Chair → Stool"


def test_notes_on_many_rows_are_shown_once_above_them(app: Flask) -> None:
    make_asset("Toner", asset_tag="T-1", kind="stock", quantity=4)
    pages = visit(app)
    lines = "".join(f",Chair {number},Chairs,Room {number},,\n" for number in range(12))
    lines += ",Stool,chairs,Room 1,5,lost\nT-1,,,,9,\n"
    text = f"asset_tag,name,category,location,quantity,status\n{lines}"
    page = send(pages, text.encode(), change_existing="y")
    page = pages.submit(page.form(), "Continue")
    page = preview(pages, page)
    for note in ("1 new category: Chairs (13 rows).", "12 new locations: Room 1 (2 rows), "):
        assert page.main.count(note) == 1
    assert page.main.count(" in 1 row of ") == 2
    assert page.main.count("Chairs") == 1
    assert {row[3] for row in page.rows()[:12]} == {"\u2014"}
    assert page.rows()[12][3] == "Left out: quantity 5"


def test_a_missing_or_invalid_file_is_refused_at_its_field(app: Flask) -> None:
    pages = visit(app)
    form = pages.get("/assets/import").form("/assets/import")
    for page in (pages.submit(form), send(pages, b"\xff\xfe"), send(pages, b"PK\x03\x04")):
        assert (page.status, page.wrong) == (400, ["file"])


@pytest.mark.both_databases
def test_refused_files_leave_no_rows_behind(app: Flask) -> None:
    pages = visit(app)
    pages.get("/assets/import")
    before = whole_database()
    for content in (
        b"," * 300_000,
        b"name\n" + b"a\n" * 20_001,
        b"name,name\na,b\n",
        b'name\na\n"b\n',
        b"PK\x03\x04",
    ):
        for _ in range(3):
            assert len(send(pages, content).errors) == 1
    assert whole_database() == before


def test_a_preview_counts_the_webhooks_that_it_will_notify(app: Flask) -> None:
    make_staff(email="maria@example.com")
    make_asset("Lamp", asset_tag="L-1")
    for event, many in ((EventName.CREATED, 1), (EventName.UPDATED, 2), (EventName.ALLOCATED, 4)):
        for _ in range(many):
            make_webhook(events=[event])
    pages = visit(app)
    change = b"asset_tag,name,assigned_to_email\nL-1,Desk lamp,maria@example.com\n"
    for text, webhooks in ((b"name\nChair\n", "1 webhook"), (change, "6 webhooks")):
        page = send(pages, text, change_existing="y")
        assert f"This will notify {webhooks}" in preview(pages, page).main


def test_the_example_can_be_imported(app: Flask) -> None:
    pages = visit(app)
    answer = pages.client.get("/assets/import/example.csv", buffered=True)
    assert answer.headers["Content-Disposition"] == 'attachment; filename="assets-example.csv"'
    heading, laptop, toner = answer.get_data(as_text=True).lstrip("\ufeff").splitlines()
    assert heading.split(",") == list(COLUMNS)
    assert laptop.startswith(",ThinkPad T14,item,,Lenovo,T14,PF4X9Z2K,,,,2026-02-03,1249.00,")
    assert toner.startswith(",Toner,stock,,,,,,,,,,,,,12,4,pieces,")
    page = send(pages, answer.get_data())
    job.work(KINDS)
    assert "2 assets will be added." in pages.get(page.path).main
