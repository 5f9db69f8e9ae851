"""Test of an import in a browser without scripts."""

from flask import Flask
from playwright.sync_api import Page, expect

from jobs import tasks as job
from portal.services.task_kinds import KINDS
from tests.browser.support.signed_in_page import sign_in
from tests.support.factories import make_asset


def choose(page: Page, text: str, *ticks: str) -> None:
    page.get_by_label("File", exact=True).set_input_files(
        {"name": "inventory.csv", "mimeType": "text/csv", "buffer": text.encode()}
    )
    for tick in ticks:
        page.get_by_label(tick).check()
    page.get_by_role("button", name="Check file").click()


def test_without_scripts_existing_assets_are_skipped_until_ticked(
    plain_page: Page, app: Flask, portal: str
) -> None:
    make_asset("Lamp", asset_tag="L-1")
    sign_in(plain_page, app, portal, "manager")
    for tick, result in (((), "Skipped"), (("Update existing assets",), "Change")):
        plain_page.goto(f"{portal}/assets/import")
        choose(plain_page, "asset_tag,name\nL-1,Desk lamp\n", *tick)
        job.work(KINDS)
        plain_page.get_by_role("link", name="Refresh this page").click()
        row = plain_page.get_by_role("row").last
        expect(row).to_contain_text(result)
        expect(row).to_contain_text("Lamp → Desk lamp")
        expect(plain_page.get_by_role("button", name="Import 1 row")).to_have_count(len(tick))


def test_the_preview_opens_once_the_check_is_done(page: Page, app: Flask, portal: str) -> None:
    sign_in(page, app, portal, "manager")
    page.goto(f"{portal}/assets/import")
    choose(page, "asset_tag,name\nL-1,Desk lamp\n")
    expect(page.get_by_role("heading", name="Check file")).to_be_visible()
    job.work(KINDS)
    expect(page.get_by_role("heading", name="Preview import")).to_be_visible()
