"""Matching the headings and words of a file to those of the register, as people do it."""

import io

from flask import Flask

from jobs import tasks as job
from portal.services.task_kinds import KINDS
from tests.lib.spreadsheets.workbook_files import cells_of, text, xlsx
from tests.support.factories import make_category, make_staff
from tests.support.html import Node
from tests.support.pages import Page, Pages
from tests.web.signed_in import visit

ROWS = [["Inventarnummer", "Bezeichnung", "Kategorie", "Zustand", "Anschaffung", "Farbe"]]
LINES = (
    "Inventarnummer;Bezeichnung;Kategorie;Zustand;Anschaffung;Farbe\n"
    "L-1;ThinkPad;Laptop;gut;18.12.2023;rot\n"
    "L-2;Bürostuhl;Möbel;neu;31.02.2024;blau\n"
)


def send(pages: Pages, content: bytes, name: str = "Liste.csv", **values: str) -> Page:
    form = pages.get("/assets/import").form("/assets/import")
    return pages.submit(form, file=(io.BytesIO(content), name), **values)


def preview(pages: Pages, page: Page) -> Page:
    """Let the file of the page be checked, and return the preview of its rows."""
    job.work(KINDS)
    return pages.get(page.path)


def chosen(page: Page) -> list[str]:
    """Return the label of the selected option of each choice on the page."""
    selects = [node for node in page.root.find_all("select") if _is_open(node)]
    options = [
        [option for option in node.find_all("option") if option.has("selected")] for node in selects
    ]
    return [selected[0].text if selected else "" for selected in options]


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
    page = preview(pages, page)
    look = page.path
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


def test_words_are_asked_for_once_another_heading_is_chosen(app: Flask) -> None:
    pages = visit(app)
    page = send(pages, b"Bezeichnung;Note\nStuhl;defekt\nTisch;gut\n")
    assert chosen(page) == ["Name", "Notes"]
    wrong = pages.submit(page.form(), "Continue", column_0="", column_1="condition")
    assert (wrong.status, len(wrong.errors)) == (400, 1)
    page = pages.submit(page.form(), "Continue", column_1="condition")
    assert (page.status, page.h1) == (200, "Match headings")
    assert chosen(page) == ["Name", "Condition", "Damaged", "Good"]
    assert pages.submit(page.form(), "Continue").h1 == "Check file"


def test_words_of_one_more_heading_are_added_to_the_earlier_ones(app: Flask) -> None:
    pages = visit(app)
    make_category("LED lamps")
    page = send(pages, b"Bezeichnung;Kategorie;Ort;Note\nStuhl;LED lamp;Graz;defekt\n")
    kept = ["LED lamps", "Add it"]
    assert chosen(page) == ["Name", "Category", "Location", "Notes", *kept]
    page = pages.submit(page.form(), "Continue", column_3="condition")
    assert chosen(page) == ["Name", "Category", "Location", "Condition", *kept, "Damaged"]


def test_the_file_of_failed_rows_keeps_headings_and_separator(app: Flask) -> None:
    pages = visit(app)
    page = send(pages, LINES.encode("cp1252"))
    guess = "Windows-1252"
    assert guess in page.main
    page = pages.submit(page.form(), "Continue")
    page = preview(pages, page)
    assert guess in page.main
    assert page.rows()[1][3].startswith("Anschaffung: Enter the purchase date as a date")
    (failed,) = page.links("download it with error details")
    lines = pages.client.get(failed, buffered=True).get_data(as_text=True).splitlines()
    assert (
        lines[0] == "\ufeffInventarnummer;Bezeichnung;Kategorie;Zustand;Anschaffung;Farbe;problem"
    )
    assert lines[1].startswith("L-2;Bürostuhl;Möbel;neu;31.02.2024;blau;Anschaffung: Enter")
    again = send(pages, "\n".join(lines).removeprefix("\ufeff").encode())
    assert "Farbe" in again.main
    assert "problem" not in again.main  # our own column, which needs no match


def test_matches_are_kept_for_the_next_file_and_can_be_changed(app: Flask) -> None:
    pages = visit(app)
    page = send(pages, LINES.encode())
    assert "same as last time" not in page.main
    page = pages.submit(page.form(), "Continue", column_5="notes")
    again = preview(pages, page).links("Change columns")
    page = send(visit(app), LINES.encode())
    assert page.main.count("same as last time") == 6
    assert chosen(page)[5] == "Notes"
    page = pages.get(again[0])
    page = pages.submit(page.form(), "Continue", column_5="", remembers=None)
    job.work(KINDS)
    assert "same as last time" not in send(pages, LINES.encode()).main


def test_an_invalid_match_is_shown_and_other_choices_kept(app: Flask) -> None:
    pages = visit(app)
    form = send(pages, LINES.encode()).form()
    for changes, fields in (
        ({"column_1": "asset_tag"}, ["column_1"]),
        ({"column_0": "", "column_1": ""}, []),  # an error of the whole form
        ({"column_2": "id"}, ["column_2"]),
        ({"column_0": "x" * 5000}, ["column_0"]),
    ):
        page = pages.submit(form, "Continue", column_5="notes", **changes)
        assert (page.status, len(page.errors), page.wrong) == (400, 1, fields), changes
        assert "Notes" in chosen(page)


def test_all_pages_of_an_unmatched_import_lead_to_the_match_page(app: Flask) -> None:
    pages = visit(app)
    here = send(pages, LINES.encode()).path
    check = here.removesuffix("/match")
    assert pages.get(check).path == here
    assert pages.get(f"{check}/correct").path == here
    task = pages.get(f"/tasks/{check.rsplit('/', 1)[1]}")
    assert task.links("Match headings") == [here]
    form = pages.get(here).form()
    pages.submit(form, "Continue")
    twice = pages.submit(form, "Continue")  # pressed twice
    assert twice.h1 == "Check file"
    assert pages.get(here).h1 == "Check file"


def test_an_imported_file_cannot_be_matched_again(app: Flask) -> None:
    pages = visit(app)
    here = send(pages, LINES.encode()).path
    pages.submit(pages.get(here).form(), "Continue")
    job.work(KINDS)
    check = here.removesuffix("/match")
    pages.submit(pages.get(check).form(check), "Import 1 row")
    job.work(KINDS)
    assert pages.get(here).path == check
    assert not pages.get(check).links("Change columns")


def test_html_in_headings_and_words_is_escaped(app: Flask) -> None:
    pages = visit(app)
    page = send(pages, b'name,"<b>x</b>",condition\nA,<i>,"<u>bad</u>"\n')
    assert "<b>x</b> becomes" in page.html.replace("&lt;", "<").replace("&gt;", ">")
    assert not page.root.find_all("b", "u")


def checked(pages: Pages, page: Page, button: str = "Continue", **said: str) -> Page:
    """Submit the answers and return the preview of the rows."""
    page = pages.submit(page.form(), button, **said)
    return preview(pages, page)


def test_ambiguous_dates_and_amounts_are_asked_about_once(app: Flask) -> None:
    pages = visit(app)
    text = b"Bezeichnung;Anschaffung;Preis\nStuhl;03/04/2023;1.250\nTisch;05/06/2023;\n"
    page = send(pages, text)
    assert "Are these day/month or month/day? 03/04/2023" in page.main
    assert "Does the point in 1.250 separate thousands or decimals?" in page.main
    for answers, wrong in (
        ({}, ["reading_1", "reading_2"]),
        ({"reading_1": "day_first"}, ["reading_2"]),
        ({"reading_1": "backwards", "reading_2": ","}, ["reading_1"]),
    ):
        refused = pages.submit(page.form(), "Continue", **answers)
        assert (refused.status, refused.wrong) == (400, wrong), answers
    page = checked(pages, page, reading_1="month_first", reading_2=",")
    (again,) = page.links("Change columns")
    pages.submit(page.form(page.path), "Import 2 rows")
    job.work(KINDS)
    chair = pages.get("/assets/1").main
    assert ("Mar 4, 2023" in chair, "EUR 1,250.00" in chair) == (True, True)
    # The next file of this kind starts with these answers.
    page = send(pages, text)
    form = page.form()
    assert (form.fields["reading_1"], form.fields["reading_2"]) == (["month_first"], [","])
    assert pages.get(again).h1 == "Import results"


def test_a_date_format_is_changed_without_another_upload(app: Flask) -> None:
    pages = visit(app)
    page = checked(pages, send(pages, b"Name;Bought on\nChair;1.2.2023\nDesk;2.3.2023\n"))
    (again,) = page.links("Change columns")
    page = checked(pages, pages.get(again), reading_1="month_first")
    pages.submit(page.form(page.path), "Import 2 rows")
    job.work(KINDS)
    assert "Jan 2, 2023" in pages.get("/assets/1").main


def test_a_column_of_words_read_as_dates_is_reported_with_a_fix(app: Flask) -> None:
    pages = visit(app)
    page = send(pages, b"Name,Remark\nChair,red\nDesk,blue\n")
    page = checked(pages, page, column_1="purchase_date")
    assert "None of the 2 rows can be imported." in page.main
    assert "2 rows: date not recognized in “Remark”" in page.main
    (cure,) = page.links("Change how it’s read")
    page = checked(pages, pages.get(cure), column_1="notes")
    assert "2 assets will be added." in page.main


def test_an_unrecognized_file_shows_its_contents(app: Flask) -> None:
    pages = visit(app)
    page = send(pages, b"Foo,Bar\nx,1\ny,2\n")
    assert "2 columns aren’t matched and will be left out. Foo: x, y Bar: 1, 2" in page.main
    page = pages.submit(page.form(), "Continue")
    assert (page.status, page.errors) == (400, ["Match one heading to Tag or Name"])


def test_rows_with_a_word_can_be_skipped(app: Flask) -> None:
    pages = visit(app)
    page = send(pages, b"Name,Category\nChair,Chairs\nDesk,chairs\nLamp,Lamps\n")
    (chairs, _) = [name for name in page.form().fields if name.startswith("word_")]
    page = checked(pages, page, **{chairs: "skip"})
    assert [row[2:] for row in page.rows()] == [
        ["Skipped", "Category: rows with “Chairs” are skipped"],
        ["Skipped", "Category: rows with “chairs” are skipped"],
        ["Add", "—"],
    ]
    assert "1 new category: Lamps (1 row)." in page.main
    form = send(pages, b"Name,Category\nChair,Chairs\n").form()
    assert form.fields[chairs] == ["skip"]  # as last time


def test_a_new_person_is_added_with_an_email_address(app: Flask) -> None:
    make_staff("Maria Lopez", email="maria@example.com")
    pages = visit(app)
    page = send(pages, b"Name,Who\nChair,Zoe Martin\nDesk,maria lopez\nLamp,-\n")
    (email,) = [name for name in page.form().fields if name.startswith("email_")]
    refused = pages.submit(page.form(), "Continue")
    assert (refused.status, refused.wrong) == (400, [email])
    page = checked(pages, page, **{email: "zoe@example.com"})
    assert [row[-1] for row in page.rows()] == [
        "Holder: no one → Zoe Martin",
        "Holder: no one → Maria Lopez",
        "—",
    ]
    pages.submit(page.form(page.path), "Import 3 rows")
    job.work(KINDS)
    assert "zoe@example.com" in pages.get("/staff").main
    assert "Zoe Martin" in pages.get("/assets/1").main


def test_a_name_can_be_matched_to_another_one_on_the_staff_list(app: Flask) -> None:
    make_staff("Maria Lopez", email="maria@example.com")
    pages = visit(app)
    page = send(pages, b"Name,Who\nChair,Mary\n")
    (word,) = [name for name in page.form().fields if name.startswith("word_")]
    page = checked(pages, page, **{word: "to:maria@example.com"})
    assert page.rows()[0][-1] == "Holder: no one → Maria Lopez"


def test_failed_rows_are_corrected_on_a_page(app: Flask) -> None:
    pages = visit(app)
    text = (
        "Name;Tag;Bought on;Price;Notes\n"
        'Chair;C-1;soon;many;"two\nlines"\nDesk;C-1;2023-01-02;20,50;\nSofa;;;;\n'
    )
    page = checked(pages, send(pages, text.encode()))
    (here,) = page.links("Correct them here")
    page = pages.get(here)
    assert page.h1 == "Correct rows"
    assert "Row 2" in page.main
    assert "Enter the purchase date as year, month, and day" in page.main
    assert "Row 2 already has this tag" in page.main
    form = page.form()
    assert [name for name in form.fields if name.startswith("cell_")] == [
        *(f"cell_2_{at}" for at in range(4)),  # a text of two lines is left as it is
        *(f"cell_3_{at}" for at in range(5)),
    ]
    cells = {"cell_2_2": "2023-05-01", "cell_2_3": "1.250", "cell_3_1": "C-1"}
    page = checked(pages, page, button="Check again", **cells)
    assert [row[2] for row in page.rows()] == ["Add", "Failed", "Add"]
    (here,) = page.links("Correct it here")
    page = checked(pages, pages.get(here), button="Check again", cell_3_1="C-2")
    pages.submit(page.form(page.path), "Import 3 rows")
    job.work(KINDS)
    chair, desk = pages.get("/assets/1").main, pages.get("/assets/2").main
    expected = ("C-1", "May 1, 2023", "EUR 1,250.00", "two", "lines")
    assert [words for words in expected if words not in chair] == []
    assert "C-2" in desk
    assert pages.get(here).h1 == "Import results"


def test_only_the_first_20_failed_rows_are_corrected_at_once(app: Flask) -> None:
    pages = visit(app)
    page = send(pages, b"Name;Bought on\n" + b"Chair;soon\n" * 30)
    page = checked(pages, page, column_1="purchase_date")
    page = pages.get(page.links("Correct them here")[0])
    assert "the first 20 of 30 rows that can’t be imported" in page.main
    assert len([name for name in page.form().fields if name.startswith("cell_")]) == 40
