"""Notices reach a real mail server: once per trouble, and at most hourly per person.

Sending itself is tested in `services/mail`.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from portal.extensions import settings
from portal.lib.clock import frozen, utcnow
from portal.models.deliveries import Delivery
from portal.models.mails import Mail
from portal.models.people import User
from portal.models.webhooks import OffReason, Watch, Webhook, WebhookState
from portal.services.core.permissions import PERMISSIONS
from portal.services.core.unit_of_work import session, writing
from portal.services.mail import outgoing
from portal.services.mail_kinds import KINDS
from portal.services.operations import sending
from portal.services.webhooks import notices, watches
from tests.conftest import ENVIRONMENT
from tests.support.database.rivals import Rival, at_once
from tests.support.deliveries import make_delivery
from tests.support.factories import Hook, Person, make_user, make_webhook
from tests.support.mail_server import MailServer, set_up

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
SINCE = NOW - 10 * MINUTE


@pytest.fixture
def server(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    with MailServer() as running:
        set_up(app, monkeypatch, smtp_url=running.url)
        yield running


def tell(at: datetime = NOW) -> int:
    """Store due notices, send them, and return the number of emails."""
    with frozen(at):
        stored = notices.tell_due()
        outgoing.send_due(KINDS)
    return stored


def failing(**columns: Any) -> Hook:
    """Make a webhook where one delivery has failed since ten minutes before `NOW`."""
    hook = make_webhook(**columns)
    make_delivery(hook, status="failed", reason="server", code=500, failing_since=SINCE)
    return hook


def change(hook: Hook, **columns: Any) -> None:
    with writing() as current:
        current.execute(update(Webhook).where(Webhook.id == hook.id).values(**columns))


def recover(hook: Hook, at: datetime) -> None:
    """Deliver the whole backlog of the webhook."""
    with writing() as current:
        mine = update(Delivery).where(Delivery.webhook_id == hook.id)
        current.execute(mine.values(status="delivered", failing_since=None))
    up = {"state": WebhookState.ACTIVE, "off_reason": None, "off_at": None}
    change(hook, **up, failing_since=None, failures_in_row=0, last_delivered_at=at)


def subjects(server: MailServer) -> list[str]:
    return [str(message["Subject"]) for message in server.messages]


def told_to(server: MailServer) -> list[str]:
    return [str(message["To"]) for message in server.messages]


def test_the_owner_is_told_once_that_a_webhook_fails(server: MailServer) -> None:
    owner, _other = make_user(email="ana@example.com"), make_user()
    hook = failing(name="Nordwind", owner_id=owner.id)
    assert tell() == 1
    (message,) = server.messages
    assert message["To"] == "ana@example.com"
    assert message["Subject"] == "Deliveries to Nordwind are failing"
    assert f"/settings/webhooks/{hook.public_id}" in message.get_content()
    assert tell(NOW + 2 * HOUR) == 0


def read(server: MailServer) -> list[str]:
    """Return the text of each message in one line."""
    return [" ".join(message.get_content().split()) for message in server.messages]


TURNED_ON = NOW - 6 * MINUTE
SINCE_WORDS = "Mar 10, 10:20 (Europe/Vienna)"
LATELY = "The last delivery succeeded on Mar 10, 10:25 (Europe/Vienna)."
BEFORE_IT = "The last delivery succeeded on Mar 10, 08:30 (Europe/Vienna)."


@pytest.mark.parametrize(
    ("columns", "subject", "words"),
    [
        (
            {"failing_since": TURNED_ON, "failures_in_row": 3},
            "ERP isn’t receiving any deliveries",
            f"undelivered, failing since {SINCE_WORDS}. Nothing has been delivered yet. Cause",
        ),
        (
            {"failing_since": TURNED_ON, "last_delivered_at": NOW - 2 * HOUR},
            "ERP isn’t receiving any deliveries",
            f"undelivered, failing since {SINCE_WORDS}. {BEFORE_IT} Cause",
        ),
        (
            {"last_delivered_at": NOW - 5 * MINUTE},
            "Some deliveries to ERP are failing",
            f"undelivered, the oldest failing since {SINCE_WORDS}. {LATELY} Cause",
        ),
        ({}, "Deliveries to ERP are failing", "Nothing has been delivered yet. Cause"),
        (
            {"failing_since": NOW - 4 * DAY, "failures_in_row": 3, "last_delivered_at": None},
            "ERP will be turned off on Mar 11, 10:30",
            "any deliveries. Nothing has been delivered yet. We’ll turn off the webhook",
        ),
    ],
)
def test_a_notice_gives_start_and_last_delivery_as_the_page_does(
    server: MailServer, columns: dict[str, Any], subject: str, words: str
) -> None:
    make_user(time_zone="Europe/Vienna")
    hook = failing(name="ERP", **columns)
    make_delivery(hook, status="failed", reason="server", failing_since=SINCE + MINUTE)
    assert tell() == 1
    assert subjects(server) == [subject]
    assert words in read(server)[0]


def test_a_notice_counts_deliveries_whose_automatic_retries_have_ended(server: MailServer) -> None:
    failed = {"status": "failed", "reason": "server", "failing_since": SINCE}
    waits = {"status": "retrying", "reason": "server", "failing_since": SINCE}
    for name, deliveries in {
        "ERP": [failed],
        "Door": [failed, failed, waits],
        "Desk": [waits],
    }.items():
        hook = make_webhook(name=name, owner_id=make_user().id)
        for columns in deliveries:
            make_delivery(hook, **columns)
    tell()
    texts = dict(zip(subjects(server), read(server), strict=True))
    endings = {name: texts[f"Deliveries to {name} are failing"] for name in ("ERP", "Door", "Desk")}
    assert "Automatic retries have ended. View" in endings["ERP"]
    assert "Automatic retries have ended for 2 of them. View" in endings["Door"]
    assert "Nothing is lost. We’ll retry automatically. View" in endings["Desk"]


def test_only_watchers_of_a_webhook_are_notified(server: MailServer) -> None:
    ana, sam = make_user(email="ana@example.com"), make_user("support", email="sam@example.com")
    hook = failing(owner_id=ana.id)
    watches.choose(sam.actor, hook.public_id, is_on=True)
    watches.choose(ana.actor, hook.public_id, is_on=False)
    failing(owner_id=ana.id)
    assert tell() == 2
    assert sorted(told_to(server)) == ["ana@example.com", "sam@example.com"]


def shut_out(person: Person, _monkeypatch: pytest.MonkeyPatch) -> None:
    with writing() as current:
        current.execute(update(User).where(User.id == person.id).values(is_active=False))


def take_from_the_role(_person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    roles = PERMISSIONS[watches.PERMISSION] - {"support"}
    monkeypatch.setitem(PERMISSIONS, watches.PERMISSION, roles)


@pytest.mark.parametrize("end", [shut_out, take_from_the_role])
@pytest.mark.parametrize("is_stored", [False, True])
def test_a_person_who_can_no_longer_read_deliveries_is_not_notified(
    server: MailServer, monkeypatch: pytest.MonkeyPatch, end: Any, is_stored: bool
) -> None:
    ana, sam = make_user(), make_user("support")
    hook = failing(owner_id=ana.id)
    watches.choose(ana.actor, hook.public_id, is_on=False)
    watches.choose(sam.actor, hook.public_id, is_on=True)
    if is_stored:  # before the email went out
        with frozen(NOW):
            assert notices.tell_due() == 1
    end(sam, monkeypatch)
    assert tell() == 0
    assert server.messages == []


def test_an_email_whose_watch_ends_before_sending_is_not_sent(server: MailServer) -> None:
    ana = make_user()
    hook = failing(owner_id=ana.id)
    with frozen(NOW):
        assert notices.tell_due() == 1
    watches.choose(ana.actor, hook.public_id, is_on=False)
    outgoing.send_due(KINDS)
    assert server.messages == []


def test_while_sending_is_stopped_only_turned_off_webhooks_are_reported(server: MailServer) -> None:
    ana = make_user()
    failing(name="Sync")
    failing(name="ERP", state=WebhookState.OFF, off_reason=OffReason.GONE, off_at=SINCE)
    sending.stop(ana.actor)
    assert tell() == 1
    sending.start(ana.actor)
    assert tell() == 1
    assert subjects(server) == ["ERP was turned off", "Deliveries to Sync are failing"]


def test_administrators_who_did_not_opt_out_replace_a_missing_owner(server: MailServer) -> None:
    owner = make_user(is_active=False)
    people = [make_user(email=f"{name}@example.com") for name in ("ana", "ben", "cleo")]
    make_user("support")
    with writing() as current:  # an updated row must not change the order
        current.execute(update(User).where(User.email == "ana@example.com").values(name="Ana"))
    hook = failing(owner_id=owner.id)
    watches.choose(people[2].actor, hook.public_id, is_on=False)
    tell()
    assert told_to(server) == ["ana@example.com", "ben@example.com"]
    with frozen(NOW):  # an owner who is back is notified, too
        with writing() as current:
            current.execute(update(User).where(User.id == owner.id).values(is_active=True))
        assert tell() == 1


def test_administrators_stand_in_only_until_there_is_an_owner(server: MailServer) -> None:
    ana, sam = make_user(email="ana@example.com"), make_user("support", email="sam@example.com")
    hook = failing(owner_id=make_user(is_active=False).id)
    tell()
    with writing() as current:
        watches.set_owner(current, current.get_one(Webhook, hook.id), sam.public_id)
    tell(NOW + 2 * HOUR)
    change(hook, state=WebhookState.OFF, off_reason=OffReason.GONE, off_at=NOW + 3 * HOUR)
    tell(NOW + 4 * HOUR)
    assert told_to(server) == [ana.email, sam.email, sam.email]


def test_each_stage_of_trouble_is_reported_once_in_order(server: MailServer) -> None:
    hook = failing(name="Sync", owner_id=make_user(time_zone="Europe/London").id)
    tell(NOW)
    change(hook, failing_since=NOW + MINUTE, failures_in_row=1)
    tell(NOW + 2 * HOUR)
    tell(NOW + 3 * DAY + 2 * MINUTE)
    off_at = NOW + 5 * DAY
    change(hook, state=WebhookState.OFF, off_reason=OffReason.FAILING, off_at=off_at)
    tell(off_at)
    held = {"status": "on_hold", "created_at": off_at, "failing_since": SINCE, "tries": 2}
    for _ in range(2):
        make_delivery(hook, **held)
    tell(off_at + 27 * DAY)
    change(hook, state=WebhookState.ACTIVE, off_reason=None, off_at=None, failing_since=None)
    change(hook, last_delivered_at=off_at + 28 * DAY, failures_in_row=0)
    tell(off_at + 28 * DAY)
    recover(hook, off_at + 29 * DAY)
    for hours in range(6):
        tell(off_at + 29 * DAY + hours * HOUR)
    assert subjects(server) == [
        "Deliveries to Sync are failing",
        "Sync isn’t receiving any deliveries",
        "Sync will be turned off on Mar 15, 09:31",
        "Sync was turned off",
        "Sync’s on-hold deliveries expire on Apr 14, 10:30",
        "Sync is receiving deliveries again",
        "Sync works again",
    ]
    messages = read(server)
    assert "2 deliveries to “Sync” are on hold" in messages[4]
    assert "3 deliveries are undelivered" in messages[5]


def test_one_poisoned_delivery_hides_neither_an_outage_nor_its_end(server: MailServer) -> None:
    hook = failing(name="ERP", owner_id=make_user().id)
    tell()
    for hours in (2, 6):  # everything fails, and then nearly nothing
        began = NOW + hours * HOUR
        change(hook, failing_since=began, failures_in_row=3)
        assert tell(began + 4 * MINUTE) == 0
        assert tell(began + 5 * MINUTE) == 1
        assert tell(began + 3 * HOUR) == 0
        change(hook, failing_since=None, last_delivered_at=began + 3 * HOUR)
        assert tell(began + 3 * HOUR + MINUTE) == 1
    down, back = "ERP isn’t receiving any deliveries", "ERP is receiving deliveries again"
    failing_words = "Deliveries to ERP are failing"
    assert subjects(server) == [failing_words, down, back, down, back]


def test_a_flapping_webhook_sends_each_person_at_most_one_email_an_hour(server: MailServer) -> None:
    """One delivery stays failed, so that there always is something to report."""
    people = [make_user(email=f"{name}@example.com") for name in ("ana", "ben")]
    hook = failing(owner_id=people[0].id)
    watches.choose(people[1].actor, hook.public_id, is_on=True)
    sent: dict[str, list[datetime]] = {person.email: [] for person in people}
    for minute in range(3 * 60):
        at = NOW + minute * MINUTE
        if minute % 2:
            change(hook, failing_since=None, failures_in_row=0, last_delivered_at=at)
        else:
            change(hook, failing_since=at - 5 * MINUTE, failures_in_row=1)
        tell(at)
        for message in server.messages:
            sent[str(message["To"])].append(at)
        server.messages.clear()
    for times in sent.values():
        assert 2 <= len(times) <= 3
        gaps = [later - sooner for sooner, later in pairwise(times)]
        assert min(gaps) >= HOUR


@pytest.mark.parametrize("back", [2 * HOUR, 3 * DAY])
def test_a_clock_set_back_neither_repeats_nor_silences_a_notice(
    server: MailServer, back: timedelta
) -> None:
    hook = failing(name="ERP", owner_id=make_user().id)
    assert tell() == 1
    past = NOW - back
    for minutes in range(0, 600, 30):
        assert tell(past + minutes * MINUTE) == 0
    recover(hook, past + 11 * HOUR)
    assert tell(past + 11 * HOUR) == 1
    make_delivery(hook, status="failed", reason="dns", failing_since=past + 13 * HOUR)
    assert tell(past + 13 * HOUR + 4 * MINUTE) == 0
    assert tell(past + 13 * HOUR + 5 * MINUTE) == 1
    ill, well = "Deliveries to ERP are failing", "ERP works again"
    assert subjects(server) == [ill, well, ill]


def test_a_notice_says_why_its_reader_gets_it(server: MailServer) -> None:
    ana, sam = make_user(email="ana@example.com"), make_user("support", email="sam@example.com")
    hook = failing(name="Sync", owner_id=make_user(is_active=False).id)
    tell()
    owned = failing(owner_id=ana.id)
    watches.choose(sam.actor, owned.public_id, is_on=True)
    tell()
    why = {
        (str(message["To"]), str(hook.public_id) in message.get_content()): " ".join(
            message.get_content().split()
        )
        for message in server.messages
    }
    assert "because “Sync” has no owner who can sign in." in why["ana@example.com", True]
    assert "because you own “" in why["ana@example.com", False]
    assert "because you asked for it" in why["sam@example.com", False]


def test_placeholders_in_a_webhook_name_are_not_filled_in(server: MailServer) -> None:
    make_user()
    failing(name="Sync {cause}", state=WebhookState.OFF, off_reason=OffReason.GONE, off_at=SINCE)
    tell()
    text = " ".join(server.messages[0].get_content().split())
    assert "the webhook “Sync {cause}” because the receiver permanently closed its URL." in text


def test_healthy_deleted_draft_and_manually_off_webhooks_cause_no_notice(
    server: MailServer,
) -> None:
    owner = make_user()
    make_webhook(owner_id=owner.id)
    failing(owner_id=owner.id, deleted_at=utcnow())
    failing(owner_id=owner.id, state=WebhookState.DRAFT)
    off = {"state": WebhookState.OFF, "off_reason": OffReason.PERSON, "off_at": SINCE}
    failing(owner_id=owner.id, **off)
    assert tell() == 0
    assert server.messages == []


def test_the_owner_is_notified_before_on_hold_deliveries_expire(server: MailServer) -> None:
    off = {"state": WebhookState.OFF, "off_reason": OffReason.PERSON, "off_at": NOW}
    hook = make_webhook(name="ERP", owner_id=make_user().id, **off)
    assert tell(NOW + 28 * DAY) == 0  # nothing is on hold
    make_delivery(hook, status="on_hold", created_at=NOW + DAY)
    assert tell(NOW + 28 * DAY - MINUTE) == 0
    change(hook, off_until=NOW + 29 * DAY)  # it is sent before it expires
    assert tell(NOW + 28 * DAY) == 0
    change(hook, off_until=NOW + 27 * DAY)  # its time to be turned on has passed
    assert tell(NOW + 28 * DAY) == 1
    assert tell(NOW + 30 * DAY) == 0
    assert "1 delivery to “ERP” is on hold" in server.messages[0].get_content()


def test_a_name_cannot_add_headers(server: MailServer) -> None:
    make_user()
    failing(name="Sync\r\nBcc: eve@example.com {link}")
    assert tell() == 1
    assert server.messages[0]["Bcc"] is None
    assert "{link}" in subjects(server)[0]


def test_notices_due_together_reach_each_person_in_one_email(server: MailServer) -> None:
    ana, ben = make_user(email="ana@example.com"), make_user(email="ben@example.com")
    hooks = [failing(name=name, owner_id=ana.id) for name in ("ERP", "Desk", "Badge")]
    change(hooks[0], state=WebhookState.OFF, off_reason=OffReason.GONE, off_at=SINCE)
    watches.choose(ben.actor, hooks[1].public_id, is_on=True)
    assert tell() == 2
    assert tell(NOW + MINUTE) == 0
    emails = dict(
        zip(told_to(server), zip(subjects(server), read(server), strict=True), strict=True)
    )
    subject, text = emails["ana@example.com"]
    assert subject == "3 webhooks: 2 failing, 1 turned off"
    places = [text.index(f"/settings/webhooks/{hook.public_id}") for hook in hooks]
    assert places == sorted(places, reverse=True)
    assert text.index("Deliveries to “Badge” are failing. 1 delivery") < text.index("We turned off")
    assert "because you own these webhooks." in text
    assert emails["ben@example.com"][0] == "Deliveries to Desk are failing"


def test_several_failing_webhooks_are_counted_in_the_subject(server: MailServer) -> None:
    make_user()
    failing(), failing(failing_since=SINCE)
    tell()
    assert subjects(server) == ["2 webhooks are failing"]
    assert "because these webhooks have no owner who can sign in." in read(server)[0]


def test_the_unsubscribe_link_of_a_summary_covers_its_webhooks_alone(server: MailServer) -> None:
    ana = make_user()
    for _ in range(2):
        failing(owner_id=ana.id)
    other = make_webhook(name="Other", owner_id=ana.id)
    tell()
    token = str(server.messages[0]["List-Unsubscribe"]).strip("<>").partition("token=")[2]
    assert not watches.read_link(token).is_over
    assert watches.end_by_link(token).is_over
    assert [webhook.name for webhook in watches.watched_by(ana.actor)] == [other.name]


def test_trouble_that_ends_before_sending_is_left_out_of_the_email(server: MailServer) -> None:
    ana = make_user()
    hooks = [failing(name=name, owner_id=ana.id) for name in ("ERP", "Desk", "Badge")]
    with frozen(NOW):
        assert notices.tell_due() == 1
    recover(hooks[0], NOW)
    watches.choose(ana.actor, hooks[1].public_id, is_on=False)
    with frozen(NOW):
        outgoing.send_due(KINDS)
    assert subjects(server) == ["Deliveries to Badge are failing"]


def test_notices_beyond_one_email_follow_in_the_next(server: MailServer) -> None:
    ana = make_user()
    for _ in range(watches.MOST_TOGETHER + 2):
        failing(owner_id=ana.id)
    assert [tell(NOW + minutes * MINUTE) for minutes in range(3)] == [1, 1, 0]
    assert subjects(server) == ["20 webhooks are failing", "2 webhooks are failing"]
    assert all(len(line) < 998 for raw in server.raw for line in raw.splitlines())


@pytest.mark.both_databases
@pytest.mark.parametrize("hooks", [1, 3])
def test_two_concurrent_runs_send_one_notice(server: MailServer, app: Flask, hooks: int) -> None:
    make_user()
    for _ in range(hooks):
        failing()
    with frozen(NOW):
        watches.stand_in()
    assert sorted(at_once(app, [tell] * 2)) == [0, 1]
    assert len(server.messages) == 1


@pytest.mark.both_databases
def test_two_concurrent_runs_let_administrators_stand_in_once(
    server: MailServer, app: Flask
) -> None:
    make_user()
    failing()
    assert sorted(at_once(app, [tell] * 2)) == [0, 1]


@pytest.mark.both_databases
def test_a_notice_that_another_run_is_sending_is_not_repeated(
    server: MailServer, app: Flask
) -> None:
    make_user()
    hook = failing()
    tell()
    change(hook, state=WebhookState.OFF, off_reason=OffReason.FAILING, off_at=NOW)
    later = NOW + 2 * HOUR
    rival = Rival(app, lambda: tell(later))
    with writing() as current:
        current.get(Webhook, hook.id, with_for_update={"key_share": True})
        current.execute(update(Watch).values(told_at=later))
        rival.begin()
    rival.finish()
    assert len(server.messages) == 1


@pytest.mark.both_databases
def test_a_person_erased_meanwhile_gets_no_notice_and_blocks_nothing(
    server: MailServer, app: Flask
) -> None:
    ana = make_user()
    failing(owner_id=ana.id)
    rival = Rival(app, tell)
    with writing() as current:
        current.get_one(User, ana.id, with_for_update=True).is_active = False
        current.flush()
        rival.begin()
        watches.forget(current, ana.id)
    assert (rival.finish(), server.messages) == (0, [])


# A worker that is killed before or after it commits a notice.
KILLED = """
import os, signal, sys
from datetime import datetime
from sqlalchemy import event
from sqlalchemy.orm import Session
from portal.base_app import create_base_app
from portal.config.settings import load_settings
from portal.lib.clock import frozen
from portal.queue import notifier
from portal.services.webhooks import notices

app = create_base_app(load_settings(os.environ))
notifier.init_app(app)
with app.app_context(), frozen(datetime.fromisoformat(sys.argv[2])):
    kill = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    event.listen(Session, sys.argv[1], kill)
    notices.tell_due()
"""


@pytest.mark.both_databases
@pytest.mark.parametrize(("moment", "is_told"), [("before_commit", False), ("after_commit", True)])
def test_a_run_killed_while_notifying_leaves_all_or_nothing_to_the_next(
    server: MailServer, moment: str, is_told: bool
) -> None:
    failing(owner_id=make_user().id)
    ours = settings()
    places = {"INSTANCE_DIR": str(ours.instance_dir), "DATABASE_URL": ours.database_url}
    environment = {**os.environ, **ENVIRONMENT, **places, "SMTP_URL": server.url}
    command = [sys.executable, "-c", KILLED, moment, NOW.isoformat()]
    killed = subprocess.run(command, env=environment, check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert notices_left() == (1 if is_told else 0)
    tell()
    tell(NOW + 2 * HOUR)
    assert len(server.messages) == 1


def notices_left() -> int:
    session().rollback()
    return session().query(Mail).count()


def test_a_message_has_the_headers_that_mail_servers_trust(server: MailServer) -> None:
    make_user()
    failing()
    tell()
    (message,) = server.messages
    assert message["Message-ID"].endswith("@example.com>")
    assert message["Auto-Submitted"] == "auto-generated"
    link = str(message["List-Unsubscribe"]).strip("<>")
    assert link in message.get_content()
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


BEFORE = NOW - notices.QUIET
GONE: dict[str, Any] = {"state": "off", "off_reason": "gone", "off_at": NOW - MINUTE}
BY_ANA: dict[str, Any] = {"state": "off", "off_reason": "person", "off_at": NOW - MINUTE}


@dataclass(frozen=True)
class Ill:
    """The part of a backlog that a notice reads."""

    since: datetime


ILL, ANEW = Ill(BEFORE - 10 * MINUTE), Ill(BEFORE + MINUTE)
ONCE = Ill(NOW - 4 * MINUTE)
ARRIVED = {"last_delivered_at": NOW}
DOWN = {"failing_since": BEFORE - 10 * MINUTE, "failures_in_row": 3}
DOWN_ANEW = {"failing_since": BEFORE + MINUTE, "failures_in_row": 3}
ENDING = {"failing_since": NOW - 3 * DAY, "failures_in_row": 3}


@pytest.mark.parametrize(
    ("columns", "backlog", "told", "news"),
    [
        ({}, ILL, None, "failing"),
        ({}, ILL, "well", "failing"),
        ({}, ILL, "failing", None),
        ({}, ILL, "back", None),
        ({}, ILL, "off", None),
        # It recovered in the meantime, or its failed deliveries were dismissed.
        ({}, ANEW, "failing", "failing"),
        ({}, ANEW, "off", "failing"),
        ({}, ONCE, "failing", None),
        ({}, ONCE, None, None),
        (ARRIVED, ILL, "failing", None),
        (DOWN, ILL, None, "down"),
        (DOWN, ILL, "failing", "down"),
        (DOWN, ILL, "back", "down"),
        (DOWN, ILL, "down", None),
        (DOWN, ILL, "ending", None),
        (DOWN_ANEW, ILL, "down", "down"),
        # While all sending was stopped, nothing could be delivered.
        ({**DOWN_ANEW, "stopped_for": 3540}, ILL, "failing", None),
        # The failed deliveries were dismissed.
        (DOWN, None, None, None),
        (ENDING, ILL, "down", "ending"),
        (ENDING, None, "well", "ending"),
        (ENDING, ILL, "ending", None),
        (GONE, None, None, "off"),
        (GONE, None, "failing", "off"),
        (GONE, None, "ending", "off"),
        (GONE, ILL, None, "off"),
        ({**GONE, "off_at": BEFORE}, None, "off", None),
        ({**GONE, "off_at": BEFORE}, None, "held_ends", None),
        # It was turned on in the meantime and is gone again.
        (GONE, None, "off", "off"),
        (BY_ANA, None, "failing", None),
        (BY_ANA, ILL, None, None),
        (ARRIVED, None, "failing", "well"),
        (ARRIVED, None, "back", "well"),
        (ARRIVED, None, "down", "well"),
        (ARRIVED, None, "off", "well"),
        (ARRIVED, None, "held_ends", "well"),
        (ARRIVED, None, "well", None),
        (ARRIVED, None, None, None),
        (ARRIVED, ILL, "down", "back"),
        (ARRIVED, ILL, "off", "back"),
        ({**ARRIVED, **DOWN_ANEW}, None, "down", None),
        ({"last_delivered_at": BEFORE}, None, "failing", None),
        ({}, None, "failing", None),
    ],
)
def test_the_next_notice_follows_from_the_last_one(
    columns: dict[str, Any], backlog: Any, told: str | None, news: str | None
) -> None:
    webhook = Webhook(**{"state": "active", "failures_in_row": 0, "stopped_for": 0, **columns})
    watch = Watch(told=told, told_at=BEFORE if told else None)
    assert notices.news_of(webhook, watch, backlog, None, NOW) == news
    if told:
        watch.told_at = BEFORE + timedelta(seconds=1)
        assert notices.news_of(webhook, watch, backlog, None, NOW) is None


def test_every_kind_of_news_has_words_a_rank_and_a_summary() -> None:
    assert set(notices.WORDS) == set(notices.RANKS) == set(notices.SUMS) == set(notices.News)
