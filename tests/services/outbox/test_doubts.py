"""What a machine notes of receivers that it cannot reach, and what is drawn from that."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select, update

from portal.database.engine import database_now
from portal.engine.reach import LONG_PATIENCE, SHORT_PATIENCE, WARY_PATIENCE
from portal.extensions import db
from portal.models.operations import Process, Reach
from portal.queue.names import BACKGROUND, DELIVERIES
from portal.services.core.heartbeats import WEB, worker_of
from portal.services.core.unit_of_work import writing
from portal.services.outbox import reach
from portal.services.outbox.reach import Machines, RefutedDoubts
from tests.jobs.dispatcher.delivery_clock import ended
from tests.services.dispatch.sending_machines import doubts, machines, unreached
from tests.support.factories import make_webhook, publish

pytestmark = pytest.mark.usefixtures("app")

MINUTE = timedelta(minutes=1)


def now() -> datetime:
    with writing() as current:
        return database_now(current.connection())


def doubt(machine: str, *, since: datetime, refuted: bool = True) -> int:
    """It cannot reach a receiver, of which another one has heard if it was `refuted`."""
    hook = make_webhook()
    with writing() as current:
        values = {"failed_at": since, "until": since, "pause": 5, "refuted": refuted}
        current.add(Reach(webhook_id=hook.id, machine=machine, since=since, **values))
    return hook.id


def test_of_more_than_it_can_knock_at_those_go_first_whose_turn_came_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reach, "PROBES_AT_ONCE", 2)
    at = now()
    last, first, second = (doubt("m1", since=at - number * MINUTE) for number in (1, 3, 2))
    began = now()
    with writing() as current:
        turns = [
            [each.webhook_id for each in reach.take_turns(current.connection(), "m1")]
            for _ in range(3)
        ]
    assert turns == [[first, second], [last], []]
    turn = timedelta(seconds=15)  # in which no other process of the machine takes them
    assert all(began <= each.until - turn <= now() for each in doubts())


def test_what_was_refuted_once_stays_so_when_others_fail_there_as_well() -> None:
    first, second = machines(2)
    make_webhook()
    publish()
    first.fail()
    second.deliver()
    first.knock(reached=False)
    assert [each.refuted for each in doubts("m1")] == [True]
    publish()
    second.fail()
    first.knock(reached=False)
    assert [each.refuted for each in doubts("m1")] == [True]


def test_a_knock_that_fails_is_the_latest_failure_and_not_the_first() -> None:
    first, _ = machines(2)
    make_webhook()
    publish()
    first.fail()
    long_ago = now() - 10 * MINUTE
    with writing() as current:
        current.execute(update(Reach).values(since=long_ago, failed_at=long_ago, until=long_ago))
    first.knock(reached=False)
    (known,) = doubts("m1")
    assert known.since == long_ago
    assert known.failed_at > long_ago + 5 * MINUTE
    assert known.until - known.failed_at == timedelta(seconds=known.pause)


def test_another_delivery_that_fails_leaves_the_beginning_and_the_turn_as_they_were() -> None:
    machines(2)
    hook = make_webhook()
    begin = now() - 10 * MINUTE
    for at in (begin, begin + MINUTE):
        with writing() as current:
            reach.write_failures(current.connection(), "m1", [hook.id], at)
    (known,) = doubts()
    assert (known.since, known.failed_at) == (begin, begin + MINUTE)
    assert (known.until, known.pause) == (begin, 0)


def test_what_was_refuted_of_others_puts_nobody_on_the_bench() -> None:
    first, second = machines(2)
    at = now()
    for machine, count in (("m1", 2), ("m2", 1), ("m3", 5)):
        for _ in range(count):
            doubt(machine, since=at)
    assert (first.judge(), second.judge()) == (None, None)


def test_on_the_bench_are_the_processes_that_send_and_no_others() -> None:
    first, _ = machines(2)
    kind = worker_of(BACKGROUND)
    with writing() as current:
        at = database_now(current.connection())
        other = Process(name=f"{kind} m1", kind=kind, host="m1", pid=2, started_at=at, seen_at=at)
        current.add(other)
    for _ in range(3):
        doubt("m1", since=at)
    assert first.judge()
    db.session.rollback()
    benched = select(Process.kind).where(Process.benched_at.is_not(None))
    assert list(db.session.scalars(benched)) == ["worker deliveries"]


def test_a_machine_is_where_a_process_that_sends_was_heard_of_in_the_last_fifteen_seconds() -> None:
    at, sends, runs = now(), worker_of(DELIVERIES), [uuid4() for _ in range(8)]
    rows = [
        ("m1", sends, 0.0, None),
        ("m1", sends, 14.0, None),
        ("m1", WEB, 0.0, None),
        ("m2", sends, 0.0, at),
        ("m2", sends, 0.0, None),
        ("m3", sends, 15.0, None),
        ("m4", worker_of(BACKGROUND), 0.0, at),
        ("m5", sends, 1.0, None),
    ]
    with writing() as current:
        for number, (host, kind, ago, benched_at) in enumerate(rows):
            seen = {"started_at": at, "seen_at": at - timedelta(seconds=ago)}
            values = {"host": host, "benched_at": benched_at, "run": runs[number], **seen}
            current.add(Process(name=f"{kind} {number}", kind=kind, **values))
        current.add(Process(name="of an earlier release", kind=sends, host="m6", **seen))
        current.flush()
        found = reach.find_machines(current.connection(), at)
    on = frozenset({runs[0], runs[1], runs[7]})
    assert found == Machines(frozenset({"m1", "m2", "m5", "m6"}), frozenset({"m2"}), on)
    assert found.others_than("m1") == {"m5", "m6"}


def test_a_machine_is_told_of_with_its_first_doubt_and_how_many_were_refuted() -> None:
    at = now()
    doubt("m2", since=at - 3 * MINUTE)
    doubt("m1", since=at - MINUTE)
    doubt("m1", since=at - 2 * MINUTE)
    doubt("m1", since=at - 9 * MINUTE, refuted=False)
    with writing() as current:
        found = reach.find_refuted(current.connection())
    assert found == [
        RefutedDoubts("m1", at - 2 * MINUTE, 2),
        RefutedDoubts("m2", at - 3 * MINUTE, 1),
    ]


def test_after_a_further_failure_it_still_knows_whom_it_doubted_before() -> None:
    first, _ = machines(2)
    hooks = [make_webhook(), make_webhook()]
    publish()
    publish()
    claims = first.claim()
    of_one, of_other = ([each for each in claims if each.webhook.id == hook.id] for hook in hooks)
    first.write_down(unreached(of_one[0]))
    first.write_down(unreached(of_other[0]))
    patience = [first.reach.patience_with(each.id, throttled=False) for each in hooks]
    assert patience == [LONG_PATIENCE] * 2
    begun = [each.since for each in doubts("m1")]
    first.write_down(unreached(of_other[1]))
    assert [each.since for each in doubts("m1")] == begun
    first.write_down(ended(of_one[1]))
    assert [each.webhook_id for each in doubts("m1")] == [hooks[1].id]


def test_it_takes_back_what_it_left_as_soon_as_both_have_failed_there() -> None:
    first, second = machines(2)
    hook = make_webhook()
    publish()
    publish()
    one, other = first.claim()
    first.write_down(unreached(one))
    assert not first.reach.takes(hook.id)
    second.fail()
    first.write_down(unreached(other))
    assert first.reach.takes(hook.id)


def test_what_answered_before_it_left_anything_to_others_is_not_heard_of_since() -> None:
    first, second = machines(2)
    down, well = make_webhook(), make_webhook()
    for _ in range(2):
        publish()
    claims = first.claim()
    of_one = [each for each in claims if each.webhook.id == down.id]
    of_other = [each for each in claims if each.webhook.id == well.id]
    first.write_down(unreached(of_one[0]), ended(of_other[0]))
    second.fail()
    first.look()  # nothing is left to anybody now
    first.write_down(unreached(of_one[1]), ended(of_other[1]))
    second.knock(reached=True)
    first.look()
    assert not first.reach.takes(down.id)
    assert first.reach.is_wary_of(well.id)


def test_what_it_has_heard_of_is_forgotten_once_it_leaves_nothing_to_others() -> None:
    first, second = machines(2)
    down, well = make_webhook(), make_webhook()
    for _ in range(2):
        publish()
    claims = first.claim()
    of_one = [each for each in claims if each.webhook.id == down.id]
    first.write_down(unreached(of_one[0]))
    first.write_down(*(ended(each) for each in claims if each.webhook.id == well.id))
    assert not first.reach.is_wary_of(well.id)
    second.fail()
    first.look()  # nothing is left to anybody now
    first.write_down(unreached(of_one[1]))
    second.knock(reached=True)
    first.look()
    assert first.reach.is_wary_of(well.id)


def test_who_leaves_one_to_another_machine_is_wary_of_all_it_has_not_heard_of_since() -> None:
    first, second = machines(2)
    make_webhook()
    make_webhook()
    publish()
    lost, mine = first.claim()
    one, other = lost.webhook, mine.webhook
    usual = first.reach.patience_with(other.id, throttled=False)
    assert (usual, first.reach.is_wary_of(other.id)) == (SHORT_PATIENCE, False)
    first.write_down(unreached(lost))
    assert first.reach.is_wary_of(other.id)
    assert first.reach.patience_with(other.id, throttled=False) == WARY_PATIENCE
    second.look()
    assert [second.reach.is_wary_of(each.id) for each in (one, other)] == [False, False]
    assert second.reach.patience_with(one.id, throttled=False) == LONG_PATIENCE
    first.write_down(ended(mine))
    first.look()
    assert not first.reach.is_wary_of(other.id)
    assert first.reach.is_wary_of(make_webhook().id)
    first.knock(reached=True)
    first.look()
    assert not first.reach.is_wary_of(make_webhook().id)


def test_nobody_is_wary_where_the_other_machine_cannot_either() -> None:
    first, second = machines(2)
    make_webhook()
    publish()
    first.fail()
    second.fail()
    first.look()
    assert not first.reach.is_wary_of(make_webhook().id)
