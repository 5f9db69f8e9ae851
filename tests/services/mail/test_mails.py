"""An email is a row until a mail server accepts it, so it is sent once and not lost."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import count
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import select, update
from sqlalchemy.orm import Session as DatabaseSession

from jobs.mails import send_mails
from jobs.tasks import run_tasks
from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.audit import ErasedKind
from portal.models.mails import Mail
from portal.models.people import User
from portal.queue import notifier
from portal.services.core.unit_of_work import database_time, session, writing
from portal.services.erasure import erase
from portal.services.mail import mails, outgoing, sample_mail
from portal.services.mail.mailer import Letter, Step
from portal.services.mail.mails import TRIES, WAITS
from portal.services.operations import retention, sending
from tests.support.database.rivals import at_once
from tests.support.factories import Person, make_user
from tests.support.mail_server import MailServer, Session, set_up

pytestmark = pytest.mark.both_databases


def note(_current: DatabaseSession, _mail: Mail, zone: ZoneInfo) -> Letter:
    return Letter("Note", f"In {zone.key}")


def broken(*_: object) -> Letter:
    raise LookupError


NOTE = {"note": note, "silence": lambda *_: None, "broken": broken, mails.TEST: sample_mail.write}


@pytest.fixture
def server(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    with MailServer() as running:
        set_up(app, monkeypatch, smtp_url=running.url)
        yield running


def store(*people: Person, kind: str = "note") -> None:
    with writing() as current:
        for person in people:
            mails.write(current, kind, user_id=person.id)


def send() -> int:
    return outgoing.send_due(NOTE)


def rows() -> list[Mail]:
    db.session.rollback()
    return list(session().scalars(select(Mail).order_by(Mail.id)))


def waits() -> list[timedelta]:
    """Return how long each row still has to wait."""
    found = rows()
    now = database_time(session())
    return [mail.due_at - now for mail in found]


def let_time_pass() -> None:
    with writing() as current:
        current.execute(update(Mail).values(due_at=utcnow() - timedelta(seconds=1)))


def is_called() -> bool:
    """Return whether a job is queued."""
    return bool(notifier.notifier().ask(lambda redis: redis.exists(notifier.MAILS_QUEUED)))


def recipients(server: MailServer) -> list[str]:
    return [str(message["To"]) for message in server.messages]


def test_each_person_gets_an_email_in_their_own_time_zone_once(server: MailServer) -> None:
    store(make_user(email="ana@example.com", time_zone="Asia/Tokyo"), make_user(email="b@x.org"))
    assert send() == 2
    assert recipients(server) == ["ana@example.com", "b@x.org"]
    texts = [message.get_content().strip() for message in server.messages]
    assert texts == ["In Asia/Tokyo", "In Europe/Vienna"]
    assert rows() == []
    assert send() == 0


def test_only_a_committed_email_is_stored_and_calls_a_worker(
    server: MailServer,
) -> None:
    with suppress(ZeroDivisionError), writing() as current:
        mails.write(current, "note", user_id=make_user().id)
        current.info[0 / 0] = "an error of ours"
    assert (rows(), is_called()) == ([], False)
    sample_mail.start(make_user().actor)
    assert is_called()
    send_mails()
    assert not is_called()


def test_a_refused_mailbox_does_not_affect_the_others(server: MailServer) -> None:
    people = [make_user(email=f"{name}@example.com") for name in ("ana", "gone", "jörg", "ben")]
    store(*people)
    server.refused.add("gone@example.com")
    assert send() == 2
    assert recipients(server) == ["ana@example.com", "ben@example.com"]
    assert rows()[0].failed_with == "550 no such mailbox"
    assert send() == 0  # not retried at once
    server.refused.clear()
    let_time_pass()
    assert send() == 1
    assert recipients(server)[-1] == "gone@example.com"


def test_an_unknown_kind_blocks_no_other_and_waits_for_a_version_with_it(
    server: MailServer,
) -> None:
    store(make_user(email="ana@example.com"), kind="of_another_version")
    let_time_pass()
    store(make_user(email="ben@example.com"))
    assert send() == 1
    assert recipients(server) == ["ben@example.com"]
    for _ in range(TRIES):
        let_time_pass()
        assert send() == 0
    assert waits()[0] > timedelta(minutes=29)
    let_time_pass()
    assert outgoing.send_due({"of_another_version": note}) == 1


def test_an_email_that_cannot_be_written_blocks_no_other_and_is_shown_as_failed(
    server: MailServer,
) -> None:
    store(make_user(email="ana@example.com"), kind="broken")
    store(make_user(email=f"{'x' * 70}@=?utf-8?q?b=c3=bc?="))
    let_time_pass()
    store(make_user(email="ben@example.com"))
    assert send() == 1
    for _ in range(TRIES - 1):
        let_time_pass()
        assert send() == 0
    trouble = mails.find_trouble()
    assert trouble is not None
    assert (trouble.count, trouble.has_given_up) == (2, True)
    assert [mail.failed_step for mail in rows()] == [Step.TEXT, Step.RECIPIENT]
    assert {mail.tries for mail in rows()} == {TRIES}


def test_retries_come_after_1_5_30_minutes_and_2_hours_until_given_up(
    server: MailServer,
) -> None:
    store(make_user(email="gone@example.com"))
    server.refused.add("gone@example.com")
    minutes = []
    for _ in range(TRIES + 1):
        assert send() == 0
        minutes.append(round(waits()[0] / timedelta(minutes=1)))
        trouble = mails.find_trouble()
        assert trouble is not None
        assert trouble.has_given_up is (len(minutes) >= TRIES)
        let_time_pass()
    assert minutes[: len(WAITS)] == [1, 5, 30, 120]
    assert rows()[0].tries == TRIES
    assert (trouble.count, trouble.step, trouble.words) == (
        1,
        Step.RECIPIENT,
        "550 no such mailbox",
    )


def test_while_the_server_is_away_only_one_email_spends_a_try(
    server: MailServer, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(make_user(), make_user(), make_user())
    with MailServer() as gone:
        away = gone.url
    here = app.extensions["settings"].smtp_url
    set_up(app, monkeypatch, smtp_url=away)
    assert send() == 0
    assert [mail.tries for mail in rows()] == [1, 0, 0]
    assert all(timedelta(seconds=50) < wait < timedelta(minutes=1.1) for wait in waits())
    assert mails.find_trouble() == mails.Trouble(1, Step.CONNECT, "Connection refused", False)
    set_up(app, monkeypatch, smtp_url=here)
    let_time_pass()
    assert send() == 3
    assert mails.find_trouble() is None


def test_a_message_taken_without_an_answer_is_repeated_once_with_its_id(
    server: MailServer,
) -> None:
    store(make_user())
    server.odd_answers["DATA"] = Session.hang_up
    for _ in range(TRIES):
        send()
        let_time_pass()
    ids = [str(message["Message-ID"]) for message in server.messages]
    assert len(ids) == 2
    assert len(set(ids)) == 1
    assert ids[0].endswith("@example.com>")


def test_an_email_of_a_crashed_sender_is_sent_again_after_a_minute(
    server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(make_user())

    def die(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(outgoing, "_end", die)
        with pytest.raises(SystemExit):
            send()
    assert send() == 0
    assert timedelta(seconds=50) < waits()[0] <= timedelta(minutes=1)
    let_time_pass()
    assert send() == 1
    assert len({str(message["Message-ID"]) for message in server.messages}) == 1


def test_two_workers_send_each_email_once(server: MailServer, app: Flask) -> None:
    people = [make_user() for _ in range(6)]
    store(*people)
    assert sum(at_once(app, [send] * 2)) == 6
    assert sorted(recipients(server)) == sorted(person.email for person in people)


def test_no_transaction_is_open_while_the_mail_server_is_used(server: MailServer) -> None:
    store(make_user())
    current, seen = db.session(), list[bool]()

    def look(talk: Session) -> None:
        seen.append(current.in_transaction())
        talk.be_rude()

    server.odd_answers["MAIL"] = look
    assert send() == 0
    assert seen == [False]


def test_emails_that_are_not_sent_in_time_are_sent_by_the_next_run(
    server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(make_user(), make_user(), make_user())
    tens = count(0, 10)
    monkeypatch.setattr(outgoing, "monotonic", lambda: next(tens))
    assert [send() for _ in range(3)] == [2, 1, 0]


def test_a_pause_of_all_sending_delays_no_email(server: MailServer) -> None:
    person = make_user()
    sending.stop(person.actor)
    store(person)
    assert send() == 1


def test_no_email_goes_to_a_disabled_user_or_without_content(
    server: MailServer,
) -> None:
    store(make_user(is_active=False))
    store(make_user(), kind="silence")
    assert send() == 0
    assert (rows(), server.messages) == ([], [])


def test_without_a_mail_server_nothing_is_stored(app: Flask) -> None:
    store(make_user())
    assert rows() == []


def test_an_erasure_removes_a_persons_emails_and_their_name_from_others(
    server: MailServer,
) -> None:
    ana, ben = make_user(email="ana@example.com"), make_user()
    store(ana, ben)
    with writing() as current:
        current.execute(update(Mail).values(failed_with="550 ana@example.com is full"))
    version = session().scalars(select(User.version).where(User.id == ana.id)).one()
    erase.erase(ben.actor, ErasedKind.USER, ana.public_id, version, "ana@example.com")
    (left,) = rows()
    assert left.user_id == ben.id
    run_tasks()
    assert rows()[0].failed_with == "550 Erased person 1 is full"


def test_an_unsent_email_is_removed_after_a_week(server: MailServer) -> None:
    store(make_user(), make_user())
    with writing() as current:
        long_ago = utcnow() - mails.KEPT - timedelta(minutes=1)
        first = update(Mail).where(Mail.id == rows()[0].id)
        current.execute(first.values(created_at=long_ago))
    retention.prune()
    assert len(rows()) == 1


def test_a_test_is_tried_once_and_its_arrival_resends_given_up_emails(
    server: MailServer,
) -> None:
    ana, ben = make_user(), make_user()
    store(ben)
    with writing() as current:
        current.execute(update(Mail).values(tries=TRIES, failed_step="connect", failed_with="x"))
    server.odd_answers["MAIL"] = lambda talk: talk._say("550 we do not know you")
    sample_mail.start(ana.actor)
    assert sample_mail.last(ana.actor) == sample_mail.Outcome(None, None, "")
    assert send() == 0
    assert sample_mail.last(ana.actor) == sample_mail.Outcome(
        None, Step.SENDER, "550 we do not know you"
    )
    let_time_pass()
    assert send() == 0
    server.odd_answers.clear()
    sample_mail.start(ana.actor)
    assert send() == 2
    outcome = sample_mail.last(ana.actor)
    assert outcome is not None
    assert outcome.sent_at is not None
    assert recipients(server) == [ana.email, ben.email]
    assert mails.find_trouble() is None
    assert sample_mail.last(ben.actor) is None
