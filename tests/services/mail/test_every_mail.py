"""Each kind of email reaches a real mail server and looks right in a mail program."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from textwrap import fill
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask

from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.models.people import LinkKind, Role
from portal.models.webhooks import Webhook
from portal.services.alerts import emails as alert_emails
from portal.services.core.unit_of_work import session, writing
from portal.services.mail import mailer, mails, outgoing, sample_mail
from portal.services.mail.mailer import Letter
from portal.services.mail_kinds import KINDS
from portal.services.people import (
    account_mails,
    forgotten_passwords,
    invitations,
    link_mails,
    password_resets,
)
from portal.services.webhooks import notes, notices, takes
from portal.services.webhooks.notices import News
from tests.services.alerts.due_things import decided, lent, with_warranty
from tests.services.alerts.test_alert_emails import check, wanted
from tests.support.deliveries import make_delivery
from tests.support.factories import Person, make_user, make_webhook
from tests.support.golden.expected_file import Golden
from tests.support.lint.old_words import old_words_in
from tests.support.mail_server import MailServer, set_up

GOLDEN = Path(__file__).parent / "golden"
LONGEST_LINE = 78
URL = re.compile(r"https?://\S+")
# Values that differ from run to run: (pattern, placeholder).
CHANCE = (
    (re.compile(r"\?token=[\w-]+"), "?token=«token»"),
    (re.compile(r"\.\d+@example\.com"), ".«number»@example.com"),
    (re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "«id»"),
    (re.compile(r"[A-Z][a-z]{2} \d{1,2}(?:, \d{4})?, \d\d:\d\d"), "«time»"),
    (re.compile(r"[A-Z][a-z]{2} \d{1,2}(?:, \d{4})?\b"), "«day»"),
)


@pytest.fixture
def server(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    with MailServer() as running:
        base = "https://assets.example.com"
        set_up(app, monkeypatch, smtp_url=running.url, base_url=base)
        yield running


@pytest.fixture
def ana() -> Person:
    return make_user(name="Ana Gruber", email="ana@example.com")


def about_webhook(kind: str, ana: Person, **columns: Any) -> None:
    """Queue an email about a webhook in this state."""
    hook = make_webhook(name="ERP Zürich", owner_id=ana.id, **columns)
    since = utcnow() - timedelta(hours=2)
    if kind == f"webhook_{News.HELD_ENDS}":
        make_delivery(hook, status="on_hold")
    elif kind != f"webhook_{News.WELL}":
        make_delivery(hook, status="failed", reason="server", code=500, failing_since=since)
    with writing() as current:
        mails.write(current, kind, user_id=ana.id, webhook_id=hook.id)


def about_webhooks(ana: Person) -> None:
    """Queue an email about two webhooks."""
    for name in ("ERP Zürich", "Door"):
        hook = make_webhook(name=name, owner_id=ana.id, **(DOWN if name == "Door" else {}))
        since = utcnow() - timedelta(hours=2)
        make_delivery(hook, status="retrying", reason="server", code=500, failing_since=since)
    notices.tell_due()


def handed_over(ana: Person) -> None:
    """Queue an email about a webhook with a note."""
    sam, hook = make_user("support", name="Sam Okoro"), make_webhook(name="ERP Zürich")
    since = utcnow() - timedelta(hours=2)
    make_delivery(hook, status="failed", reason="server", code=500, failing_since=since)
    takes.take(sam.actor, hook.public_id)
    notes.save(sam.actor, hook.public_id, "Asked their IT.\nThey call back on Friday.", None)
    taken_at = session().get_one(Webhook, hook.id).taken_at
    takes.hand_over(sam.actor, hook.public_id, ana.public_id, taken_at)


def invited(ana: Person) -> None:
    invitations.send(ana.actor, invitations.invite(ana.actor, "cleo@example.com", Role.SUPPORT))


def given_a_link(ana: Person) -> None:
    boss = make_user(name="Øystein Ødegård")
    password_resets.offer(boss.actor, ana.public_id)
    password_resets.send(boss.actor, ana.public_id)


def forgot(ana: Person) -> None:
    forgotten_passwords.ask(ana.email, "192.0.2.7")


def by_kind(kind: str, ana: Person) -> None:
    with writing() as current:
        mails.write(current, kind, user_id=ana.id)


def alerted(ana: Person) -> None:
    """Queue an email about two overdue assets and a warranty that ends soon."""
    decided()
    wanted(mail_overdue=[ana.email], mail_warranty=[ana.email])
    lent(3), lent(30), with_warranty(10)
    check()


def reminded(_ana: Person) -> None:
    decided()
    wanted(remind_holder=True, holder_text="Bring it to the front desk, Monday to Friday.")
    lent(3)
    check()


OFF = {"state": "off", "off_reason": "failing"}
LONG_OFF = {"state": "off", "off_reason": "person", "off_at": utcnow() - timedelta(days=29)}
DOWN = {"failing_since": utcnow() - timedelta(hours=2), "failures_in_row": 3}
ENDING = {"failing_since": utcnow() - timedelta(days=4), "failures_in_row": 3}
SAMPLES: dict[str, Callable[[Person], object]] = {
    mails.TEST: lambda ana: sample_mail.start(ana.actor),
    f"webhook_{News.FAILING}": partial(about_webhook, f"webhook_{News.FAILING}"),
    f"webhook_{News.DOWN}": partial(about_webhook, f"webhook_{News.DOWN}", **DOWN),
    f"webhook_{News.ENDING}": partial(about_webhook, f"webhook_{News.ENDING}", **ENDING),
    f"webhook_{News.OFF}": partial(about_webhook, f"webhook_{News.OFF}", **OFF),
    f"webhook_{News.HELD_ENDS}": partial(about_webhook, f"webhook_{News.HELD_ENDS}", **LONG_OFF),
    f"webhook_{News.BACK}": partial(about_webhook, f"webhook_{News.BACK}"),
    f"webhook_{News.WELL}": partial(about_webhook, f"webhook_{News.WELL}"),
    notices.TOGETHER: about_webhooks,
    takes.MAIL: handed_over,
    f"link_{LinkKind.INVITE}": invited,
    f"link_{LinkKind.RESET}": given_a_link,
    forgotten_passwords.ASKED: forgot,
    link_mails.FORGOTTEN: forgot,
    account_mails.CHANGED: partial(by_kind, account_mails.CHANGED),
    account_mails.NEW_BROWSER: partial(by_kind, account_mails.NEW_BROWSER),
    alert_emails.ALERTS: alerted,
    alert_emails.HOLDER: reminded,
}


def received(server: MailServer, kind: str, ana: Person) -> tuple[EmailMessage, bytes]:
    SAMPLES[kind](ana)
    outgoing.send_due(KINDS)
    (message,), (raw,) = server.messages, server.raw
    return message, raw


def is_url(line: bytes) -> bool:
    """Return whether the line is the header with a URL, which no mail program reads in parts."""
    return line.startswith(b"List-Unsubscribe: <")


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_shown_in_a_mail_program_as_written(
    server: MailServer, ana: Person, kind: str
) -> None:
    message, raw = received(server, kind, ana)
    assert max(len(line) for line in raw.splitlines() if not is_url(line)) <= LONGEST_LINE
    assert raw.isascii()
    assert b"base64" not in raw
    assert (message.get_content_type(), message.get_content_charset()) == ("text/plain", "utf-8")
    for name in ("Date", "Message-ID", "Auto-Submitted"):
        assert message[name], name
    assert message["Message-ID"] == message["Message-ID"].strip()
    (sender,) = message["From"].addresses
    assert (sender.display_name, sender.addr_spec) == ("Asset register", "portal@example.com")
    text = message.get_content()
    for line in text.splitlines():
        assert not URL.search(line) or URL.fullmatch(line), line
    assert not re.search(r"<\w+", text)


@pytest.mark.parametrize("kind", KINDS)
def test_the_text_of_each_kind_matches_its_golden_file(
    server: MailServer, ana: Person, kind: str, golden: Golden
) -> None:
    message, _raw = received(server, kind, ana)
    names, lines = ("From", "To", "Subject"), message.get_content().splitlines()
    shown = [fill(line, 78, break_long_words=False, break_on_hyphens=False) for line in lines]
    text = "\n".join([*(f"{name}: {message[name]}" for name in names), "", *shown, ""])
    assert list(old_words_in(text)) == []
    for pattern, placeholder in CHANCE:
        text = pattern.sub(placeholder, text)
    golden.text(GOLDEN / f"{kind}.txt", text)


def test_no_other_golden_files_exist(golden: Golden) -> None:
    golden.only(GOLDEN, {f"{kind}.txt" for kind in KINDS})


@pytest.mark.parametrize(
    "text", ["在庫管理システム「倉庫」が応答していません。", "Short, “quoted”.", "x"]
)
def test_any_text_is_sent_as_lines_that_every_server_passes_on(app: Flask, text: str) -> None:
    with MailServer() as server:
        changed = replace(settings(), smtp_url=server.url)
        mailer.send(changed, "ana@example.com", Letter("x", f"{text}\n"), uuid4())
    (raw,), (message,) = server.raw, server.messages
    assert raw.isascii()
    assert b"base64" not in raw
    assert message.get_content().split() == text.split()
