"""An import in a real browser: the tick, the check with its changes, and a part that failed."""

from collections.abc import Iterator
from uuid import UUID

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from jobs import tasks as job
from portal.lib.csv_upload import read_csv
from portal.services.csv import import_task
from portal.services.task_kinds import KINDS
from tests.browser.support.accessibility import check_page
from tests.browser.support.serve_app import served
from tests.browser.support.signed_in_page import sign_in
from tests.support.factories import Person, make_asset, make_user

HEADING = "asset_tag,name,notes,category,purchase_date,quantity,colour\n"
LONG = "a-note-without-a-single-space-in-it" * 8


@pytest.fixture
def portal(app: Flask) -> Iterator[str]:
    with served(app) as url:
        yield url


def fill() -> str:
    """Three assets, and a file that changes them, adds some and has two rows that fail."""
    for number in range(3):
        make_asset("ThinkPad", asset_tag=f"L-{number}")
    changes = "".join(f"L-{number},ThinkPad T14,{LONG},,2026-01-02,,\n" for number in range(3))
    added = "".join(f",Chair {number},,Chairs,,{number},red\n" for number in range(4))
    return f"{HEADING}{changes}{added},Desk,,,31.02.2026,,\n,{'D' * 130},,,,,\n"


def checked(person: Person) -> UUID:
    """That file, checked, with both ticks."""
    sheet = read_csv(fill().encode())
    public_id = import_task.upload(person.actor, sheet, may_add=True, change_existing=True)
    job.work(KINDS, seconds=60)
    return public_id


def choose(page: Page, text: str, *ticks: str) -> None:
    page.get_by_label("File", exact=True).set_input_files(
        {"name": "inventory.csv", "mimeType": "text/csv", "buffer": text.encode()}
    )
    for tick in ticks:
        page.get_by_label(tick).check()
    page.get_by_role("button", name="Check the file").click()


def test_a_check_of_which_some_failed_can_be_used_by_everyone(
    page: Page, app: Flask, portal: str
) -> None:
    text = fill()
    sign_in(page, app, portal, "manager")
    page.goto(f"{portal}/assets/import")
    expect(page.get_by_label("May change existing assets")).not_to_be_checked()
    check_page(page, "upload")
    choose(page, text, "May change existing assets", "Add categories")
    expect(page.get_by_role("heading", level=1)).to_have_text("Match the headings")
    check_page(page, "headings to be matched")
    page.get_by_role("button", name="Continue").click()
    job.work(KINDS, seconds=60)
    headline = page.get_by_text(
        "Checked; nothing is imported yet: 2 rows cannot be imported", exact=True
    )
    expect(headline).to_be_visible()
    check_page(page, "a check of which two failed")


def test_the_changes_of_each_row_can_be_used_by_everyone(
    page: Page, app: Flask, portal: str
) -> None:
    public_id = checked(make_user())
    sign_in(page, app, portal, "manager")
    page.goto(f"{portal}/assets/import/{public_id}")
    expect(page.get_by_text("1 new category: Chairs (4 rows).")).to_be_visible()
    expect(page.get_by_text("there is no 31 February")).to_be_visible()
    check_page(page, "what each row would do")


def test_an_import_of_which_some_failed_can_be_used_by_everyone(
    page: Page, app: Flask, portal: str
) -> None:
    person = make_user()
    task_id = import_task.confirm(person.actor, checked(person))
    job.work(KINDS, seconds=60)
    sign_in(page, app, portal, "manager")
    page.goto(f"{portal}/tasks/{task_id}")
    headline = page.get_by_text("Finished, but 2 were not imported", exact=True)
    expect(headline).to_be_visible()
    check_page(page, "an import of which two failed")
    page.get_by_role("link", name="See the rows that failed").click()
    expect(page.get_by_role("row")).to_have_count(3)
    check_page(page, "what failed")


def test_without_scripts_existing_assets_are_skipped_until_ticked(
    plain_page: Page, app: Flask, portal: str
) -> None:
    make_asset("Lamp", asset_tag="L-1")
    sign_in(plain_page, app, portal, "manager")
    for tick, result in (((), "Skipped"), (("May change existing assets",), "Change")):
        plain_page.goto(f"{portal}/assets/import")
        choose(plain_page, "asset_tag,name\nL-1,Desk lamp\n", *tick)
        job.work(KINDS)
        plain_page.get_by_role("link", name="Refresh this page").click()
        plain_page.get_by_role("link", name="See what each row would do").click()
        row = plain_page.get_by_role("row").last
        expect(row).to_contain_text(result)
        expect(row).to_contain_text("Lamp → Desk lamp")
        expect(plain_page.get_by_role("button", name="Import 1 row")).to_have_count(len(tick))
