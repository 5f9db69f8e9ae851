"""A sender with a failing dispatcher or database pauses and starts again."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from itertools import pairwise

import pytest
from flask import Flask
from sqlalchemy import Connection, event
from sqlalchemy.exc import ProgrammingError

from jobs.deliver import equip
from jobs.dispatcher import thread
from jobs.dispatcher.loop import Dispatcher
from jobs.dispatcher.thread import Sender
from jobs.stop_flag import stop
from portal.lib.clock import utcnow
from portal.services.core.heartbeats import own_process
from tests.jobs.dispatcher.delivery_clock import attempts, leases, only_delivery
from tests.jobs.dispatcher.running_sender import running_sender
from tests.jobs.outage import refused
from tests.support.deliveries import lease, make_delivery
from tests.support.factories import make_webhook, publish
from tests.support.processes import until
from tests.support.receiver import Receiver

pytestmark = pytest.mark.both_databases

LONG = 10.0  # seconds, enough for a slow machine
IsStopping = Callable[[], bool]


def sender_of(app: Flask, work: Callable[[IsStopping], Dispatcher]) -> Sender:
    return Sender(app, work, equip().wake, equip().engine)


@contextmanager
def tried() -> Iterator[list[None]]:
    """Yield a list with an item for each transaction begun."""
    engine, found = equip().engine, list[None]()

    def note(_connection: Connection) -> None:
        found.append(None)

    event.listen(engine, "begin", note)
    try:
        yield found
    finally:
        event.remove(engine, "begin", note)


def test_the_pause_doubles_after_each_further_internal_error(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread, "FIRST_PAUSE", 0.2)
    monkeypatch.setattr(thread, "LONGEST_PAUSE", 0.4)
    begun: list[float] = []

    def fail(_is_stopping: IsStopping) -> Dispatcher:
        begun.append(time.monotonic())
        raise RuntimeError("the lamp is broken")

    with running_sender(app, sender_of(app, fail)):
        assert until(lambda: len(begun) >= 4, LONG)
    rests = [later - earlier for earlier, later in pairwise(begun)]
    assert all(rest >= least for rest, least in zip(rests, (0.2, 0.4, 0.4), strict=False))


def test_a_database_error_other_than_an_outage_loses_nothing(
    app: Flask, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread, "FIRST_PAUSE", 0.01)
    engine, refusals = equip().engine, [None]

    def refuse(_connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if refusals and "INSERT INTO attempts" in statement:
            refusals.pop()
            raise ProgrammingError(statement, {}, ValueError("no such column"))

    event.listen(engine, "before_cursor_execute", refuse)
    try:
        make_webhook(receiver.url)
        publish()
        with running_sender(app):
            assert until(lambda: only_delivery().status == "delivered", LONG)
    finally:
        event.remove(engine, "before_cursor_execute", refuse)
    assert refusals == []
    assert len(receiver.received) == 2
    assert [attempt.outcome for attempt in attempts()] == ["interrupted", "delivered"]


def test_no_dispatcher_starts_before_the_heartbeat_is_stored(app: Flask) -> None:
    begun = list[None]()

    def work(_is_stopping: IsStopping) -> Dispatcher:
        begun.append(None)
        stop.wait()
        raise RuntimeError("the lamp is broken")

    with ExitStack() as outage, tried() as tries:
        outage.enter_context(refused())
        with running_sender(app, sender_of(app, work)) as sender:
            assert until(lambda: len(tries) >= 2 and sender.progress.last is None, LONG), "it rests"
            assert begun == []
        begun.clear()  # a stopping sender doesn't wait for the database
        with running_sender(app, sender_of(app, work)):
            assert until(lambda: len(tries) >= 4, LONG)
            outage.close()
            assert until(lambda: len(begun) == 1, LONG)


def test_leases_of_a_failed_dispatcher_end_once_the_database_is_back(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread, "FIRST_PAUSE", 0.01)
    begun, outage = list[None](), ExitStack()

    def work(_is_stopping: IsStopping) -> Dispatcher:
        begun.append(None)
        if len(begun) == 1:
            lease(make_delivery(), 3600, run=own_process())
            outage.enter_context(refused())
        else:
            stop.wait()
        raise RuntimeError("the lamp is broken")

    with outage, running_sender(app, sender_of(app, work)) as sender, tried() as tries:
        assert until(lambda: len(tries) >= 4 and sender.progress.last is None, LONG), "it rests"
        assert (len(begun), len(leases())) == (1, 1)
        outage.close()
        assert until(lambda: len(begun) == 2, LONG)
        (left,) = leases()
        assert left.until <= utcnow() + timedelta(minutes=1)
