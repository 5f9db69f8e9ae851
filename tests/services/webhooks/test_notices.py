"""Notices reach a real mail server: once, at most hourly, to whoever should know. How they get
there is tested in `services/mail`."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.models.deliveries import Delivery
from portal.models.people import User
from portal.models.webhooks import Notice, OffReason, Webhook, WebhookState
from portal.services.core.unit_of_work import writing
from portal.services.mail import outgoing
from portal.services.mail_kinds import KINDS
from portal.services.operations import sending
from portal.services.webhooks import notices
from tests.support.database.rivals import Rival, at_once
from tests.support.deliveries import fail, make_delivery
from tests.support.factories import Hook, make_user, make_webhook
from tests.support.mail_server import MailServer, set_up

LONG_AGO = timedelta(hours=2)


@pytest.fixture
def server(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    with MailServer() as running:
        set_up(app, monkeypatch, smtp_url=running.url)
        yield running


def tell() -> int:
    """How many notices were stored; their emails are sent."""
    stored = notices.tell_due()
    outgoing.send_due(KINDS)
    return stored


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
    assert tell() == 1
    (message,) = server.messages
    assert message["To"] == "ana@example.com"
    assert message["Subject"] == "“Sync to ERP” is failing"
    assert f"/settings/webhooks/{hook.public_id}" in message.get_content()
    let_time_pass()
    assert tell() == 0


def test_nobody_is_told_while_all_sending_is_stopped(server: MailServer) -> None:
    ana = make_user()
    failing()
    sending.stop(ana.actor)
    assert tell() == 0
    sending.start(ana.actor)
    assert tell() == 1
    assert len(server.messages) == 1


def test_every_administrator_is_told_when_the_owner_is_gone(server: MailServer) -> None:
    owner = make_user(is_active=False)
    for name in ("ana", "ben"):
        make_user(email=f"{name}@example.com")
    make_user("support")
    with writing() as current:  # whose row was changed last is not read last
        current.execute(update(User).where(User.email == "ana@example.com").values(name="Ana"))
    failing(owner_id=owner.id)
    tell()
    assert [each["To"] for each in server.messages] == ["ana@example.com", "ben@example.com"]


def test_turning_off_by_us_and_recovering_are_told_at_most_hourly(server: MailServer) -> None:
    make_user()
    hook = failing(name="Sync")
    tell()
    off = {"state": WebhookState.OFF, "off_reason": OffReason.FAILING}
    change(hook, **off)
    assert tell() == 0
    let_time_pass()
    assert tell() == 1
    let_time_pass()
    change(hook, state=WebhookState.ACTIVE, off_reason=None, last_delivered_at=utcnow())
    with writing() as current:
        mine = update(Delivery).where(Delivery.webhook_id == hook.id)
        current.execute(mine.values(status="delivered", failing_since=None))
    assert tell() == 1
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
    assert tell() == 1
    make_delivery(hook, status="retrying", failing_since=utcnow())
    let_time_pass()
    change(hook, failures_in_row=1)
    with writing() as current:
        current.execute(update(Notice).values(told=notices.News.WELL))
    assert tell() == 1
    fail(make_webhook(name="Door"), status="retrying", failing_since=SINCE)
    assert tell() == 1
    told = [" ".join(each.get_content().split()) for each in server.messages]
    promised = ["We’ll retry automatically" in each for each in told]
    assert promised == [False, False, True]
    assert ["Nothing is lost" in each for each in told] == promised


def test_a_name_is_never_filled_in(server: MailServer) -> None:
    make_user()
    failing(name="Sync {cause}", state=WebhookState.OFF, off_reason=OffReason.GONE)
    tell()
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
    assert tell() == 0
    assert server.messages == []


def test_a_name_cannot_add_headers(server: MailServer) -> None:
    make_user()
    failing(name="Sync\r\nBcc: eve@example.com {link}")
    assert tell() == 1
    assert server.messages[0]["Bcc"] is None
    assert "{link}" in subjects(server)[0]


def test_two_at_once_tell_once(server: MailServer, app: Flask) -> None:
    make_user()
    failing()
    assert sorted(at_once(app, [tell] * 2)) == [0, 1]
    assert len(server.messages) == 1


def test_what_somebody_else_is_about_to_tell_is_not_told(server: MailServer, app: Flask) -> None:
    make_user()
    hook = failing()
    tell()
    let_time_pass()
    change(hook, state=WebhookState.OFF, off_reason=OffReason.FAILING)
    rival = Rival(app, tell)
    with writing() as current:
        current.get(Webhook, hook.id, with_for_update={"key_share": True})
        current.execute(update(Notice).values(told_at=utcnow()))
        rival.begin()
    rival.finish()
    assert len(server.messages) == 1


def test_a_message_is_one_that_servers_trust(server: MailServer) -> None:
    make_user()
    failing()
    tell()
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
