"""Testing a webhook form before saving, without losing input or showing secrets."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import select

from jobs.deliver import deliver_due
from portal.models.deliveries import Delivery
from portal.models.webhooks import Webhook
from portal.services.core import vault
from portal.services.core.unit_of_work import session
from portal.services.operations import sending
from portal.services.outbox.claimable import REFUSED
from portal.services.webhooks import queries as webhook_queries
from tests.support.factories import make_user, make_webhook
from tests.support.html import Node, parse
from tests.support.pages import Page, Pages
from tests.support.receiver import Receiver
from tests.web.signed_in import visit

NEW, TEST = "/settings/webhooks/new", "/settings/webhooks/test"
SECRET = "a secret that nobody sees"
VALUE = "Bearer abcdefghijkl"
OWN = {
    "secret_mode": "own",
    "secret": SECRET,
    "headers-0-name": "X-Key",
    "headers-0-value": VALUE,
    "active": "no",
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def the_webhook() -> Webhook:
    current = session()
    current.rollback()
    return current.scalars(select(Webhook)).one()


def try_out(pages: Pages, page: Page, edits: UUID | None = None, **values: object) -> Page:
    """Press “Test before saving” on the form that is open."""
    path = f"/settings/webhooks/{edits}/edit" if edits else NEW
    sent = {**page.form(path).fields, **values}
    return pages.post(f"{TEST}?webhook={edits}" if edits else TEST, sent)


def fill(pages: Pages, url: str, **values: object) -> Page:
    page = pages.get(NEW)
    filled = {"name": "Sync to ERP", "url": url, "events": ["asset.lost"], **values}
    return try_out(pages, page, **filled)


def test_a_form_is_tested_step_by_step_and_then_saved(pages: Pages, receiver: Receiver) -> None:
    page = fill(pages, receiver.url, **OWN)
    assert page.links("Refresh this page")
    deliver_due()
    (message,) = receiver.wait_for(1)
    assert message.header("X-Key") == VALUE
    page = pages.get(page.path)
    for words in (
        "Picked up",
        "Connected after",
        "No certificate",
        "Responded with 200 in",
    ):
        assert words in page.main
    assert "data-live-url" not in page.html
    assert not [secret for secret in (SECRET, VALUE) if secret in page.html]
    page = pages.submit(page.form(NEW), "Save webhook")
    webhook = the_webhook()
    assert (webhook.name, webhook.url, webhook.state) == ("Sync to ERP", receiver.url, "off")
    assert vault.open_secret(webhook.id, webhook.secret_enc or b"") == SECRET
    assert webhook_queries.stored_values(webhook.public_id).headers == (("X-Key", VALUE),)
    assert webhook_queries.show(webhook.public_id).events == ("asset.lost",)


def filled(root: Node) -> list[str]:
    """Return the texts of the primary buttons."""
    return [node.text for node in root.walk() if "btn-primary" in node.get("class").split()]


def test_after_a_failed_test_editing_is_the_primary_action(
    pages: Pages, receiver: Receiver
) -> None:
    receiver.answer(500)
    page = fill(pages, receiver.url, **OWN)
    assert filled(page.root) == ["Save webhook"]
    deliver_due()
    news = pages.client.get(f"{page.path}/live").get_json()
    assert news["stop"]
    page = pages.get(page.path)
    assert filled(parse(news["html"])[0]) == filled(page.root) == ["Continue editing"]
    assert "Save anyway" in news["html"]
    pages.submit(page.form(NEW), "Save anyway")
    assert the_webhook().state == "off"


def test_a_tested_form_can_be_edited_further(pages: Pages, receiver: Receiver) -> None:
    fill(pages, receiver.url, **OWN)
    page = pages.follow("Continue editing")
    assert not [secret for secret in (SECRET, VALUE) if secret in page.html]
    assert "•••• sees" in page.main
    assert "•••• ijkl" in page.main
    form = page.form(NEW)
    assert form.fields["name"] == ["Sync to ERP"]
    assert form.fields["events"] == ["asset.lost"]
    assert form.fields["active"] == ["no"]
    deliver_due()
    page = try_out(pages, page, name="Sync")
    deliver_due()
    messages = receiver.wait_for(2)
    assert messages[1].header("X-Key") == VALUE
    assert "1 earlier test" in pages.get(page.path).main
    page = pages.submit(pages.follow("Continue editing").form(NEW), "Save webhook")
    webhook = the_webhook()
    assert webhook.name == "Sync"
    assert vault.open_secret(webhook.id, webhook.secret_enc or b"") == SECRET


def test_a_secret_generated_for_the_test_is_shown_after_saving(
    pages: Pages, receiver: Receiver
) -> None:
    page = fill(pages, receiver.url)
    webhook = the_webhook()
    secret = vault.open_secret(webhook.id, webhook.secret_enc or b"")
    assert secret not in page.html
    assert secret in pages.follow("Show secret key").html
    page = pages.get(f"{NEW}?draft={webhook.public_id}")
    assert secret not in page.html
    assert f"•••• {secret[-4:]}" in page.main
    page = pages.submit(page.form(NEW), "Save webhook")
    assert page.h1 == "Copy the secret key"
    assert secret in page.main


def test_an_edit_is_tested_and_saved_with_untouched_values(
    pages: Pages, receiver: Receiver
) -> None:
    earlier = f"{receiver.url.rstrip('/')}/earlier"
    hook = make_webhook(earlier, secret=SECRET, headers=[("X-Key", VALUE)])
    path = f"/settings/webhooks/{hook.public_id}/edit"
    page = try_out(pages, pages.get(path), hook.public_id, url=receiver.url)
    assert webhook_queries.address(hook.public_id) == hook.url
    deliver_due()
    assert receiver.wait_for(1)[0].header("X-Key") == VALUE
    page = pages.submit(pages.get(page.path).form(path), "Save webhook")
    assert page.h1 == hook.name
    stored = webhook_queries.show(hook.public_id)
    assert (stored.url, stored.version) == (receiver.url, 2)
    assert webhook_queries.stored_values(hook.public_id).headers == (("X-Key", VALUE),)


def test_replacing_the_secret_of_a_tested_edit_still_asks(pages: Pages) -> None:
    hook = make_webhook(secret="the old secret")
    path = f"/settings/webhooks/{hook.public_id}/edit"
    page = try_out(pages, pages.get(path), hook.public_id, secret_mode="own", secret=SECRET)
    page = pages.submit(page.form(path), "Save webhook")
    assert page.h1 == "Replace the secret key?"
    page = pages.submit(page.form(path))
    webhook = the_webhook()
    assert vault.open_secret(webhook.id, webhook.secret_enc or b"") == SECRET


def test_an_invalid_form_is_refused_and_its_input_kept(pages: Pages) -> None:
    page = fill(pages, "ftp://erp.example.com/", **{**OWN, "events": []})
    assert page.status == 400
    assert len(page.errors) == 2
    assert page.h1 == "Add webhook"
    assert not [secret for secret in (SECRET, VALUE) if secret in page.html]
    assert page.form(NEW).fields["name"] == ["Sync to ERP"]
    assert session().scalars(select(Webhook)).all() == []


def test_duplicate_names_and_stopped_sending_are_reported_in_the_form(pages: Pages) -> None:
    make_webhook(name="Sync to ERP")
    make_webhook(name="Sync to DMS")
    page = fill(pages, "https://erp.example.com/")
    assert (page.status, page.h1) == (400, "Add webhook")
    assert page.wrong == ["name"]
    assert page.form(NEW).fields["url"] == ["https://erp.example.com/"]
    page = try_out(pages, page, name="sync to dms")
    assert page.wrong == ["name"]
    sending.stop(make_user().actor)
    page = try_out(pages, page, name="Sync")
    assert (page.status, page.errors) == (400, [REFUSED.removesuffix(".")])
    assert session().scalars(select(Delivery)).all() == []


def test_the_test_page_updates_live_until_the_test_ends(pages: Pages, receiver: Receiver) -> None:
    page = fill(pages, receiver.url)
    assert f'data-live-url="{page.path}/live"' in page.html
    assert not pages.get(f"{page.path}/live").response.get_json()["stop"]
    receiver.answer(status=400)
    deliver_due()
    live = pages.get(f"{page.path}/live").response.get_json()
    assert live["stop"]
    assert "Responded with 400 in" in live["html"]
    pages.get(page.path)
    bundle = pages.follow("Download diagnostics").response
    assert "didn’t accept the content" in bundle.text
    page = pages.submit(pages.get(page.path).form(f"{page.path}/again"), "Test again")
    assert "Waiting for a delivery worker" in page.main


def test_the_signature_of_a_test_can_be_checked(pages: Pages, receiver: Receiver) -> None:
    receiver.answer(status=401)
    page = fill(pages, receiver.url, **OWN)
    deliver_due()
    (message,) = receiver.wait_for(1)
    address = pages.get(f"{page.path}?show=request").links("Check signature")[0]
    form = pages.get(address).form(address)
    right = message.header("X-Asset-Webhook-Signature") or ""
    assert "exactly our X-Asset-Webhook-Signature" in pages.submit(form, signature=right).main
    assert "Back" in pages.submit(form, signature="no signature").main


def test_a_draft_is_private_to_its_maker(app: Flask, pages: Pages) -> None:
    path = fill(pages, "https://erp.example.com/").path
    other, support = visit(app), visit(app, "support")
    for action in ("", "/live", "/secret", "/help-bundle", "/signature"):
        assert other.get(f"{path}{action}").status == 404
        assert support.get(f"{path}{action}").status == 403
    assert other.get(f"{NEW}?draft={path.rpartition('/')[2]}").status == 404
    support.get("/deliveries")
    for action in (TEST, f"{path}/again"):
        assert support.post(action).status == 403
    assert support.get(f"{path}/{uuid4()}").status == 404
    assert support.get("/deliveries").rows() == []


@pytest.mark.parametrize(
    ("is_ticked", "picked", "tested"),
    [
        (False, "asset.lost", "asset.lost"),
        (True, "asset.broken", "asset.broken"),  # not subscribed to it
        (False, "", "asset.created"),
        (False, "asset.nonsense", "asset.created"),
    ],
)
def test_checkboxes_and_choices_survive_a_test(
    pages: Pages, is_ticked: bool, picked: str, tested: str
) -> None:
    ticks = {name: "y" for name in ("url_is_secret", "in_order") if is_ticked}
    chosen = {"events": ["asset.lost", "asset.created"], "test_event": picked}
    fill(pages, "https://erp.example.com/hook", active="yes", **chosen, **ticks)
    assert session().scalars(select(Delivery.event)).all() == [tested]
    fields = pages.follow("Continue editing").form(NEW).fields
    assert {name for name in ("url_is_secret", "in_order") if name in fields} == set(ticks)
    assert (fields["active"], fields["test_event"]) == (["yes"], [tested])


def test_a_draft_does_not_fill_another_webhooks_form(pages: Pages) -> None:
    hook = make_webhook(name="Another")
    page = fill(pages, "https://erp.example.com/hook")
    draft = page.path.rpartition("/")[2]
    edit = f"/settings/webhooks/{hook.public_id}/edit"
    assert pages.get(f"{edit}?draft={draft}").form(edit).fields["name"] == ["Another"]
    assert pages.get(f"{NEW}?draft={draft}").form(NEW).fields["name"] == ["Sync to ERP"]
