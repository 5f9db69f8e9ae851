"""A machine comes back by knocking: nothing is sent, and no try is spent."""

import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import trustme
from flask import Flask
from sqlalchemy import Connection, delete, update

from jobs.dispatcher import prober as prober_module
from jobs.dispatcher.prober import Prober, _door
from portal.database.engine import database_now
from portal.engine.http.bare_probe import Door
from portal.engine.reach import LONG_PATIENCE, SHORT_PATIENCE
from portal.extensions import db, settings
from portal.models.operations import Process, Reach
from portal.models.webhooks import Webhook, WebhookKind
from portal.services.core.unit_of_work import writing
from portal.services.outbox import reach
from portal.services.outbox.reach import Knock, OwnReach
from portal.services.webhooks.rows import inbox_url, opening
from tests.engine.http.real_receivers.hostile import HostileServer, Visit
from tests.jobs.dispatcher.delivery_clock import attempts
from tests.jobs.outage import refused
from tests.services.dispatch.sending_machines import Machine, doubts
from tests.support.database.statements import asked
from tests.support.factories import make_webhook
from tests.support.ports import free_port
from tests.support.processes import until
from tests.support.receiver import Receiver

SECOND = timedelta(seconds=1)


@pytest.fixture
def prober(app: Flask) -> Iterator[Prober]:
    """Of the machine m1; another lives."""
    for name in ("m1", "m2"):
        Machine(name)
    prober = Prober(app, OwnReach("m1"))
    prober.look(db.engine)
    yield prober
    prober.close()
    with writing() as current:
        current.execute(delete(Process))


def doubt(*urls: str) -> None:
    """m1 could not connect to these a minute ago."""
    doubt_these([make_webhook(each).id for each in urls])


def doubt_these(ids: list[int]) -> None:
    with writing() as current:
        connection = current.connection()
        now = database_now(connection)
        reach.write_failures(connection, "m1", ids, now - 60 * SECOND)


def others_deliver() -> None:
    with writing() as current:
        now = database_now(current.connection())
        current.execute(update(Webhook).values(last_delivered_at=now))


def make_due() -> None:
    with writing() as current:
        current.execute(update(Reach).values(until=database_now(current.connection()) - SECOND))


def nowhere() -> str:
    return f"http://127.0.0.1:{free_port()}/"


def asked_by_a_beat(prober: Prober) -> list[str]:
    with asked(db.engine) as statements:
        prober.look(db.engine)
    return [each for each in statements if "BEGIN" not in each]


def test_a_beat_of_a_machine_that_is_well_asks_little(prober: Prober) -> None:
    assert len(asked_by_a_beat(prober)) == 3, "the time, who else lives, and whom anybody doubts"


def test_a_beat_of_a_machine_that_is_alone_asks_less(app: Flask) -> None:
    Machine("m1")
    prober = Prober(app, OwnReach("m1"))
    assert len(asked_by_a_beat(prober)) == 2, "the time, and who else lives"
    prober.close()


def test_it_forgets_whom_it_reaches_and_sends_them_nothing(
    prober: Prober, receiver: Receiver
) -> None:
    doubt(receiver.url, nowhere())
    prober.go_round()
    (left,) = doubts()
    assert (left.pause, left.refuted, receiver.received) == (5, False, [])
    assert until(lambda: receiver.connections_seen == 1, 5)
    prober.go_round()
    assert doubts()[0].pause == 5, "its time has not come"
    assert attempts() == []


def test_it_benches_its_machine_and_takes_it_back(
    prober: Prober, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    doubt(*(nowhere() for _ in range(3)))
    others_deliver()
    prober.go_round()
    assert [each.refuted for each in doubts()] == [True] * 3
    assert caplog.messages == ["m1 cannot reach receivers: it sends nothing until it can."]
    assert not prober._reach.takes(4711)
    prober.look(db.engine)
    with refused(db.engine):
        prober.look(db.engine)
    assert len(caplog.messages) == 1, "nothing has changed, or it was not found out"
    with writing() as current:
        current.execute(update(Webhook).values(url=receiver.url))
    make_due()
    prober.go_round()
    assert doubts() == []
    assert caplog.messages[1:] == ["m1 sends again."]
    assert prober._reach.takes(4711)


def test_beside_the_dispatcher_it_goes_round_by_itself_and_knocks_at_the_inbox_as_well(
    prober: Prober,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever becomes of one round."""
    take_turns, errors = reach.take_turns, iter([RuntimeError("the lamp is broken")])

    def fail_once(connection: Connection, machine: str) -> Sequence[Knock]:
        for error in errors:
            raise error
        return take_turns(connection, machine)

    monkeypatch.setattr(reach, "take_turns", fail_once)
    monkeypatch.setattr(prober_module, "LOOK_EVERY", 0.02)
    doubt(receiver.url)
    inbox = make_webhook("", kind="inbox").id
    doubt_these([inbox])
    prober.look(db.engine)
    prober.begin()
    # Nothing listens at our own address in tests.
    assert until(lambda: [(each.webhook_id, each.pause) for each in doubts()] == [(inbox, 5)], 10)
    assert caplog.messages == ["Nobody was knocked at."]
    assert "the lamp is broken" in caplog.text


def test_a_round_that_is_under_way_ends_before_it_is_closed(app: Flask) -> None:
    Machine("m1")
    Machine("m2")
    has_come, may_answer = threading.Event(), threading.Event()

    def keep_waiting(_visit: Visit) -> None:
        has_come.set()
        may_answer.wait(10)

    prober = Prober(app, OwnReach("m1"))
    with HostileServer(keep_waiting) as server:
        doubt(server.url.replace("http:", "https:"))  # nobody speaks TLS there
        prober.look(db.engine)
        prober.begin()
        assert has_come.wait(10)
        threading.Timer(0.2, may_answer.set).start()
        prober.close()
        assert "prober" not in {each.name for each in threading.enumerate()}


def test_it_waits_longer_at_a_door_at_which_it_has_knocked_before(app: Flask) -> None:
    del app
    id_ = uuid4()
    doors = [
        _door(Knock(7, pause, id_, kind, "http://x/"))
        for kind in (WebhookKind.HTTP, WebhookKind.INBOX)
        for pause in (0, 5)
    ]
    own = inbox_url(id_)
    assert doors == [
        Door(7, "http://x/", None, SHORT_PATIENCE),
        Door(7, "http://x/", None, LONG_PATIENCE),
        Door(7, own, opening(), SHORT_PATIENCE),
        Door(7, own, opening(), LONG_PATIENCE),
    ]
    assert opening()


def test_nobody_is_knocked_at_while_the_database_takes_nothing_and_nothing_is_left_at_the_end(
    app: Flask, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "authority.pem"
    trustme.CA().cert_pem.write_to_path(bundle)
    changed = replace(settings(), webhook_ca_bundle=str(bundle))
    monkeypatch.setitem(app.extensions, "settings", changed)
    for name in ("m1", "m2"):
        Machine(name)
    doubt(receiver.url)
    prober = Prober(app, OwnReach("m1"))
    prober.look(db.engine)
    with refused(prober._engine):
        prober.go_round()
    assert (receiver.connections_seen, len(doubts())) == (0, 1)
    prober.go_round()
    assert doubts() == []
    joined = Path(prober._probes._trust.ca_file)
    assert bundle.read_text() in joined.read_text()
    assert prober._engine.pool.checkedin() == 1  # type: ignore[attr-defined]
    prober.close()
    assert not joined.exists()
    assert prober._engine.pool.checkedin() == 0  # type: ignore[attr-defined]
