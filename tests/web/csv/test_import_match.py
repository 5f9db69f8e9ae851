"""Matching a file that speaks otherwise than the register, as people do it."""

import io

from flask import Flask

from jobs import tasks as job
from portal.services.task_kinds import KINDS
from tests.lib.spreadsheets.workbook_files import cells_of, text, xlsx
from tests.support.factories import make_category
from tests.support.html import Node
from tests.support.pages import Page, Pages
from tests.web.signed_in import visit

ROWS = [["Inventarnummer", "Bezeichnung", "Kategorie", "Zustand", "Anschaffung", "Farbe"]]
LINES = (
    "Inventarnummer;Bezeichnung;Kategorie;Zustand;Anschaffung;Farbe\n"
    "L-1;ThinkPad;Laptop;gut;18.12.2023;rot\n"
    "L-2;Bürostuhl;Möbel;neu;31.02.2024;blau\n"
)


def send(pages: Pages, content: bytes, name: str = "Liste.csv") -> Page:
    form = pages.get("/assets/import").form("/assets/import")
    return pages.submit(form, file=(io.BytesIO(content), name))


def chosen(page: Page) -> list[str]:
    """What each choice on the page stands at, in words."""
    selects = [node for node in page.root.find_all("select") if _is_open(node)]
    options = [
        [each for each in node.find_all("option") if each.has("selected")] for node in selects
    ]
    return [found[0].text if found else "" for found in options]


def _is_open(select: Node) -> bool:
    return select.get("name").startswith(("column_", "word_"))


def test_a_person_matches_an_excel_list_and_imports_it(app: Flask) -> None:
    make_category("Laptops")
    words = "".join(map(text, ("L-1", "ThinkPad", "Laptop", "gut")))
    row = f'<row r="2">{words}<c s="1"><v>45278</v></c>{text("rot")}</row>'
    pages = visit(app)
    page = send(pages, xlsx(cells_of(ROWS) + row), "Inventarliste 2026.xlsx")
    assert page.h1 == "Match headings"
    assert "Inventarliste 2026.xlsx, sheet “Tabelle1”: 1 row." in page.main
    assert "Match headings" in page.here
    assert chosen(page) == [
        *("Tag", "Name", "Category", "Condition", "Purchase date", "Leave out"),
        *("Laptops", "Good"),
    ]
    page = pages.submit(page.form(), "Continue")
    assert page.h1 == "Check file"
    job.work(KINDS)
    (look,) = pages.get(page.path).links("Review rows")
    page = pages.get(look)
    assert [row[:3] for row in page.rows()] == [["2", "ThinkPad L-1", "Add"]]
    failed = pages.client.get(f"{look}/failed.csv", buffered=True).get_data(as_text=True)
    assert failed.split() == [
        "\ufeffInventarnummer,Bezeichnung,Kategorie,Zustand,Anschaffung,Farbe,problem"
    ]
    pages.submit(page.form(look), "Import 1 row")
    job.work(KINDS)
    page = pages.get("/assets/1")
    for words in ("ThinkPad", "Laptops", "Good", "Dec 18, 2023"):
        assert words in page.main


def test_words_are_asked_for_when_another_heading_is_chosen(app: Flask) -> None:
    pages = visit(app)
    page = send(pages, b"Bezeichnung;Note\nStuhl;defekt\nTisch;gut\n")
    assert chosen(page) == ["Name", "Notes"]
    wrong = pages.submit(page.form(), "Continue", column_0="", column_1="condition")
    assert (wrong.status, len(wrong.errors)) == (400, 1)
    page = pages.submit(page.form(), "Continue", column_1="condition")
    assert (page.status, page.h1) == (200, "Match headings")
    assert chosen(page) == ["Name", "Condition", "Damaged", "Good"]
    assert pages.submit(page.form(), "Continue").h1 == "Check file"


def test_words_of_one_more_heading_are_asked_for_beside_those_that_were(app: Flask) -> None:
    pages = visit(app)
    make_category("LED lamps")
    page = send(pages, b"Bezeichnung;Kategorie;Ort;Note\nStuhl;LED lamp;Graz;defekt\n")
    kept = ["LED lamps", "Keep “Graz”"]
    assert chosen(page) == ["Name", "Category", "Location", "Notes", *kept]
    page = pages.submit(page.form(), "Continue", column_3="condition")
    assert chosen(page) == ["Name", "Category", "Location", "Condition", *kept, "Damaged"]


def test_the_file_that_failed_has_its_own_headings_separator_and_letters(app: Flask) -> None:
    pages = visit(app)
    page = send(pages, LINES.encode("cp1252"))
    guess = "Windows-1252"
    assert guess in page.main
    page = pages.submit(page.form(), "Continue", may_add="y")
    job.work(KINDS)
    (look,) = pages.get(page.path).links("Review rows")
    page = pages.get(look)
    assert guess in page.main
    assert "Enter “Anschaffung” as a date that exists" in page.rows()[1][3]
    (failed,) = page.links("Download it with error details")
    lines = pages.client.get(failed, buffered=True).get_data(as_text=True).splitlines()
    assert (
        lines[0] == "\ufeffInventarnummer;Bezeichnung;Kategorie;Zustand;Anschaffung;Farbe;problem"
    )
    assert lines[1].startswith("L-2;Bürostuhl;Möbel;neu;31.02.2024;blau;Enter “Anschaffung”")
    again = send(pages, "\n".join(lines).removeprefix("\ufeff").encode())
    assert "Farbe" in again.main
    assert "problem" not in again.main  # ours, and nothing to match


def test_the_next_file_says_as_last_time_and_headings_can_be_matched_again(app: Flask) -> None:
    pages = visit(app)
    page = send(pages, LINES.encode())
    assert "same as last time" not in page.main
    page = pages.submit(page.form(), "Continue", column_5="notes")
    job.work(KINDS)
    (look,) = pages.get(page.path).links("Review rows")
    again = pages.get(look).links("Change columns")
    page = send(pages, LINES.encode())
    assert page.main.count("same as last time") == 6
    assert chosen(page)[5] == "Notes"
    page = pages.get(again[0])
    page = pages.submit(page.form(), "Continue", column_5="", remembers=None)
    job.work(KINDS)
    assert "same as last time" not in send(pages, LINES.encode()).main


def test_what_cannot_be_is_said_and_what_was_chosen_stays(app: Flask) -> None:
    pages = visit(app)
    form = send(pages, LINES.encode()).form()
    for changes, fields in (
        ({"column_1": "asset_tag"}, ["column_1"]),
        ({"column_0": "", "column_1": ""}, []),  # which is said of the whole form
        ({"column_2": "id"}, ["column_2"]),
        ({"column_0": "x" * 5000}, ["column_0"]),
    ):
        page = pages.submit(form, "Continue", column_5="notes", **changes)
        assert (page.status, len(page.errors), page.wrong) == (400, 1, fields), changes
        assert "Notes" in chosen(page)


def test_until_it_is_answered_every_way_leads_back_to_the_question(app: Flask) -> None:
    pages = visit(app)
    here = send(pages, LINES.encode()).path
    check = here.removesuffix("/match")
    assert pages.get(check).path == here
    task = pages.get(f"/tasks/{check.rsplit('/', 1)[1]}")
    assert task.links("Match headings") == [here]
    form = pages.get(here).form()
    pages.submit(form, "Continue")
    twice = pages.submit(form, "Continue")  # pressed twice
    assert twice.h1 == "Check file"
    assert pages.get(here).h1 == "Check file"


def test_after_the_import_there_is_nothing_to_match(app: Flask) -> None:
    pages = visit(app)
    here = send(pages, LINES.encode()).path
    pages.submit(pages.get(here).form(), "Continue", may_add="y")
    job.work(KINDS)
    check = here.removesuffix("/match")
    pages.submit(pages.get(check).form(check), "Import 1 row")
    job.work(KINDS)
    assert pages.get(here).path == check
    assert not pages.get(check).links("Change columns")


def test_headings_and_words_are_never_run(app: Flask) -> None:
    pages = visit(app)
    page = send(pages, b'name,"<b>x</b>",condition\nA,<i>,"<u>bad</u>"\n')
    assert "<b>x</b> becomes" in page.html.replace("&lt;", "<").replace("&gt;", ">")
    assert not page.root.find_all("b", "u")
