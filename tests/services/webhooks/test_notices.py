"""Notices reach a real mail server: once, at most hourly, to whoever should know."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import Event
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from portal.extensions import db, settings
from portal.lib.clock import utcnow
from portal.models.deliveries import Delivery
from portal.models.people import User
from portal.models.webhooks import Notice, OffReason, Webhook, WebhookState
from portal.services.core import heartbeats
from portal.services.core.unit_of_work import writing
from portal.services.operations import sending
from portal.services.webhooks import mailer, notices
from tests.support.database.rivals import Rival, at_once
from tests.support.deliveries import fail, make_delivery
from tests.support.factories import Hook, make_user, make_webhook
from tests.support.mail_server import MailServer, Session

LONG_AGO = timedelta(hours=2)


@pytest.fixture
def server(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    with MailServer() as running:
        changed = replace(app.extensions["settings"], smtp_url=running.url)
        monkeypatch.setitem(app.extensions, "settings", changed)
        yield running


SINCE = datetime(2026, 3, 10, 9, 20, tzinfo=UTC)


def failing(**columns: Any) -> Hook:
    hook = make_webhook(**columns)
    make_delivery(hook, status="failed", reason="server", code=500, failing_since=SINCE)
    return hook


def change(hook: Hook, **columns: Any) -> None:
    with writing() as current:
        current.execute(update(Webhook).where(Webhook.id == hook.id).values(**columns))


def let_time_pass() -> None:
    with writing() as current:
        current.execute(update(Notice).values(told_at=utcnow() - LONG_AGO))


def subjects(server: MailServer) -> list[str]:
    return [str(message["Subject"]) for message in server.messages]


def test_the_owner_is_told_once_that_a_webhook_needs_attention(server: MailServer) -> None:
    owner, _other = make_user(email="ana@example.com"), make_user()
    hook = failing(name="Sync to ERP", owner_id=owner.id)
    assert notices.send_due() == 1
    (message,) = server.messages
    assert message["To"] == "ana@example.com"
    assert message["From"] == "portal@example.com"
    assert message["Subject"] == "“Sync to ERP” is failing"
    assert f"/settings/webhooks/{hook.public_id}" in message.get_content()
    let_time_pass()
    assert notices.send_due() == 0


def test_nobody_is_told_while_all_sending_is_stopped(server: MailServer) -> None:
    ana = make_user()
    failing()
    sending.stop(ana.actor)
    assert notices.send_due() == 0
    sending.start(ana.actor)
    assert notices.send_due() == 1
    assert len(server.messages) == 1


def test_every_administrator_is_told_when_the_owner_is_gone(server: MailServer) -> None:
    owner = make_user(is_active=False)
    for name in ("ana", "ben"):
        make_user(email=f"{name}@example.com")
    make_user("support")
    with writing() as current:  # whose row was changed last is not read last
        current.execute(update(User).where(User.email == "ana@example.com").values(name="Ana"))
    failing(owner_id=owner.id)
    notices.send_due()
    assert [each["To"] for each in server.messages] == ["ana@example.com, ben@example.com"]


def test_turning_off_by_us_and_recovering_are_told_at_most_hourly(server: MailServer) -> None:
    make_user()
    hook = failing(name="Sync")
    notices.send_due()
    off = {"state": WebhookState.OFF, "off_reason": OffReason.FAILING}
    change(hook, **off)
    assert notices.send_due() == 0
    let_time_pass()
    assert notices.send_due() == 1
    let_time_pass()
    change(hook, state=WebhookState.ACTIVE, off_reason=None, last_delivered_at=utcnow())
    with writing() as current:
        mine = update(Delivery).where(Delivery.webhook_id == hook.id)
        current.execute(mine.values(status="delivered", failing_since=None))
    assert notices.send_due() == 1
    assert subjects(server) == [
        "“Sync” is failing",
        "“Sync” was turned off",
        "“Sync” is working again",
    ]
    told = [each.get_content().replace("\r\n", "\n") for each in server.messages]
    page = f"{settings().base_url}/settings/webhooks/{hook.public_id}"
    assert told == [
        "1 delivery to “Sync” is undelivered, failing since Mar 10, 10:20 (Europe/Vienna). "
        "Cause: Server error (500).\n\n"
        f"View the cause and next steps:\n{page}\n",
        "We turned off the webhook “Sync” because no delivery succeeded for 5 days. New deliveries "
        f"will stay on hold for up to 30 days.\n\nView the cause and turn it on:\n{page}\n",
        f"“Sync” is receiving deliveries again.\n\nView remaining failures:\n{page}\n",
    ]


def test_an_automatic_retry_is_promised_only_where_one_is_left(server: MailServer) -> None:
    make_user()
    hook = failing()
    assert notices.send_due() == 1
    make_delivery(hook, status="retrying", failing_since=utcnow())
    let_time_pass()
    change(hook, failures_in_row=1)
    with writing() as current:
        current.execute(update(Notice).values(told=notices.News.WELL))
    assert notices.send_due() == 1
    fail(make_webhook(name="Door"), status="retrying", failing_since=SINCE)
    assert notices.send_due() == 1
    told = [" ".join(each.get_content().split()) for each in server.messages]
    promised = ["We’ll retry automatically" in each for each in told]
    assert promised == [False, False, True]
    assert ["Nothing is lost" in each for each in told] == promised


def test_a_name_is_never_filled_in(server: MailServer) -> None:
    make_user()
    failing(name="Sync {cause}", state=WebhookState.OFF, off_reason=OffReason.GONE)
    notices.send_due()
    text = " ".join(server.messages[0].get_content().split())
    assert "the webhook “Sync {cause}” because the receiver permanently closed its URL." in text


def test_nothing_is_told_of_the_well_the_deleted_drafts_and_those_that_a_person_turned_off(
    server: MailServer,
) -> None:
    make_user()
    make_webhook()
    failing(deleted_at=utcnow())
    failing(state=WebhookState.DRAFT)
    failing(state=WebhookState.OFF, off_reason=OffReason.PERSON)
    assert notices.send_due() == 0
    assert server.messages == []


def test_a_name_cannot_add_headers(server: MailServer) -> None:
    make_user()
    failing(name="Sync\r\nBcc: eve@example.com {link}")
    assert notices.send_due() == 1
    assert server.messages[0]["Bcc"] is None
    assert "{link}" in subjects(server)[0]


def test_a_dead_mailbox_keeps_nobody_else_in_the_dark(server: MailServer) -> None:
    gone, here = make_user(email="gone@example.com"), make_user(email="ana@example.com")
    failing(name="First", owner_id=gone.id)
    failing(name="Second", owner_id=here.id)
    server.refused.add("gone@example.com")
    assert notices.send_due() == 1
    assert subjects(server) == ["“Second” is failing"]
    server.refused.clear()
    assert notices.send_due() == 0  # a mailbox that refuses is not asked again every minute
    let_time_pass()
    assert notices.send_due() == 1


def test_a_message_that_is_refused_or_has_a_strange_address_keeps_no_other_back(
    server: MailServer,
) -> None:
    strange, here = make_user(email="jörg@example.com"), make_user(email="ana@example.com")
    failing(name="First", owner_id=strange.id)
    failing(name="Second", owner_id=here.id)
    failing(name="Third", owner_id=here.id)
    is_first = iter([True])

    def refuse(talk: Session) -> None:
        if next(is_first, False):
            talk.wfile.write(b"554 not this one\r\n")
        else:
            talk.wfile.write(b"354 go on\r\n")
            talk._keep()

    server.odd_answers["DATA"] = refuse
    assert notices.send_due() == 1
    assert subjects(server) == ["“Third” is failing"]
    assert notices.send_due() == 0


def test_without_a_sender_in_its_address_it_comes_from_the_portals_own(
    app: Flask, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, base_url = server.url.partition("?")[0], "https://assets.example.org:8443/x"
    changed = replace(app.extensions["settings"], smtp_url=url, base_url=base_url)
    monkeypatch.setitem(app.extensions, "settings", changed)
    make_user()
    failing()
    assert notices.send_due() == 1
    assert server.messages[0]["From"] == "asset-register@assets.example.org"


def test_what_cannot_be_told_in_time_is_told_by_the_next_run(
    server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_user()
    for _ in range(3):
        failing()
    tens = count(0, 10)
    monkeypatch.setattr(notices, "monotonic", lambda: next(tens))
    assert [notices.send_due() for _ in range(3)] == [2, 1, 0]
    assert len(server.messages) == 3


@pytest.mark.both_databases
@pytest.mark.parametrize("was_told", [False, True])
def test_a_mail_server_that_is_down_is_asked_again_later(
    app: Flask, server: MailServer, monkeypatch: pytest.MonkeyPatch, was_told: bool
) -> None:
    make_user()
    hook, here = failing(name="Sync"), app.extensions["settings"]
    if was_told:
        notices.send_due()
        let_time_pass()
        change(hook, state=WebhookState.OFF, off_reason=OffReason.FAILING)
    with MailServer() as gone:
        away = replace(here, smtp_url=gone.url)
    monkeypatch.setitem(app.extensions, "settings", away)
    assert [notices.send_due() for _ in range(2)] == [0, 0]
    assert heartbeats.age(heartbeats.MAIL_FAILED) is not None
    monkeypatch.setitem(app.extensions, "settings", here)
    assert notices.send_due() == 1
    assert subjects(server)[-1] == f"“Sync” {'was turned off' if was_told else 'is failing'}"


def test_what_may_have_arrived_is_not_told_again_within_the_hour(server: MailServer) -> None:
    make_user()
    failing(name="First")
    failing(name="Second")
    server.odd_answers["DATA"] = Session.hang_up
    assert notices.send_due() == 0
    assert notices.send_due() == 0
    assert subjects(server) == ["“First” is failing", "“Second” is failing"]
    server.odd_answers.clear()
    let_time_pass()
    assert notices.send_due() == 2


def test_no_transaction_is_open_while_the_mail_server_is_talked_to(server: MailServer) -> None:
    make_user()
    failing()
    current, seen = db.session(), list[bool]()

    def look(talk: Session) -> None:
        seen.append(current.in_transaction())
        talk.be_rude()

    server.odd_answers["MAIL"] = look
    assert notices.send_due() == 0
    assert seen == [False]


@pytest.mark.parametrize("patience", ["STEP_SECONDS", "SECONDS"])
def test_a_mail_server_that_says_nothing_is_left(
    server: MailServer, monkeypatch: pytest.MonkeyPatch, patience: str
) -> None:
    make_user()
    failing()
    for each in ("STEP_SECONDS", "SECONDS"):
        monkeypatch.setattr(mailer, each, 0.1 if each == patience else 3600.0)
    is_left = Event()

    def be_silent(talk: Session) -> None:
        is_left.wait(5)
        with suppress(OSError):
            talk.wfile.write(b"250 fine\r\n")

    server.odd_answers["MAIL"] = be_silent
    assert notices.send_due() == 0
    is_left.set()


def test_two_at_once_tell_once(server: MailServer, app: Flask) -> None:
    make_user()
    failing()
    assert sorted(at_once(app, [notices.send_due] * 2)) == [0, 1]
    assert len(server.messages) == 1


def test_what_somebody_else_is_about_to_tell_is_not_told(server: MailServer, app: Flask) -> None:
    make_user()
    hook = failing()
    notices.send_due()
    let_time_pass()
    change(hook, state=WebhookState.OFF, off_reason=OffReason.FAILING)
    rival = Rival(app, notices.send_due)
    with writing() as current:
        current.get(Webhook, hook.id, with_for_update={"key_share": True})
        current.execute(update(Notice).values(told_at=utcnow()))
        rival.begin()
    rival.finish()
    assert len(server.messages) == 1


def test_a_message_is_one_that_servers_trust(server: MailServer) -> None:
    make_user()
    failing()
    notices.send_due()
    (message,) = server.messages
    assert abs(message["Date"].datetime - utcnow()) < timedelta(minutes=1)
    assert message["Message-ID"].endswith("@example.com>")
    assert message["Auto-Submitted"] == "auto-generated"


NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)


GONE: dict[str, Any] = {"state": "off", "off_reason": "gone"}


BY_ANA: dict[str, Any] = {"state": "off", "off_reason": "person"}


BEFORE = NOW - notices.QUIET


@dataclass(frozen=True)
class Ill:
    """As much of a backlog as a notice asks for."""

    since: datetime
    is_urgent: bool = True


ILL, ANEW = Ill(BEFORE - timedelta(minutes=10)), Ill(BEFORE + timedelta(minutes=1))


ONCE = Ill(NOW, is_urgent=False)


ARRIVED = {"last_delivered_at": NOW}


@pytest.mark.parametrize(
    ("columns", "backlog", "told", "news"),
    [
        ({}, ILL, None, "attention"),
        ({}, ILL, "well", "attention"),
        ({}, ILL, "off", "attention"),
        ({}, ILL, "attention", None),
        # It was well in the meantime, or what failed was dismissed.
        ({}, ANEW, "attention", "attention"),
        ({}, ONCE, "attention", None),
        ({}, ONCE, None, None),
        (ARRIVED, ILL, "attention", None),
        (GONE, None, None, "off"),
        (GONE, None, "attention", "off"),
        (GONE, None, "off", None),
        (GONE, ILL, None, "off"),
        (BY_ANA, None, "attention", None),
        (BY_ANA, ILL, None, None),
        (ARRIVED, None, "attention", "well"),
        (ARRIVED, None, "off", "well"),
        (ARRIVED, None, "well", None),
        (ARRIVED, None, None, None),
        ({"last_delivered_at": BEFORE}, None, "attention", None),
        ({}, None, "attention", None),
    ],
)
def test_what_there_is_to_tell_follows_from_what_was_told_last(
    columns: dict[str, Any], backlog: Any, told: str | None, news: str | None
) -> None:
    webhook = Webhook(**{"state": "active", **columns})
    notice = Notice(told=told, told_at=BEFORE) if told else None
    assert notices.news_of(webhook, notice, backlog, NOW) == news
    if told:
        sooner = Notice(told=told, told_at=BEFORE + timedelta(seconds=1))
        assert notices.news_of(webhook, sooner, backlog, NOW) is None
