"""A dispatcher that could not connect gives back, leaves it to another machine, and has that one
hear."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Flask
from redis import Redis
from sqlalchemy import delete, event, update

from jobs.deliver import deliver_due, equip
from jobs.periodic import sweep
from portal.database.engine import database_now
from portal.engine.events.catalogue import EventName
from portal.extensions import settings
from portal.models.deliveries import Delivery, DeliveryStatus
from portal.models.operations import Process
from portal.queue.names import DELIVER_DUE
from portal.services.core.unit_of_work import writing
from portal.services.outbox.due import has_claimable
from portal.services.outbox.reach import own_reach
from tests.jobs.dispatcher.delivery_clock import attempts, only_delivery
from tests.jobs.dispatcher.running_sender import running_sender
from tests.jobs.dispatcher.test_dispatcher_life import queued
from tests.services.dispatch.sending_machines import Machine, doubts
from tests.support.factories import Hook, make_webhook, publish
from tests.support.ports import free_port
from tests.support.processes import until
from tests.support.receiver import Receiver
from tests.support.servers import ValkeyServer


@pytest.fixture
def other(app: Flask) -> Iterator[Machine]:
    """Another machine that sends; this process knows of it."""
    del app
    Machine(settings().machine)
    machine = Machine("m2")
    refresh()
    yield machine
    with writing() as current:
        current.execute(delete(Process))
    refresh()


def refresh() -> None:
    with writing() as current:
        own_reach.refresh(current.connection())
        own_reach.leaves_some = False


@pytest.fixture
def redis(valkey_server: ValkeyServer) -> Iterator[Redis]:
    with valkey_server.client() as client:
        yield client


@pytest.fixture
def unreached(other: Machine) -> Hook:
    """A webhook at whose address nobody listens, with a delivery."""
    del other
    hook = make_webhook(f"http://127.0.0.1:{free_port()}/")
    publish()
    return hook


def test_it_gives_back_and_the_other_machine_sends(
    app: Flask, other: Machine, unreached: Hook
) -> None:
    with running_sender(app):
        assert until(lambda: own_reach.leaves_some, 10)
        assert [each.outcome for each in attempts()] == ["unreached"]
        assert (only_delivery().status, only_delivery().tries) == ("waiting", 0)
        assert [each.webhook_id for each in doubts()] == [unreached.id]
        other.deliver()
    assert only_delivery().status == DeliveryStatus.DELIVERED


def test_when_the_other_is_gone_it_tries_again_and_the_failure_counts(
    app: Flask, other: Machine, unreached: Hook
) -> None:
    with running_sender(app):
        assert until(lambda: own_reach.leaves_some, 10)
        with writing() as current:
            current.execute(delete(Process).where(Process.host == other.name))
        refresh()
        assert until(lambda: only_delivery().tries > 0, 10)
    assert [each.outcome for each in attempts()] == ["unreached", "failed"]
    row = only_delivery()
    assert (row.status, row.tries, row.webhook_id) == ("retrying", 1, unreached.id)


def test_a_connect_that_lasts_keeps_it_from_claiming_more_there(
    app: Flask, other: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    del other
    with Receiver() as receiver:
        make_webhook(receiver.url)
        monkeypatch.setattr("portal.engine.http.transport.Transport.unheard", all_of_them)
        receiver.answer(delay=1.0)
        publish()
        with running_sender(app):
            receiver.wait_for(1)
            publish()
            assert until(lambda: own_reach.leaves_some, 5)
            assert len(receiver.received) == 1
            with writing() as current:
                values = {"status": "stopped", "finished_at": database_now(current.connection())}
                waiting = update(Delivery).where(Delivery.status == "waiting")
                current.execute(waiting.where(Delivery.attempts == 0).values(**values))


def test_while_it_may_be_the_one_in_trouble_it_sends_over_new_connections(
    app: Flask, other: Machine, receiver: Receiver
) -> None:
    """One that was open before may lead nowhere, and the request would wait for that long."""
    del app, other
    make_webhook(receiver.url, events=[EventName.LOST])
    for number in range(2):
        publish(EventName.LOST, asset_id=number + 1)
        deliver_due()
    assert receiver.connections_seen == 1
    nobody = make_webhook(f"http://127.0.0.1:{free_port()}/")
    with writing() as current:
        now = database_now(current.connection())
        own_reach.note_failures(current.connection(), {nobody.id: None}, now)
    for number in range(2):  # the second time it has heard of it
        publish(EventName.LOST, asset_id=number + 3)
        deliver_due()
    assert len(receiver.received) == 4
    assert receiver.connections_seen == 2


def all_of_them(transport: object, _seconds: float) -> list[object]:
    """Every request that is under way has waited long for its connection."""
    return [handle.key for handle in transport._busy.values()]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("host", "status"), [("localhost", "retrying"), ("127.0.0.1", "failed")])
def test_only_a_closed_address_in_figures_is_final_at_once(
    app: Flask, monkeypatch: pytest.MonkeyPatch, host: str, status: str
) -> None:
    nothing_open = replace(settings(), webhook_allowed_networks=())
    monkeypatch.setitem(app.extensions, "settings", nothing_open)
    make_webhook(f"http://{host}:81/")
    publish()
    deliver_due()
    assert (only_delivery().status, only_delivery().reason) == (status, "blocked")


def test_one_machine_alone_asks_for_nothing_more(app: Flask, receiver: Receiver) -> None:
    """Neither a claim nor a record says a word about reach."""
    Machine(settings().machine)
    refresh()
    said: list[str] = []
    event.listen(equip().engine, "before_cursor_execute", lambda *args: said.append(str(args[2])))
    make_webhook(receiver.url)
    make_webhook(f"http://127.0.0.1:{free_port()}/")
    for _ in range(3):
        publish()
    deliver_due()
    assert said
    own = [each for each in said if "reach" in each or "benched_at" in each]
    assert own == []
    assert doubts() == []


def test_the_sweep_notifies_for_what_this_machine_leaves_to_another(
    other: Machine, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    del other
    hook = make_webhook()
    publish()
    redis.flushall()  # whoever stored it has notified
    monkeypatch.setattr(own_reach, "connecting", {hook.id})
    assert not has_claimable()
    sweep()
    assert DELIVER_DUE in queued(redis)
