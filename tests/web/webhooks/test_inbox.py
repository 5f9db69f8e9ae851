"""The built-in inbox for users and for outside senders."""

import io
import json
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from portal.engine.events.catalogue import CATALOGUE
from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.deliveries import Delivery
from portal.models.people import Role
from portal.models.webhooks import InboxMessage, Verdict, Webhook
from portal.services.dispatch.request import guard
from portal.services.operations import sending
from portal.services.outbox.claimable import REFUSED
from portal.services.webhooks import inbox as webhook_inbox
from portal.services.webhooks.inbox import KEPT, Inbox, InboxItem
from portal.services.webhooks.rows import token_of
from portal.web.webhooks import inbox_views as inbox_presenter
from tests.support.factories import make_user, publish
from tests.support.inbox import BODY, row_of, secret_of, signed
from tests.support.pages import Pages
from tests.web.signed_in import visit

LIST = "/settings/webhooks"
INBOX = Inbox(UUID(int=1), "Built-in inbox", True, 0)


@pytest.fixture
def opened(app: Flask) -> UUID:
    return webhook_inbox.open_inbox(make_user().actor)


def post(app: Flask, token: str, body: bytes, **options: object) -> tuple[int, str]:
    """Post without a session. Return the response's status code and text."""
    answer = app.test_client().post(f"/inbox/{token}", data=body, **options)
    assert answer.mimetype == "text/plain"
    return answer.status_code, answer.text


def test_one_click_creates_the_inbox(pages: Pages) -> None:
    page = pages.get(LIST)
    page = pages.submit(page.form("/inbox"))
    assert page.path == "/inbox"
    assert page.here == ["Webhooks"]
    assert page.links("Add webhook") == ["/settings/webhooks/where"]
    assert pages.client.post("/inbox").status_code == 400  # without a CSRF token
    again = pages.post("/inbox")
    assert again.path == "/inbox"
    assert db.session.query(Webhook).count() == 1


@pytest.mark.parametrize("role", [Role.MANAGER, Role.SUPPORT])
def test_other_roles_can_read_the_inbox_but_not_create_it(app: Flask, role: Role) -> None:
    pages = visit(app, role)
    page = pages.get("/inbox")
    assert not [form for form in page.forms if form.action == "/inbox"]
    assert pages.post("/inbox").status == 403
    webhook_inbox.open_inbox(make_user().actor)
    page = pages.get("/inbox")
    assert ("/inbox/test" in [form.action for form in page.forms]) == (role is Role.SUPPORT)


def test_the_inbox_accepts_deliveries_without_a_session(app: Flask, opened: UUID) -> None:
    headers = list(signed(secret_of(opened)))
    assert post(app, token_of(opened), BODY, headers=headers) == (
        200,
        "The built-in inbox received this delivery.\n",
    )
    (kept,) = webhook_inbox.messages(opened)
    assert (kept.body, kept.legacy, kept.standard) == (BODY, "good", "good")


def test_invalid_requests_are_refused_in_plain_text(app: Flask, opened: UUID) -> None:
    token = token_of(opened)
    for wrong in ("nothing", token[:-1], "0" * len(token), "%00", "x" * 3000):
        assert post(app, wrong, BODY)[0] == 404
    assert post(app, token, b"x" * (webhook_inbox.LARGEST + 1))[0] == 413
    assert post(app, token, b"x" * webhook_inbox.LARGEST)[0] == 200
    assert app.test_client().get(f"/inbox/{token}").status_code == 405
    assert db.session.query(InboxMessage).count() == 1


@pytest.mark.parametrize("more", [0, 1, 100_000])
def test_a_chunked_body_is_accepted_whole_or_not_at_all(
    app: Flask, opened: UUID, more: int
) -> None:
    """Without an announced length, a part must not pass for the whole."""
    body = b"x" * (webhook_inbox.LARGEST + more)
    sent = io.BytesIO(body)
    answer = app.test_client().post(
        f"/inbox/{token_of(opened)}",
        input_stream=sent,
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert answer.status_code == (413 if more else 200)
    assert sent.tell() <= webhook_inbox.LARGEST + 1  # the rest isn't read
    assert [len(message.body) for message in webhook_inbox.messages(opened)] == (
        [] if more else [len(body)]
    )


def test_the_page_shows_each_message_and_its_signature(
    app: Flask, pages: Pages, opened: UUID
) -> None:
    good = list(signed(secret_of(opened)))
    body = b'{"event":"asset.created","asset":{"asset_tag":"AST-00001","name":"Projector"}}'
    webhook_inbox.receive(token_of(opened), good, BODY)
    webhook_inbox.receive(token_of(opened), good, BODY)
    webhook_inbox.receive(token_of(opened), list(signed(None)), body)
    main = pages.get("/inbox").main
    assert "3 deliveries" in main
    assert main.count("Signature verified") == 2
    assert main.count("Not signed") == 3
    assert main.count("A delivery with this ID arrived before.") == 1
    assert "Asset created" in main
    assert "AST-00001 Projector" in main
    delivery = dict(good)["X-Asset-Webhook-Id"]
    assert f"/deliveries/{delivery}" in pages.get("/inbox").links("View delivery")
    news = pages.get("/inbox/live").response.json
    assert news is not None
    assert "AST-00001" in news["html"]
    assert news["stop"] is False


HOSTILE = {
    "no text": b"\0\xff\xfe",
    "half a pair": b'"\\ud800"',
    "deep": b"[" * 60_000,
    "a large number": b"9" * 6000,
    "markup": b'{"asset":{"asset_tag":"<script>alert(1)</script>","name":["x"]},"data":1}',
    "no object": b"[]",
    "empty": b"",
}


def test_hostile_messages_do_not_break_the_page(pages: Pages, opened: UUID) -> None:
    for body in HOSTILE.values():
        headers = [
            ("X-Asset-Webhook-Event", "<b>"),
            ("X-Asset-Webhook-Id", "<i>"),
            ("X-\xff", "\xfe"),
        ]
        webhook_inbox.receive(token_of(opened), headers, body)
        page = pages.get("/inbox")
        assert page.status == 200, body
        assert "Unknown event" in page.main, body
        assert "<script>alert" not in page.html, body


def test_a_long_body_is_cut_and_its_length_shown(pages: Pages, opened: UUID) -> None:
    webhook_inbox.receive(token_of(opened), [], b"x" * 15_999 + b"yz")
    page = pages.get("/inbox")
    shown = "x" * 15_999 + "y"
    assert shown in page.html
    assert f"{shown}z" not in page.html
    assert "16,001 bytes" in page.main


def test_only_one_inbox_test_runs_and_none_while_sending_is_stopped(
    pages: Pages, opened: UUID
) -> None:
    form, admin = pages.get("/inbox").form("/inbox/test"), make_user().actor
    sending.stop(admin)
    page = pages.submit(form)
    assert (page.path, REFUSED in page.text) == ("/inbox", True)
    sending.start(admin)
    for _ in range(2):  # the same form submitted twice
        page = pages.submit(form)
        assert (page.path, "A test is in progress" in page.text) == ("/inbox", False)
    page = pages.submit(page.form("/inbox/test"))
    assert page.path == "/inbox"
    assert "A test is in progress. Wait until it finishes, then send another." in page.text
    assert [delivery.webhook_id for delivery in db.session.query(Delivery)] == [row_of(opened).id]


def test_the_inbox_webhooks_pages_identify_it(pages: Pages, opened: UUID) -> None:
    assert pages.get(LIST).rows()[0][0] == "Built-in inboxthis portal"
    page = pages.get(f"{LIST}/{opened}")
    assert page.links("Open inbox") == ["/inbox"]
    assert set(page.links("Edit")) == {f"{LIST}/{opened}/edit"}
    assert page.links("Replace the secret key") == [
        f"{LIST}/{opened}/edit?replace=key#secret_mode-1"
    ]
    chosen = {"?replace=key": "generate", "": "keep"}
    edit = f"{LIST}/{opened}/edit"
    for asked, mode in chosen.items():
        assert pages.get(edit + asked).form(edit).fields["secret_mode"] == [mode]
    assert "Others on the network can read" not in page.main
    assert "/inbox/••••" in page.main
    receiver = pages.get(f"{LIST}/{opened}/receiver")
    assert receiver.links("Edit the webhook") == [f"{LIST}/{opened}/edit"]
    assert "https://your-system.example.com" in receiver.main
    history = pages.get(f"{LIST}/{opened}/history").main
    for words in ("All events", "Secret key: set", "Status: Active", "/inbox/••••"):
        assert words in history


def test_the_inbox_webhook_can_be_edited_and_keeps_its_url(pages: Pages, opened: UUID) -> None:
    path = f"{LIST}/{opened}/edit"
    page = pages.get(path)
    own = {"secret_mode": "own", "secret": "a key that we give to both", "confirmed": "yes"}
    header = {"headers-0-name": "X-Cost-Centre", "headers-0-value": "4711 and more"}
    events = ["asset.created", "asset.lost"]
    values = {"name": "Accounting", "which_events": "chosen", "events": events}
    values |= {"in_order": "y", **own, **header}
    page = pages.submit(page.form(path), **values)
    assert "Accounting saved." in page.text
    assert "A test is in progress" not in page.text
    webhook = row_of(opened)
    assert (webhook.kind, webhook.url, webhook.in_order) == ("inbox", "", True)
    assert secret_of(opened) == "a key that we give to both"
    assert f"2 of {len(CATALOGUE)}" in page.main
    webhook_inbox.receive(token_of(opened), list(signed(secret_of(opened))), BODY)
    assert "Signature verified" in pages.get("/inbox").main


def test_the_inbox_form_is_tested_with_the_new_key_before_saving(
    pages: Pages, opened: UUID
) -> None:
    page = pages.get(f"{LIST}/{opened}/edit")
    sent = {"secret_mode": "own", "secret": "a key that is not saved yet"}
    fields = page.form(f"{LIST}/{opened}/edit").fields
    page = pages.post(f"{LIST}/test?webhook={opened}", {**fields, **sent})
    assert page.h1 == "Test before saving"
    draft = UUID(page.path.rpartition("/")[2])
    assert (row_of(draft).kind, row_of(draft).draft_of) == ("inbox", opened)
    assert webhook_inbox.receive(token_of(draft), list(signed(secret_of(draft))), BODY)
    assert [message.legacy for message in webhook_inbox.messages(opened)] == ["good"]
    assert secret_of(opened) != secret_of(draft)


def test_the_inbox_webhook_can_move_to_a_url_but_not_back(pages: Pages, opened: UUID) -> None:
    path, url = f"{LIST}/{opened}/edit", "https://erp.example.com/hook"
    refused = pages.submit(pages.get(path).form(path), url=url)
    assert refused.status == 400
    assert row_of(opened).kind == "inbox"
    moved = {"url": url, "secret_mode": "none", "confirmed": "yes"}
    page = pages.submit(pages.get(path).form(path), **moved)
    assert page.path == f"{LIST}/{opened}"
    assert (row_of(opened).kind, row_of(opened).url) == ("http", url)
    assert not webhook_inbox.receive(token_of(opened), list(signed(None)), BODY)
    assert not pages.get("/inbox").links("Settings of the webhook")
    history = pages.get(f"{LIST}/{opened}/history").main
    assert "/inbox/••••" in history
    assert url in history
    back = pages.submit(pages.get(path).form(path), url="")
    assert back.wrong == ["url"]


def test_the_inbox_url_is_on_no_page(app: Flask, pages: Pages, opened: UUID) -> None:
    publish()
    token = token_of(opened)
    (delivery,) = set(pages.get("/deliveries").links("Asset created"))
    for path in (LIST, f"{LIST}/{opened}", f"{LIST}/{opened}/receiver", "/inbox", delivery):
        assert token not in pages.get(path).html


def test_other_webhooks_cannot_reach_the_portal_itself(app: Flask) -> None:
    settings = replace(app.extensions["settings"], port=8000, webhook_allowed_networks=())
    closed = guard(settings)
    assert closed.refusal("127.0.0.1", 8000) is not None
    assert closed.refusal("127.0.0.1", 8000, opens=("127.0.0.1", 8000)) is None


def arrived(number: int, **changes: Any) -> InboxItem:
    """Return an inbox message from this portal. A higher number means a newer message."""
    headers = [("X-Asset-Webhook-Id", f"{UUID(int=7)}"), ("X-Asset-Webhook-Event", "asset.lost")]
    values: dict[str, Any] = {
        "id": number,
        "received_at": utcnow(),
        "headers": headers,
        "body": b"{}",
        "legacy": Verdict.GOOD,
        "standard": Verdict.GOOD,
    }
    return InboxItem(**{**values, **changes})


def test_a_later_message_with_the_same_id_is_marked_as_repeat(app: Flask) -> None:
    items = [arrived(3), arrived(2, headers=[]), arrived(1, headers=[]), arrived(0)]
    shown = inbox_presenter.page_of(INBOX, items).messages
    assert [message.is_repeat for message in shown] == [True, False, False, False]
    assert [message.title for message in shown[:2]] == ["Asset lost", "Unknown event"]


def test_only_a_verified_message_links_to_its_delivery(app: Flask) -> None:
    items = [
        arrived(0),
        arrived(0, legacy=Verdict.WRONG),
        arrived(0, legacy=Verdict.MISSING),
        arrived(0, headers=[("X-Asset-Webhook-Id", "none of ours")]),
    ]
    shown = inbox_presenter.page_of(INBOX, items).messages
    assert [message.delivery for message in shown] == [UUID(int=7), None, None, None]
    judged = [message.signatures[0][1].partition(".")[0] for message in shown[:3]]
    assert judged == ["Verified", "Doesn’t match", "Not signed"]


def test_a_messages_subject_is_cut_and_a_test_is_marked(app: Flask) -> None:
    about = {"asset_tag": "AST-1", "name": "x" * 300}
    bodies = ({"asset": about}, {"data": {"test": True}}, {"data": {"test": "yes"}}, {"asset": 1})
    items = [arrived(0, body=json.dumps(each).encode()) for each in bodies]
    shown = inbox_presenter.page_of(INBOX, items).messages
    assert [len(each.about) for each in shown] == [200, 0, 0, 0]
    assert shown[0].about.startswith("AST-1 xxx")
    assert [each.is_test for each in shown] == [False, True, False, False]


def test_the_inbox_says_how_many_deliveries_arrived(app: Flask) -> None:
    for is_active, count, sentence in (
        (True, 0, "No deliveries yet."),
        (False, 0, "The inbox is off. Only tests arrive."),
        (False, 1, "1 delivery in the last 24 hours."),
        (True, 2, "2 deliveries in the last 24 hours."),
        (True, KEPT, "The newest 50 deliveries. We don’t keep older ones."),
    ):
        inbox = replace(INBOX, is_active=is_active, count=count)
        assert inbox_presenter.page_of(inbox, []).sentence == sentence, is_active
