"""Tests that code in names, notes, and responses is shown as text and never run."""

from typing import Final
from urllib.parse import quote

from flask import Flask
from playwright.sync_api import Page

from portal.services.webhooks import inbox
from portal.services.webhooks.rows import token_of
from tests.browser.support.signed_in_page import sign_in
from tests.support.deliveries import make_attempt, make_delivery
from tests.support.factories import make_asset, make_category, make_staff, make_user, make_webhook

# A text for each place of unescaped output: text, attribute, script, style, and template.
CORPUS: Final = (
    "<script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=\'owned\'">',
    "' autofocus onfocus=document.title='owned' x='",
    "</title></textarea><svg onload=document.title='owned'>",
    "<iframe srcdoc='<script>parent.document.title=1</script>'>",
    "{{7*7}}${7*7}<style>*{display:none}</style>",
)
ALL: Final = " ".join(CORPUS)
# Elements that only the corpus could have added.
FOREIGN: Final = "iframe, img:not([src^='data:']), [onerror], [onload], [onfocus], main script"


def test_hostile_text_is_shown_and_never_run(page: Page, app: Flask, portal: str) -> None:
    heard = sign_in(page, app, portal)
    for url in _filled():
        page.goto(f"{portal}{url}")
        assert page.title() not in {"owned", "1"}, url
        assert page.locator(FOREIGN).count() == 0, url
        assert page.locator("main").is_visible(), url
        assert "owned" in page.content(), url
    # The portal's content security policy reports anything that got through.
    assert (heard.console, heard.foreign) == ([], [])


def _filled() -> list[str]:
    """Store the corpus and return the pages that show it."""
    by = make_user(name=CORPUS[0]).actor
    for number, text in enumerate(CORPUS):
        make_category(text)
        make_staff(text, email=f"{number}@example.com")
    things = [make_asset(text, notes=ALL, manufacturer=text) for text in CORPUS]
    hook = make_webhook(f"https://example.com/?{CORPUS[1]}", name=CORPUS[1], owner_id=by.user_id)
    sent = make_delivery(
        hook, status="failed", reason="bad_request", code=400, asset_name=CORPUS[2], body=b'"<b>"'
    )
    make_attempt(
        sent,
        reason="bad_request",
        code=400,
        actor=CORPUS[0],
        response_headers=[["X-Odd", ALL]],
        response_text=ALL,
        location=f"javascript:{CORPUS[0]}",
        detail=CORPUS[3],
    )
    box = inbox.open_inbox(by)
    assert inbox.receive(token_of(box), [("X-Odd", CORPUS[4])], ALL.encode())
    one = f"/assets/{things[0]}"
    return [
        *("/assets", one, f"{one}/edit", f"{one}/timeline", "/staff", "/categories"),
        *("/settings/webhooks", f"/settings/webhooks/{hook.public_id}", "/inbox"),
        *(f"/settings/webhooks/{hook.public_id}/{tab}" for tab in ("edit", "receiver")),
        *("/deliveries", f"/deliveries/{sent}", "/settings/audit", "/settings/people"),
        *("/find?q=a", f"/find?q={quote(CORPUS[0])}", f"/settings/webhooks?q={quote(CORPUS[0])}"),
    ]
