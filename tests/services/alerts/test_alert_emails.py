"""Alert emails: each new alert goes once to each address of its kind."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import insert, select, update

from jobs.periodic import look_for_alerts
from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.alerts import Alert, RunKind
from portal.models.assets import Asset
from portal.models.assignments import Assignment, Staff
from portal.models.mails import Mail
from portal.services.actions import assignments
from portal.services.alerts import emails
from portal.services.alerts import queries as alert_queries
from portal.services.alerts import runs as alert_runs
from portal.services.alerts import settings as alert_settings
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import session, writing
from portal.services.mail import outgoing
from portal.services.mail_kinds import KINDS
from tests.services.alerts.due_things import (
    decided,
    it_is_just_after_the_run,
    ledger,
    lent,
    with_maintenance,
    with_warranty,
    work,
)
from tests.support.database.rivals import Rival, at_once, meanwhile
from tests.support.factories import make_asset, make_staff, make_user
from tests.support.mail_server import MailServer, set_up

pytestmark = pytest.mark.both_databases
OFFICE, IT, BUYER = "office@example.com", "it@example.com", "buyer@example.com"


@pytest.fixture
def server(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    with MailServer() as running:
        set_up(app, monkeypatch, smtp_url=running.url)
        yield running


def wanted(**fields: Any) -> None:
    stored = alert_settings.read()
    values = replace(stored.emails, **fields)
    alert_settings.save(SYSTEM, stored.version, stored.rules, values)


def check() -> None:
    """Run a scheduled check and queue the emails about its alerts."""
    alert_runs.run(RunKind.SCHEDULED)
    emails.tell_new()


def send() -> int:
    return outgoing.send_due(KINDS)


def rows() -> list[Mail]:
    db.session.rollback()
    return list(session().scalars(select(Mail).order_by(Mail.id)))


def let_time_pass() -> None:
    with writing() as current:
        current.execute(update(Mail).values(due_at=utcnow() - timedelta(seconds=1)))


def subjects(server: MailServer) -> list[tuple[str, str]]:
    return sorted((str(message["To"]), str(message["Subject"])) for message in server.messages)


def text_of(message: EmailMessage) -> str:
    return str(message.get_content()).replace("\r\n", "\n")


def fire_many(count: int) -> None:
    """Insert this many new alerts about one asset."""
    asset_id = make_asset("Toner")
    details = {"quantity": 1, "min_quantity": 5}
    lines = [
        {
            "event": "alert.low_stock",
            "asset_id": asset_id,
            "matter": f"stock:{n}",
            "dedupe_key": f"stock:{n}",
            "details": details,
        }
        for n in range(count)
    ]
    with writing() as current:
        current.execute(insert(Alert), lines)


def test_each_address_gets_one_email_with_all_new_alerts_of_its_kinds(server: MailServer) -> None:
    decided()
    wanted(mail_overdue=[OFFICE], mail_warranty=[OFFICE, IT], mail_low_stock=[BUYER])
    late, soon = lent(3), with_warranty(10)
    with_maintenance(3)  # no address gets emails about maintenance
    check()
    assert send() == 2
    tag = ledger()[-1].asset.asset_tag
    assert subjects(server) == [
        (IT, f"Warranty ends soon: {tag} ThinkPad T14"),
        (OFFICE, "2 alerts: 1 overdue, 1 warranty ends soon"),
    ]
    (office,) = (message for message in server.messages if message["To"] == OFFICE)
    text = text_of(office)
    assert "Maria Lopez was due to return it by " in text
    for path in (f"/assets/{late}", f"/assets/{soon}", "/alerts"):
        assert f"{path}\n" in text
    assert "Europe/Vienna" in text
    assert office["Auto-Submitted"] == "auto-generated"
    assert [alert.mailed_to for alert in ledger()] == [[OFFICE], [], [OFFICE, IT]]
    check()
    assert (emails.tell_new(), send()) == (0, 0)


def test_an_alert_that_commits_late_is_in_the_next_email(app: Flask, server: MailServer) -> None:
    if db.engine.dialect.name == "sqlite":
        pytest.skip("one writer at a time: what has the lower number commits first")
    decided()
    wanted(mail_low_stock=[BUYER])

    def others() -> None:
        fire_many(1)
        emails.tell_new()

    asset_id = make_asset("Screws", kind="stock", quantity=9, min_quantity=5)
    with writing() as current:
        line = {"event": "alert.low_stock", "asset_id": asset_id, "matter": "m", "dedupe_key": "m"}
        current.execute(insert(Alert).values(details={"quantity": 4, "min_quantity": 5}, **line))
        Rival(app, others).pass_by()
    first, second = ledger()
    assert (first.mailed_at, second.mailed_at is not None) == (None, True)
    emails.tell_new()
    assert send() == 2
    names = [next(name for name in ("Toner", "Screws") if name in s) for _, s in subjects(server)]
    assert sorted(names) == ["Screws", "Toner"]


def test_concurrent_calls_email_each_alert_once(app: Flask, server: MailServer) -> None:
    decided()
    wanted(mail_low_stock=[BUYER, OFFICE])
    fire_many(20)
    assert sorted(at_once(app, [emails.tell_new] * 3)) == [0, 0, 20]
    assert send() == 2
    assert subjects(server) == [(to, "Low stock: 20 alerts") for to in (BUYER, OFFICE)]


def test_a_thousand_alerts_are_one_email_of_fifty_lines(server: MailServer) -> None:
    decided()
    wanted(mail_low_stock=[BUYER])
    fire_many(1_000)
    emails.tell_new()
    assert send() == 1
    (message,) = server.messages
    assert message["Subject"] == "Low stock: 1,000 alerts"
    assert text_of(message).count("1 left, threshold 5.") == 50
    assert "And 950 more alerts." in text_of(message)


def test_emails_wait_for_a_running_check_and_stay_one_email(server: MailServer) -> None:
    decided()
    wanted(mail_overdue=[OFFICE])
    lent(3)
    lent(4)
    now = utcnow()
    it_is_just_after_the_run(now)
    assert alert_runs.start_due(now)
    assert emails.tell_new() == 0
    work()
    look_for_alerts()
    assert send() == 1
    assert subjects(server) == [(OFFICE, "Overdue: 2 alerts")]


def test_an_email_resent_after_a_crash_keeps_its_text_and_message_id(
    server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    decided()
    wanted(mail_overdue=[OFFICE])
    lent(3)
    check()

    def die(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(outgoing, "_end", die)
        with pytest.raises(SystemExit):
            send()
    lent(4)
    check()  # a new alert gets its own email
    let_time_pass()
    assert send() == 2
    first, again, other = server.messages
    assert (first["Message-ID"], text_of(first)) == (again["Message-ID"], text_of(again))
    assert first["Message-ID"] != other["Message-ID"]


def test_ended_alerts_and_removed_addresses_are_left_out_of_emails(
    server: MailServer,
) -> None:
    decided()
    wanted(mail_overdue=[OFFICE, IT])
    back, still = lent(3), lent(4)
    check()
    assignments.check_in(SYSTEM, back)
    wanted(mail_overdue=[OFFICE])
    assert send() == 1
    assert f"/assets/{still}\n" in text_of(server.messages[0])
    assert f"/assets/{back}\n" not in text_of(server.messages[0])
    assert rows() == []


def test_no_email_before_the_first_answer_or_for_alerts_marked_as_sent(
    server: MailServer,
) -> None:
    wanted(mail_low_stock=[BUYER], mail_warranty=[BUYER])
    with_warranty(3)
    fire_many(1)
    assert emails.tell_new() == 0
    alert_runs.mark_as_sent(SYSTEM)
    work()
    assert (emails.tell_new(), send()) == (1, 1)
    assert "Low stock" in str(server.messages[0]["Subject"])


def test_alerts_fired_without_a_mail_server_are_not_emailed_later(
    app: Flask, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    decided()
    wanted(mail_overdue=[OFFICE])
    lent(3)
    with monkeypatch.context() as patch:
        set_up(app, patch, smtp_url="")
        check()
        assert [alert.mailed_to for alert in ledger()] == [[]]
    check()
    assert (send(), alert_settings.read().emails.mail_overdue) == (0, [OFFICE])


def test_a_disabled_users_address_gets_no_email_and_is_not_counted(server: MailServer) -> None:
    decided()
    wanted(mail_overdue=[make_user(email=IT, is_active=False).email, OFFICE])
    lent(3)
    check()
    assert send() == 1
    assert ([to for to, _ in subjects(server)], ledger()[0].mailed_to) == ([OFFICE], [OFFICE])


def test_a_concurrently_erased_address_gets_no_email(app: Flask, server: MailServer) -> None:
    decided()
    wanted(mail_overdue=[OFFICE])
    lent(3)
    alert_runs.run(RunKind.SCHEDULED)
    emailed = meanwhile(
        app, emails.tell_new, lambda current: alert_settings.forget_addresses(current, [OFFICE])
    )
    assert (emailed, rows()) == (1, [])


def test_line_breaks_in_a_name_add_no_headers_or_lines(server: MailServer) -> None:
    decided()
    wanted(mail_warranty=[OFFICE])
    asset_id = with_warranty(10)
    with writing() as current:
        name = "Drill\r\nBcc: thief@example.com\r\n\r\nOverdue"
        current.execute(update(Asset).where(Asset.id == asset_id).values(name=name))
    check()
    assert send() == 1
    (message,) = server.messages
    assert message["Bcc"] is None
    assert str(message["Subject"]).endswith("Drill Bcc: thief@example.com Overdue")
    assert "Drill Bcc: thief@example.com Overdue\n" in text_of(message)


def hold(staff_id: int, *asset_ids: int) -> None:
    """Make this person the holder of the assets."""
    with writing() as current:
        theirs = update(Assignment).where(Assignment.asset_id.in_(asset_ids))
        current.execute(theirs.values(staff_id=staff_id))


def test_a_holder_is_reminded_of_all_overdue_assets_if_enabled(server: MailServer) -> None:
    decided()
    late = [lent(3), lent(4)]
    hold(make_staff("Maria\nLopez", email="maria@example.com"), *late)
    check()
    assert send() == 0  # reminders are off by default
    wanted(remind_holder=True, holder_text="Bring it to\n\nroom 12.")
    other = lent(5)
    hold(make_staff("Finn Berg", email="finn@example.com"), other)
    more = [lent(3), lent(4)]
    hold(make_staff("Ana Gruber", email="ana@example.com"), *more)
    check()
    assert send() == 2
    tags = {alert.asset_id: alert.asset.asset_tag for alert in ledger()}
    assert subjects(server) == [
        ("ana@example.com", "Overdue: 2 assets"),
        ("finn@example.com", f"Overdue: {tags[other]} ThinkPad T14"),
    ]
    text = text_of(server.messages[1])
    assert text.startswith("Ana Gruber, you have 2 overdue assets:\n")
    assert "Bring it to room 12.\n" in text
    assert all(tags[asset_id] in text for asset_id in more)
    assert "http" not in text  # a holder may have no account
    assert "later due date" not in text  # the email names no one to ask for it
    assert [alert.is_holder_told for alert in ledger()] == [False, False, True, True, True]


def test_a_run_records_how_many_addresses_and_holders_it_emailed(
    server: MailServer,
) -> None:
    decided()
    wanted(mail_overdue=[OFFICE, IT], mail_warranty=[OFFICE, BUYER], remind_holder=True)
    late = [lent(3), lent(4)]
    hold(make_staff("Ana Gruber", email="ana@example.com"), *late)
    lent(5)
    alert_runs.run(RunKind.MANUAL)
    with_warranty(10)
    alert_runs.run(RunKind.MANUAL)
    fire_many(1)  # fired by a change, not by a check
    alert_runs.run(RunKind.MANUAL)
    emails.tell_new()
    by_run = [(run.mailed_to, run.holders_told) for run in reversed(alert_queries.runs())]
    assert by_run == [(2, 2), (2, 0), (0, 0)]


def test_a_former_holder_is_not_recorded_as_reminded(server: MailServer) -> None:
    decided()
    wanted(remind_holder=True)
    gone = make_staff("Gone", email="gone@example.com")
    hold(gone, lent(3))
    with writing() as current:
        current.execute(update(Staff).where(Staff.id == gone).values(is_active=False))
    check()
    assert (rows(), ledger()[0].is_holder_told) == ([], False)


def test_no_reminder_goes_to_former_staff_or_after_a_check_in(server: MailServer) -> None:
    decided()
    wanted(remind_holder=True)
    back, kept = lent(3), lent(4)
    gone = make_staff("Gone", email="gone@example.com")
    hold(gone, kept)
    check()
    with writing() as current:
        current.execute(update(Staff).where(Staff.id == gone).values(is_active=False))
    assignments.check_in(SYSTEM, back)
    assert (send(), rows()) == (0, [])
