"""What a dispatcher gives back: of what it claimed too late, and of what its end cut off."""

from uuid import uuid4

import pytest
from sqlalchemy import Connection, event

from jobs.deliver import equip
from jobs.dispatcher.database_executor import DatabaseExecutor
from jobs.dispatcher.database_writer import DatabaseWriter
from jobs.dispatcher.returns import Returns
from portal.services.dispatch.claim_types import Claim
from tests.jobs.dispatcher.delivery_clock import attempts, claim, deliveries, leases, only_delivery
from tests.jobs.outage import refused
from tests.support.factories import make_webhook, publish

pytestmark = pytest.mark.both_databases


def claims(count: int) -> list[Claim]:
    make_webhook()
    for _ in range(count):
        publish()
    return claim()


def test_what_was_not_sent_is_given_back_once_the_database_takes_it(
    writer: DatabaseWriter, executor: DatabaseExecutor
) -> None:
    returns, (only,) = Returns(writer, executor), claims(1)
    assert not returns.give_back(beside=False)
    returns.add([only])
    with refused():
        assert not returns.give_back(beside=False)
    assert (returns.tokens, returns.is_empty) == ({only.token}, False)
    assert [returns.give_back(beside=False) for _ in range(2)] == [True, False]
    assert (returns.tokens, returns.is_empty) == (set(), True)
    assert (leases(), attempts(), only_delivery().attempts) == ([], [], 0)


def test_what_is_added_while_the_database_is_at_it_is_given_back_next(
    writer: DatabaseWriter,
) -> None:
    executor = DatabaseExecutor(lambda: None, works_beside=True)
    returns, (first, second) = Returns(writer, executor), claims(2)
    returns.add([first])
    assert not returns.give_back(beside=True)
    returns.add([second])
    assert not returns.give_back(beside=True)
    assert returns.tokens == {first.token, second.token}
    left = [{second.token}, set()]
    for tokens in left:
        executor.poll(20)
        assert returns.tokens == tokens
        assert returns.give_back(beside=True)
    executor.close()
    assert leases() == []


def test_at_the_end_what_was_cut_off_leaves_an_attempt_and_what_was_not_sent_none(
    writer: DatabaseWriter, executor: DatabaseExecutor
) -> None:
    returns, (sent, unsent) = Returns(writer, executor), claims(2)
    returns.add([unsent])
    returns.finish([sent], until=0.0)  # no time is left
    assert len(leases()) == 2
    returns.finish([sent], until=float("inf"))
    assert leases() == []
    assert [(each.delivery_id, each.outcome) for each in attempts()] == [
        (sent.delivery_id, "interrupted")
    ]
    assert [each.tries for each in deliveries()] == [0, 0]
    nobodys = unsent._replace(token=uuid4())
    returns.finish([nobodys], until=float("inf"))
    assert len(attempts()) == 1


@pytest.mark.parametrize("is_sent", [True, False])
def test_at_the_end_either_alone_is_given_back(
    writer: DatabaseWriter, executor: DatabaseExecutor, is_sent: bool
) -> None:
    returns, (only,) = Returns(writer, executor), claims(1)
    returns.add([] if is_sent else [only])
    returns.finish([only] if is_sent else [], until=float("inf"))
    assert (leases(), len(attempts())) == ([], int(is_sent))


def test_at_the_end_nothing_is_asked_of_the_database_for_nothing(
    writer: DatabaseWriter, executor: DatabaseExecutor
) -> None:
    begun = list[Connection]()
    note = begun.append
    event.listen(equip().engine, "begin", note)
    try:
        Returns(writer, executor).finish([], until=float("inf"))
    finally:
        event.remove(equip().engine, "begin", note)
    assert begun == []
