"""The secret part of a webhook's URL, which only administrators see, on its setup pages."""

import logging
import shlex
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import select

from jobs.deliver import deliver_due
from portal.engine.formats.chats import CHATS
from portal.models.audit import AuditEntry
from portal.models.deliveries import Attempt, AttemptBody, Delivery
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import session, writing
from portal.services.webhooks import crud, drafts
from portal.services.webhooks import queries as webhook_queries
from portal.services.webhooks.rules import SecretMode, WebhookValues
from tests.support.deliveries import make_attempt, make_delivery
from tests.support.factories import Hook, make_user, make_webhook, publish
from tests.support.receiver import Receiver
from tests.web.signed_in import visit

TOKEN = "s3cr3t-token"
WORDS = "assets-and-laptops"
TICKED = {"url": f"https://erp.example.com/hooks/{TOKEN}", "url_is_secret": True}
CHAT = {"url": f"https://hooks.slack.com/services/T1/{TOKEN}"}
QUERY = {"url": f"https://erp.example.com/hook?key={TOKEN}"}
KINDS = pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (TICKED, "https://erp.example.com/••••"),
        (CHAT, "https://hooks.slack.com/••••"),
        (QUERY, "https://erp.example.com/hook?key=••••"),
    ],
    ids=["ticked", "chat", "query"],
)
OTHERS = pytest.mark.parametrize("role", ["manager", "support"])


def everything_about(hook: Hook, delivery: UUID) -> Iterator[str]:
    """Yield every page and file about a webhook and a delivery to it."""
    webhook, log = f"/settings/webhooks/{hook.public_id}", f"/deliveries/{delivery}"
    yield from ("/", "/settings/webhooks", webhook, f"{webhook}/history", f"{webhook}/receiver")
    yield from (log, f"{log}/live", f"{log}/help-bundle", f"{log}/signature")
    yield from ("/deliveries", "/deliveries/export.csv")


def told_before(hook: Hook) -> None:
    """Add audit entries from before URLs were masked."""
    old, new = {"from": None, "to": hook.url}, {"from": hook.url, "to": f"{hook.url}2"}
    with writing() as current:
        for action, change in (("webhook.created", old), ("webhook.changed", new)):
            entry = AuditEntry(actor_name=SYSTEM.name, origin="ui", action=action)
            entry.target_kind, entry.target_id = "webhook", str(hook.public_id)
            entry.target_name, entry.changes = hook.name, {"url": change}
            current.add(entry)


def made(columns: dict[str, Any]) -> tuple[Hook, UUID]:
    hook = make_webhook(**columns)
    delivery = make_delivery(hook, status="failed", reason="auth", code=401)
    make_attempt(delivery, url=hook.url, reason="auth", code=401)
    told_before(hook)
    return hook, delivery


@OTHERS
@KINDS
def test_other_roles_see_the_secret_part_nowhere(
    app: Flask, role: str, columns: dict[str, Any], shown: str
) -> None:
    hook, delivery = made(columns)
    pages = visit(app, role)
    for path in everything_about(hook, delivery):
        answer = pages.client.get(path, buffered=True)
        assert answer.status_code == 200, path
        assert TOKEN not in answer.text, path
    for path in (f"/settings/webhooks/{hook.public_id}", f"/deliveries/{delivery}"):
        assert shown in pages.get(path).main
    assert "No matching deliveries" in pages.get(f"/deliveries?q={TOKEN}").main


@pytest.fixture
def told() -> Iterator[list[str]]:
    """Collect every log record with its structured fields."""
    lines: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(f"{vars(record)}")

    handler = Handler()
    logging.getLogger().addHandler(handler)
    yield lines
    logging.getLogger().removeHandler(handler)


@OTHERS
@pytest.mark.parametrize("key", CHATS)
def test_a_chats_url_appears_nowhere_even_if_its_response_echoes_it(
    app: Flask, role: str, key: str, told: list[str]
) -> None:
    """A self-hosted Mattermost URL has no part that looks like a key."""
    pages, admin = visit(app, role), make_user()
    path = f"/hooks/{WORDS}"
    with Receiver() as receiver:
        url = f"{receiver.url.rstrip('/')}{path}"
        echo = [("Location", url), ("X-Asked", path)]
        receiver.answer(404, f"Cannot POST {path}, {WORDS}".encode(), echo)
        entered = WebhookValues(
            name="Chat", url=url, events=("*",), secret_mode=SecretMode.NONE, format=key
        )
        drafts.send_test(admin.actor, uuid4(), entered, "asset.created")
        deliver_due()
        hook = crud.create(admin.actor, entered)
        publish()
        deliver_due()
    assert {message.path for message in receiver.received} == {path}
    delivery = session().scalars(select(Delivery).order_by(Delivery.id.desc())).first()
    assert delivery
    shown = Hook(delivery.webhook_id, hook, "Chat", url, None)
    for page in (
        *everything_about(shown, delivery.public_id),
        f"/deliveries/{delivery.public_id}/body",
    ):
        assert WORDS not in pages.client.get(page, buffered=True).text, page
    assert WORDS not in visit(app).client.get("/settings/audit/export.csv", buffered=True).text
    assert WORDS not in app.test_client().get("/metrics").text
    assert WORDS not in "\n".join(told)
    for table in (Attempt, AttemptBody, AuditEntry):
        rows = session().execute(select(table.__table__)).all()
        assert WORDS not in f"{rows}", table
    assert len(told) >= 2


@KINDS
def test_an_administrator_sees_the_full_url_only_on_setup_pages(
    app: Flask, columns: dict[str, Any], shown: str
) -> None:
    hook, delivery = made(columns)
    pages = visit(app)
    path = f"/settings/webhooks/{hook.public_id}"
    main = pages.get(path).main
    assert hook.url in main
    assert "Only administrators see the whole URL" in main
    assert hook.url in pages.get(f"{path}/receiver").main
    assert pages.get(f"{path}/edit").form().fields["url"] == [hook.url]
    # Records and files don't need it.
    for other in (f"{path}/history", f"/deliveries/{delivery}", "/settings/audit"):
        assert TOKEN not in pages.get(other).html
        assert pages.page
        assert shown in pages.page.main
    for file in ("/settings/audit/export.csv", f"/deliveries/{delivery}/help-bundle"):
        assert TOKEN not in pages.client.get(file, buffered=True).text


@KINDS
def test_the_curl_command_has_a_placeholder_for_the_secret_part(
    app: Flask, columns: dict[str, Any], shown: str
) -> None:
    _, delivery = made(columns)
    page = visit(app, "support").get(f"/deliveries/{delivery}?show=request")
    command = next(node for node in page.root.find_all("pre") if node.get("id") == "curl-command")
    words = shlex.split(command.text)
    assert words[:4] == ["curl", "--request", "POST", shown.replace("••••", "FILL-THIS-IN")]


def test_a_changed_secret_in_the_url_is_recorded_as_a_change(app: Flask) -> None:
    pages = visit(app)
    hook = make_webhook(**QUERY)
    path = f"/settings/webhooks/{hook.public_id}"
    form = pages.get(f"{path}/edit").form()
    pages.submit(form, url="https://erp.example.com/hook?key=another-one")
    words = "URL: https://erp.example.com/hook?key=•••• (a secret part changed)"
    assert words in pages.get(f"{path}/history").main
    assert words in pages.get("/settings/audit").main


def test_the_hide_url_checkbox_can_be_set_and_cleared(app: Flask) -> None:
    pages = visit(app)
    entered = {"name": "ERP", "url": TICKED["url"], "events": ["asset.lost"], "secret_mode": "none"}
    form = pages.get("/settings/webhooks/new").form()
    page = pages.submit(form, **entered, url_is_secret="y")
    path = page.path
    edit = pages.get(f"{path}/edit").form()
    assert edit.fields["url_is_secret"] == ["y"]
    for_support = visit(app, "support").get(path).main
    assert "https://erp.example.com/••••" in for_support
    assert TOKEN not in for_support
    pages.submit(edit, url_is_secret=None)
    assert TICKED["url"] in visit(app, "support").get(path).main
    assert "Hide this URL: yes → no" in pages.get(f"{path}/history").main


KEYED = "https://erp.example.com/in/9b2d7c1e-4f60-4a3b-8e55-c1d0f7a92b36"
NEW, TEST = "/settings/webhooks/new", "/settings/webhooks/test"
FILLED = {"name": "ERP", "events": ["asset.lost"], "secret_mode": "none"}


def is_ticked(hook: str) -> bool:
    return webhook_queries.show(UUID(hook.rpartition("/")[2])).url_is_secret


@pytest.mark.parametrize("way", ["new", "moved", "after a mistake"])
def test_a_url_that_looks_secret_is_hidden_but_can_be_unhidden(app: Flask, way: str) -> None:
    pages, path = visit(app), NEW
    if way == "moved":
        path = f"/settings/webhooks/{make_webhook().public_id}/edit"
    form = pages.get(path).form()
    if way == "after a mistake":
        page = pages.submit(form, **{**FILLED, "name": ""}, url=KEYED)
        form = page.form()
        assert (page.status, form.fields["url_is_secret"]) == (400, ["y"])
    page = pages.submit(form, **{**FILLED, "url": KEYED})
    assert "The URL contains a secret part, so only administrators see all of it." in page.text
    assert is_ticked(page.path)
    edit = f"{page.path}/edit"
    page = pages.submit(pages.get(edit).form(), url_is_secret=None)
    assert not is_ticked(page.path)
    page = pages.submit(pages.get(edit).form(), name="Renamed")
    assert (page.h1, is_ticked(page.path)) == ("Renamed", False)
    assert "looks like a" not in page.text


@pytest.mark.parametrize("tested", [False, True])
def test_a_checkbox_cleared_before_saving_stays_cleared(app: Flask, tested: bool) -> None:
    pages = visit(app)
    form = pages.get(NEW).form()
    if tested:
        pages.post(TEST, {**form.fields, **FILLED, "url": KEYED})
        form = pages.follow("Continue editing").form()
    else:
        form = pages.submit(form, **{**FILLED, "events": []}, url=KEYED).form()
    assert form.fields["url_is_secret"] == ["y"]
    if tested:
        pages.post(TEST, {**form.fields, "url_is_secret": []})
        form = pages.follow("Continue editing").form()
        assert "url_is_secret" not in form.fields
    page = pages.submit(form, **{**FILLED, "url_is_secret": None})
    assert not is_ticked(page.path)


def test_the_key_question_keeps_the_checkbox_as_chosen(app: Flask) -> None:
    hook = make_webhook(KEYED, secret="the old secret", url_is_secret=True)
    pages, path = visit(app), f"/settings/webhooks/{hook.public_id}"
    edit = pages.submit(pages.get(f"{path}/edit").form(), url=f"{KEYED}0", name="").form()
    page = pages.submit(edit, name="ERP", url_is_secret=None, secret_mode="none")
    assert page.h1 == "Remove the secret key?"
    pages.submit(page.form(f"{path}/edit"))
    assert not is_ticked(path)


def test_the_url_of_earlier_attempts_is_hidden_too(app: Flask) -> None:
    hook = make_webhook("https://erp.example.com/hooks/plain", url_is_secret=True)
    delivery = make_delivery(hook, status="failed", reason="auth")
    make_attempt(delivery, url=hook.url, reason="auth", code=401)
    main = visit(app, "support").get(f"/deliveries/{delivery}?show=request").main
    assert "https://erp.example.com/••••" in main
    assert "/hooks/plain" not in main
    assert "URL now" not in main
