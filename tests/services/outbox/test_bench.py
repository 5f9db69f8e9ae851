"""A machine that others refute sends nothing, and knocks until it may: never the last one."""

from datetime import timedelta

import pytest
from sqlalchemy import delete, select, update

from jobs.processes.worker import keep_going
from portal.database.engine import database_now
from portal.engine.reasons import Reason
from portal.extensions import db
from portal.models.operations import Process, Reach
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import writing
from portal.services.outbox import reach
from portal.services.outbox.reach import Knock
from tests.jobs.dispatcher.delivery_clock import ended, only_delivery
from tests.services.dispatch.sending_machines import Machine, doubts, machines, unreached
from tests.support.factories import Hook, make_webhook, publish

pytestmark = pytest.mark.usefixtures("app")


def webhooks(count: int) -> list[Hook]:
    return [make_webhook() for _ in range(count)]


def benched() -> list[str]:
    """The machines on the bench."""
    db.session.rollback()
    wanted = select(Process.host).where(Process.benched_at.is_not(None)).order_by(Process.host)
    return list(db.session.scalars(wanted))


def let_it_be_refuted(first: Machine, second: Machine) -> None:
    """The first reaches nobody, and the second everybody."""
    publish()
    first.fail()
    second.deliver()
    first.knock(reached=False)


def go(machine: Machine) -> None:
    """Nobody has heard of it for a while."""
    with writing() as current:
        past = database_now(current.connection()) - timedelta(seconds=20)
        current.execute(update(Process).where(Process.host == machine.name).values(seen_at=past))


def make_knocks_due(seconds: float = -1, *hooks: Hook) -> None:
    """Of these, or of all, in so many seconds from now on."""
    ids = [each.id for each in hooks]
    with writing() as current:
        until = database_now(current.connection()) + timedelta(seconds=seconds)
        some = update(Reach).where(Reach.webhook_id.in_(ids)) if ids else update(Reach)
        current.execute(some.values(until=until))


def take_turns(machine: Machine) -> list[Knock]:
    with writing() as current:
        return list(reach.take_turns(current.connection(), machine.name))


@pytest.mark.parametrize(("count", "is_benched"), [(2, None), (3, True)])
def test_three_doubts_that_others_refuted_put_it_on_the_bench(
    count: int, is_benched: bool | None
) -> None:
    first, second = machines(2)
    webhooks(count)
    let_it_be_refuted(first, second)
    assert [each.refuted for each in doubts("m1")] == [True] * count
    assert first.judge() is is_benched
    assert benched() == (["m1"] if is_benched else [])


def test_on_the_bench_it_claims_nothing_and_all_of_its_processes_do_not() -> None:
    first, second = machines(2)
    webhooks(3)
    let_it_be_refuted(first, second)
    assert first.judge()
    make_webhook()
    publish()
    sibling = type(first.reach)("m1")
    with writing() as current:
        sibling.refresh(current.connection())
    assert not sibling.takes(4711)
    assert (first.claim(), first.reach.leaves_some) == ([], True)
    assert len(second.claim()) == 4


def test_it_comes_back_when_it_reaches_them_and_spends_nothing_for_it() -> None:
    first, second = machines(2)
    webhooks(3)
    let_it_be_refuted(first, second)
    assert first.judge() is True
    assert first.judge() is None
    first.knock(reached=True)
    assert doubts() == []
    assert first.judge() is False
    assert benched() == []
    publish()
    assert len(first.claim()) == 3


def test_the_last_one_is_never_on_the_bench() -> None:
    first, second = machines(2)
    webhooks(3)
    let_it_be_refuted(first, second)
    assert first.judge()
    go(second)
    assert first.judge() is False
    publish()
    assert len(first.claim()) == 3


def test_one_whose_others_have_gone_meanwhile_doubts_nobody() -> None:
    first, second = machines(2)
    webhooks(1)
    publish()
    claims = first.claim()
    go(second)
    first.write_down(*map(unreached, claims))
    assert (doubts(), only_delivery().tries) == ([], 1)


def test_of_two_that_each_refute_the_other_one_goes_on() -> None:
    first, second = machines(2)
    webhooks(3)
    let_it_be_refuted(first, second)
    with writing() as current:  # the other way round, at three other receivers
        now = database_now(current.connection())
        for hook in [make_webhook() for _ in range(3)]:
            values = {"since": now, "failed_at": now, "until": now, "pause": 5, "refuted": True}
            current.add(Reach(webhook_id=hook.id, machine="m2", **values))
    assert (first.judge(), second.judge()) == (True, None)
    assert benched() == ["m1"]


def test_a_common_outage_benches_nobody() -> None:
    first, second = machines(2)
    webhooks(5)
    publish()
    second.deliver()  # the last thing that arrived
    publish()
    first.fail()
    second.fail()
    for each in (first, second, first, second):
        each.knock(reached=False)
        assert each.judge() is None
    assert [each.refuted for each in doubts()] == [False] * 10


def test_what_arrived_before_it_began_to_doubt_refutes_nobody() -> None:
    first, second = machines(2)
    webhooks(3)
    publish()
    second.deliver()
    publish()
    first.fail()
    first.knock(reached=False)
    assert [each.refuted for each in doubts()] == [False] * 3


def test_what_was_under_way_when_an_outage_began_refutes_nobody() -> None:
    """It arrives right after the first failure; and then nobody reaches the receivers any more."""
    first, second = machines(2)
    webhooks(3)
    publish()
    before = second.claim()
    publish()
    first.fail()
    second.write_down(*map(ended, before))
    second.fail()
    first.knock(reached=False)
    assert first.judge() is None


def test_the_pause_between_two_knocks_grows_to_a_minute() -> None:
    first, _ = machines(2)
    webhooks(1)
    publish()
    first.fail()
    pauses = []
    for _ in range(7):
        pauses.append(doubts()[0].pause)
        first.knock(reached=False)
    assert pauses == [0, 5, 10, 20, 40, 60, 60]


def test_one_process_knocks_for_all_of_its_machine() -> None:
    first, _ = machines(2)
    (hook,) = webhooks(1)
    publish()
    first.fail()
    assert [each.webhook_id for each in take_turns(first)] == [hook.id]
    assert take_turns(first) == []
    make_knocks_due()
    assert [each.webhook_id for each in take_turns(first)] == [hook.id]


def test_who_is_not_due_yet_is_probed_only_beside_one_who_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, _ = machines(2)
    one, other, later = webhooks(3)
    publish()
    first.fail()
    monkeypatch.setattr(reach, "A_SECOND", timedelta(minutes=1))
    make_knocks_due(30)
    make_knocks_due(90, later)
    with writing() as current:  # what another one is to do now
        now = database_now(current.connection())
        values = {"since": now, "failed_at": now, "until": now, "pause": 5}
        current.add(Reach(webhook_id=later.id, machine="m2", **values))
    assert take_turns(first) == []
    make_knocks_due(-1, one)
    assert [each.webhook_id for each in take_turns(first)] == [one.id, other.id]


def test_doubts_of_a_machine_that_is_gone_go_after_an_hour() -> None:
    first, second = machines(2)
    webhooks(1)
    publish()
    first.fail(Reason.DNS)
    for has_process, hours, left in ((True, 2, 1), (False, 0, 1), (False, 2, 0)):
        with writing() as current:
            if not has_process:
                current.execute(delete(Process).where(Process.host == "m1"))
            past = database_now(current.connection()) - timedelta(hours=hours)
            current.execute(update(Reach).values(failed_at=past))
        keep_going()
        assert len(doubts()) == left
    assert second.judge() is None


def test_doubts_go_with_their_webhook() -> None:
    first, _ = machines(2)
    hook = make_webhook(state="draft")
    with writing() as current:
        reach.write_failures(
            current.connection(), first.name, [hook.id], database_now(current.connection())
        )
    with writing() as current:
        current.execute(delete(Webhook).where(Webhook.id == hook.id))
    assert doubts() == []
