"""Two machines share the work whatever their clocks say, and one can work without the other."""

from collections.abc import Iterator

import pytest

from portal.extensions import db
from tests.faults.support.delivery_ledger import assert_ledger, deliveries_to, given_up_on, settled
from tests.faults.support.durations import IS_FULL
from tests.faults.support.load import burst, has_received, within
from tests.faults.support.machines import environment_of_machine, have_pumped
from tests.faults.support.running_portal import SENDERS, RunningPortal
from tests.support.factories import make_webhook, publish
from tests.support.processes import until
from tests.support.receiver import Receiver
from tests.support.servers import PostgresServer
from tests.support.valkey import PrivateValkey

# The case with clocks hours apart is the harder one.
SHIFTS = {"four_hours_apart": 7200, "in_step": 0} if IS_FULL else {"four_hours_apart": 7200}
Machines = tuple[RunningPortal, RunningPortal]


@pytest.fixture(scope="module", params=SHIFTS.values(), ids=SHIFTS.keys())
def running_machines(
    request: pytest.FixtureRequest,
    postgres_server: PostgresServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Machines]:
    folder, database = tmp_path_factory.mktemp("machines"), postgres_server.new_database()
    valkey = PrivateValkey(folder / "valkey")
    valkey.start()
    running: list[RunningPortal] = []
    try:
        for name, shift in (("one", request.param), ("two", -request.param)):
            place = folder / name
            place.mkdir()
            machine = environment_of_machine(place / "instance", database, valkey.url, shift)
            running.append(RunningPortal(place, machine, SENDERS))
            assert running[-1].starts(), running[-1].process.output.read_text()
        yield running[0], running[1]
    finally:
        for portal in running:
            portal.close()
        valkey.close()


@pytest.fixture
def machines(running_machines: Machines) -> Iterator[Machines]:
    for portal in running_machines:
        assert until(portal.is_whole, 20), portal.process.output.read_text()
    with running_machines[0].app.app_context():
        yield running_machines
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def portal(machines: Machines) -> RunningPortal:
    return machines[0]


def test_two_machines_share_the_work_and_send_nothing_twice(
    machines: Machines, receiver: Receiver
) -> None:
    accepted = burst(receiver, 25, webhooks=10, delay=0.2)
    assert settled(30)
    assert have_pumped(*machines)
    assert_ledger(receiver, accepted)
    late = given_up_on(receiver)
    assert len(receiver.received) == accepted + late
    assert sum(delivery.attempts for delivery in deliveries_to(receiver)) == accepted + late


@pytest.mark.usefixtures("machines")
def test_a_retry_comes_at_the_due_time_on_the_database_clock(receiver: Receiver) -> None:
    receiver.answer_next(500)
    make_webhook(receiver.url)
    publish()
    first, second = receiver.wait_for(2, 40)
    assert 1.7 <= second.at - first.at < 30
    assert settled(30)
    assert_ledger(receiver, 1)


def test_deliveries_of_a_dead_machine_are_sent_by_the_other_one(
    machines: Machines, receiver: Receiver
) -> None:
    """This test must be last, because nothing restarts a killed supervisor."""
    accepted = burst(receiver, 25, webhooks=10, delay=0.2)
    assert has_received(receiver, 60)
    machines[1].process.process.kill()  # its processes die with it
    with within(machines[0].settings.lease_seconds + 20):
        assert settled(30)
    assert_ledger(receiver, accepted)
