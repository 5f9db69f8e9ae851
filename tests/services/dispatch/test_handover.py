"""Who could not connect gives back what it had, for another machine to bring; two judge."""

from typing import Any

import pytest
from sqlalchemy import delete, update

from portal.engine.reasons import Reason
from portal.engine.retry_policy import Outcome
from portal.extensions import db
from portal.models.deliveries import AttemptBody, Lease, Priority, Rollup
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import writing
from portal.services.operations import metrics
from portal.services.outbox import due
from tests.jobs.dispatcher.delivery_clock import (
    ask_for_retry,
    attempts,
    claim,
    ended,
    leases,
    make_due,
    only_delivery,
    webhook,
    write_down,
)
from tests.services.dispatch.sending_machines import Machine, doubts, machines, unreached
from tests.support.database.statements import asked
from tests.support.deliveries import make_delivery, stored
from tests.support.factories import Hook, make_webhook, publish

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.both_databases]

HEALTH = ("failures_in_row", "failing_since", "throttled", "pause", "not_before")
WELL = (0, None, False, 0, None)


def health(hook: Hook) -> tuple[Any, ...]:
    row = webhook(hook.id)
    return tuple(getattr(row, name) for name in HEALTH)


def without_number(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "attempts": None}


def test_the_first_gives_it_back_and_nothing_shows_it_but_its_attempt(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first, second = machines(2)
    hook = make_webhook()
    publish()
    before = stored(only_delivery().public_id)
    first.fail()
    after = stored(only_delivery().public_id)
    assert (without_number(after), after["attempts"]) == (without_number(before), 1)
    assert (leases(), health(hook), db.session.query(Rollup).all()) == ([], WELL, [])
    (given,) = attempts()
    assert (given.outcome, given.reason, given.sender) == ("unreached", "connect_timeout", "m1")
    assert given.finished_at is not None
    assert caplog.messages == [
        f"Could not connect to webhook {hook.public_id} for delivery {before['public_id']} "
        "(connect_timeout); another machine takes over."
    ]
    assert metrics.read_recent().attempts == {}
    assert [(each.webhook_id, each.machine) for each in doubts()] == [(hook.id, "m1")]
    second.deliver()
    row = only_delivery()
    assert (row.status, row.tries, row.attempts) == ("delivered", 1, 2)


def test_who_gave_it_back_leaves_it_to_the_other_at_once_and_says_so() -> None:
    first, second = machines(2)
    assert not any((first.reach.leaves_some, first.reach.is_doubting, first.reach.is_in_question))
    make_webhook()
    publish()
    first.fail()
    with writing() as current:
        connection = current.connection()
        wanted = due.find_wanted(connection).wanted
    assert [first.reach.takes(each.webhook_id) for each in wanted] == [False]
    assert (first.claim(), first.reach.leaves_some) == ([], True)
    assert len(second.claim()) == 1
    assert (first.claim(), first.reach.leaves_some, second.reach.leaves_some) == ([], False, False)


def test_when_the_second_cannot_either_it_is_the_receiver_as_ever() -> None:
    first, second = machines(2)
    hook = make_webhook()
    publish()
    first.fail()
    second.fail(Reason.REFUSED)
    row = only_delivery()
    assert (row.status, row.reason, row.tries, row.attempts) == ("retrying", "refused", 1, 2)
    assert [each.outcome for each in attempts()] == ["unreached", "failed"]
    assert health(hook)[0] == 1
    assert db.session.query(Rollup).one().failed_attempts == 1
    for each in (first, second):  # from then on each of them tries, and each failure counts
        make_due()
        with writing() as current:
            current.execute(update(Webhook).values(not_before=None))
        each.fail()
    assert (only_delivery().tries, health(hook)[0]) == (3, 3)
    assert first.judge() is second.judge() is None


def test_a_name_that_leads_astray_on_one_machine_is_the_other_ones_to_bring() -> None:
    first, second = machines(2)
    make_webhook()
    publish()
    first.fail(Reason.BLOCKED)
    second.deliver()
    assert [each.outcome for each in attempts()] == ["unreached", "delivered"]


def test_two_of_twenty_judge() -> None:
    all_of_them = machines(20)
    hook = make_webhook()
    publish()
    for number, each in enumerate(all_of_them[:2], 1):
        each.fail()
        assert len(attempts()) == number
    assert (only_delivery().tries, health(hook)[0]) == (1, 1)


def test_a_doubt_from_before_the_last_delivery_says_nothing_of_the_receiver() -> None:
    first, second, third = machines(3)
    make_webhook()
    publish()
    first.fail()
    second.deliver()
    publish()
    second.fail()
    assert [each.outcome for each in attempts()] == ["unreached", "delivered", "unreached"]
    third.deliver()


def test_nor_does_one_that_came_with_a_delivery_to_the_same_receiver() -> None:
    """Over a connection that was open the machine has just brought one, beside the one that needed
    another connection."""
    first, second, third = machines(3)
    make_webhook()
    publish(asset_id=1)
    publish(asset_id=2)
    brought, other = second.claim()
    second.write_down(ended(brought), unreached(other))
    first.fail()
    assert sorted(each.outcome for each in attempts()) == ["delivered", "unreached", "unreached"]
    third.deliver()


@pytest.mark.parametrize("silent", [0.0, 20.0])
def test_nobody_leaves_anything_to_a_machine_that_is_gone(silent: float) -> None:
    first = Machine("m1")
    Machine("m2", silent=silent)
    make_webhook()
    publish()
    first.fail()
    assert only_delivery().tries == int(silent > 0)


def test_one_machine_alone_counts_and_writes_as_ever() -> None:
    (alone,) = machines(1)
    hook = make_webhook()
    publish()
    alone.fail()
    assert (only_delivery().tries, health(hook)[0], doubts()) == (1, 1, [])
    assert [each.outcome for each in attempts()] == ["failed"]


def test_what_has_arrived_is_recorded_without_a_question_about_other_machines() -> None:
    first, _ = machines(2)
    make_webhook()
    publish()
    (arrived,) = first.claim()
    with asked(db.engine, about="process") as questions:
        first.write_down(ended(arrived))
    assert (questions, only_delivery().status) == ([], "delivered")


def test_a_persons_retry_is_the_same_retry_on_the_other_machine() -> None:
    first, second = machines(2)
    make_webhook()
    publish()
    write_down(ended(claim()[0], Reason.SERVER))
    ask_for_retry(only_delivery().id, "Ana", Priority.INTERACTIVE)
    before = stored(only_delivery().public_id)
    first.fail()
    after = stored(only_delivery().public_id)
    assert without_number(after) == without_number(before)
    (again,) = second.claim()
    assert (again.kind, again.actor, again.number) == ("manual", "Ana", 3)
    second.write_down(ended(again))
    assert only_delivery().status == "delivered"


def test_a_test_is_made_by_the_other_machine() -> None:
    first, second = machines(2)
    delivery = make_delivery(priority=Priority.TEST)
    first.fail()
    assert (stored(delivery)["status"], stored(delivery)["priority"]) == ("waiting", 0)
    (again,) = second.claim()
    assert again.kind == "test"
    second.write_down(unreached(again))
    assert stored(delivery)["status"] == "failed"


def test_the_head_of_a_queue_stays_its_head() -> None:
    first, second = machines(2)
    make_webhook(in_order=True)
    for number in range(3):
        publish(asset_id=number)
    heads = []
    first.fail()
    for _ in range(3):
        (head,) = second.claim()
        heads.append(head.delivery_id)
        second.write_down(ended(head))
    assert heads == sorted(heads)


def test_a_probe_of_a_receiver_in_trouble_is_made_by_the_other_machine() -> None:
    first, second = machines(2)
    hook = make_webhook()
    publish()
    write_down(ended(claim()[0], Reason.UNAVAILABLE))
    make_due()
    with writing() as current:
        current.execute(update(Webhook).values(not_before=None))
    before = health(hook)
    first.fail()
    assert (health(hook), only_delivery().tries) == (before, 1)
    second.deliver()
    assert health(hook) == WELL


def test_what_is_given_back_when_its_webhook_is_off_is_held() -> None:
    first, _ = machines(2)
    make_webhook()
    publish()
    (only,) = first.claim()
    with writing() as current:
        current.execute(update(Webhook).values(state="off"))
    first.write_down(unreached(only))
    assert (only_delivery().status, only_delivery().tries) == ("held", 0)


def test_a_batch_that_is_written_twice_gives_back_once() -> None:
    first, second = machines(2)
    make_webhook()
    publish()
    (only,) = first.claim()
    for _ in range(2):
        first.write_down(unreached(only))
    assert (only_delivery().attempts, len(attempts())) == (1, 1)
    (again,) = second.claim()
    first.write_down(unreached(only))  # and once more, while the other sends it
    assert [each.token for each in leases()] == [again.token]


def test_what_ran_out_meanwhile_has_its_attempt_say_how_it_ended() -> None:
    first, second = machines(2)
    make_webhook()
    publish()
    (late,) = first.claim()
    make_due()
    (newer,) = second.claim()
    first.write_down(unreached(late))
    assert [(each.outcome, each.sender) for each in attempts()] == [("unreached", "m1")]
    assert [each.token for each in leases()] == [newer.token]


def test_what_is_given_back_takes_no_number_that_a_late_attempt_has() -> None:
    first, _ = machines(2)
    make_webhook()
    publish()
    (lost,) = first.claim()
    with writing() as current:  # a crash of the database has taken the lease
        current.execute(delete(Lease))
    (again,) = first.claim()
    first.write_down(ended(lost, Reason.SERVER))
    first.write_down(unreached(again))
    assert [each.number for each in attempts()] == [1, 2]
    assert db.session.query(AttemptBody).count() == 2
    assert (only_delivery().attempts, only_delivery().status) == (2, "waiting")


def test_an_answer_ends_the_doubt() -> None:
    first, _ = machines(2)
    hook = make_webhook()
    publish()
    publish()
    one, other = first.claim()
    first.write_down(unreached(one))
    assert len(doubts()) == 1
    first.write_down(ended(other)._replace(outcome=Outcome(Reason.SERVER, 500)))
    assert doubts() == []
    assert first.reach.takes(hook.id)


def test_what_was_sent_to_an_earlier_address_says_nothing_of_the_present_one() -> None:
    first, _ = machines(2)
    make_webhook()
    publish()
    (only,) = first.claim()
    with writing() as current:
        current.execute(update(Webhook).values(version=Webhook.version + 1))
    first.write_down(unreached(only))
    assert (doubts(), only_delivery().tries) == ([], 1)


def test_what_is_no_longer_kept_says_nothing_of_its_receiver() -> None:
    first, _ = machines(2)
    make_webhook()
    publish()
    (only,) = first.claim()
    elsewhere = only.webhook._replace(id=only.webhook.id + 1)
    first.write_down(unreached(only._replace(delivery_id=0, webhook=elsewhere)))
    assert (doubts(), attempts(), only_delivery().tries) == ([], [], 0)


def test_a_bulk_retry_waits_for_the_machine_that_takes_over() -> None:
    first, second = machines(2)
    make_webhook()
    publish()
    write_down(ended(claim()[0], Reason.SERVER))
    ask_for_retry(only_delivery().id, "Ana", Priority.BULK)
    first.fail()
    assert only_delivery().prior_status == "retrying"
    second.deliver()
    assert only_delivery().status == "delivered"
