"""A sender that is cut from the receivers holds nobody up: another brings what it had, and System
names it. What nobody can reach is the receiver's trouble, as ever."""

import logging
from datetime import timedelta
from pathlib import Path
from time import monotonic

import pytest
from sqlalchemy import select

from portal.extensions import db
from portal.models.deliveries import Attempt, Delivery, Rollup
from portal.models.operations import Process, Reach
from portal.models.webhooks import Webhook
from portal.queue.names import DELIVERIES
from portal.services.core.heartbeats import worker_of
from tests.engine.http.real_receivers.name_server import NameServer
from tests.faults.healing.cable import RECEIVERS
from tests.faults.healing.two_senders import Senders, receiver_of_both, two_senders
from tests.faults.support.delivery_ledger import assert_ledger, settled
from tests.faults.support.durations import IS_FULL, PATIENCE, needs_tun
from tests.faults.support.machines import have_pumped
from tests.support.factories import make_webhook
from tests.support.processes import until
from tests.support.receiver import Receiver

log = logging.getLogger(__name__)

WEBHOOKS = 3
SECONDS = 30.0 if IS_FULL else 9.0
# From the cut until nobody waits any more: by then the cut machine has met each of the webhooks.
SETTLING = 3.0
AT_MOST, NAMED_WITHIN = 6.0 * PATIENCE, 10.0 * PATIENCE
NO_NAME = 4.0 * PATIENCE
# Of few saves beside other tests the slowest may be anything.
SOON = 1.0 if IS_FULL else AT_MOST
# The longer it was cut, the longer the pause between two bare probes.
BACK_WITHIN = 45.0 if IS_FULL else 30.0
SICK = {"sender_benched", "sender_unreached"}
WAYS = ("warm", "cold") if IS_FULL else ("warm",)

pytestmark = [pytest.mark.netns(addresses=[RECEIVERS]), needs_tun]


def know_of_each_other() -> bool:
    """Whether the first has looked around after the second had come."""
    db.session.rollback()
    is_sender = Process.kind == worker_of(DELIVERIES)
    rows = {each.host: each for each in db.session.scalars(select(Process).where(is_sender))}
    return len(rows) == 2 and rows["m1"].seen_at > rows["m2"].started_at + timedelta(seconds=1)


def warm_up(senders: Senders, receiver: Receiver) -> None:
    """Both machines have sent something, over connections that stay open, knowing of each other."""
    assert until(know_of_each_other, 15)
    receiver.answer(delay=0.3)  # one alone has not enough places

    def both_have() -> bool:
        for _ in range(5):
            senders.save()
        return have_pumped(*senders.portals)

    assert until(both_have, 30)
    receiver.calm()
    assert settled(20)


def everything(column: object) -> list[object]:
    db.session.rollback()
    return list(db.session.scalars(select(column)))  # type: ignore[call-overload]  # any column


@pytest.mark.parametrize("way", WAYS)
def test_the_other_machine_brings_what_a_cut_one_had_and_no_try_is_spent(
    tmp_path: Path, way: str
) -> None:
    with two_senders(tmp_path) as senders, receiver_of_both() as receiver:
        for number in range(WEBHOOKS):
            make_webhook(f"{receiver.url}{number}")
        warm_up(senders, receiver)
        if way == "cold":
            receiver.answer(headers=[("Connection", "close")])
        senders.cables[0].is_cut = True
        cut_at = monotonic()
        senders.save_for(SECONDS)
        assert until(lambda: len(senders.waits(receiver)) == WEBHOOKS * len(senders.saved), 15)
        waits = senders.waits(receiver)
        since = {key: senders.saved[key[0]] - cut_at for key in waits}
        all_after = [waits[key] for key, at in since.items() if at > 0]
        later = sorted((waits[key], at) for key, at in since.items() if at > SETTLING)
        slowest = ", ".join(f"{wait:.1f} s at {at:.0f} s" for wait, at in later[-6:])
        log.warning("later %s of %s, the slowest %.1f s", slowest, len(later), max(all_after))
        assert later[int(len(later) * 0.99) - 1][0] < SOON, later[-10:]
        assert max(all_after) < AT_MOST
        assert settled(20)
        assert set(everything(Delivery.status)) == {"delivered"}
        assert set(everything(Delivery.tries)) == {1}
        assert set(everything(Attempt.outcome)) == {"delivered", "unreached"}
        assert set(everything(Attempt.sender)) == {None, "m1"}
        assert set(everything(Webhook.failures_in_row)) == {0}
        assert set(everything(Rollup.failed_attempts)) == {0}
        left = cut_at + NAMED_WITHIN - monotonic()
        assert senders.named.keys() & SICK or until(lambda: senders.look() & SICK, left)
        first = min(at for each, at in senders.named.items() if each in SICK)
        assert first < cut_at + NAMED_WITHIN
        assert until(lambda: "sender_benched" in senders.look(), 10)
        senders.cables[0].is_cut = False
        assert until(lambda: not senders.look() & SICK, BACK_WITHIN)
        assert everything(Reach.machine) == []
        senders.save_for(1)
        assert settled(20)
        assert_ledger(receiver, WEBHOOKS * len(senders.saved))


@pytest.mark.skipif(not IS_FULL, reason="waits for a minute: FAULTS=full")
def test_what_nobody_reaches_counts_as_ever_and_benches_nobody(tmp_path: Path) -> None:
    with two_senders(tmp_path) as senders, receiver_of_both() as receiver:
        hooks = [make_webhook(f"{receiver.url}{number}") for number in range(WEBHOOKS)]
        warm_up(senders, receiver)
        receiver.stop()
        senders.save()
        assert until(lambda: min(failures()) > 0, 15), failures()
        assert set(everything(Attempt.outcome)) == {"delivered", "unreached", "failed"}
        receiver.start()
        assert settled(30)
        assert failures() == [0] * len(hooks)
        for cable in senders.cables:
            cable.is_cut = True
        senders.save()
        assert until(lambda: min(failures()) > 0, 20), failures()
        assert not senders.look() & SICK
        for cable in senders.cables:
            cable.is_cut = False
        assert settled(40)
        assert "sender_benched" not in senders.named
        assert_ledger(receiver, WEBHOOKS * len(senders.saved))


# Several servers that are silent: the system asks one after the other, for 12 seconds.
@pytest.mark.netns(addresses=[RECEIVERS], resolvers=[RECEIVERS] * 3)
def test_a_machine_whose_resolver_answers_nothing_delays_nobody_and_is_named(
    tmp_path: Path,
) -> None:
    names = {name: [RECEIVERS] for name in ("one.example.com", "two.example.com")}
    with (
        two_senders(tmp_path) as senders,
        receiver_of_both() as receiver,
        NameServer(names, host=RECEIVERS) as resolver,
    ):
        make_webhook(receiver.url)
        warm_up(senders, receiver)
        before = len(senders.saved)
        resolver.silent_to.add(senders.cables[0].far)
        for number, name in enumerate([*names] * WEBHOOKS):
            make_webhook(f"http://{name}:{receiver.port}/{number}")
        silent_at = monotonic()
        senders.save_for(SECONDS)
        assert settled(30)
        waits = [wait for (save, _), wait in senders.waits(receiver).items() if save > before]
        log.warning("the slowest of %s %.1f s, %s", len(waits), max(waits), senders.named)
        assert len(waits) == (2 * WEBHOOKS + 1) * (len(senders.saved) - before)
        assert max(waits) < NO_NAME
        assert set(everything(Delivery.tries)) == {1}
        left = silent_at + NAMED_WITHIN - monotonic()
        assert senders.named.keys() & SICK or until(lambda: senders.look() & SICK, left)
        assert min(senders.named.get(each, 1e9) for each in SICK) < silent_at + NAMED_WITHIN
        resolver.silent_to.clear()
        assert until(lambda: not senders.look() & SICK, BACK_WITHIN)


def failures() -> list[int]:
    """How many failures in a row each webhook has."""
    return [int(str(each)) for each in everything(Webhook.failures_in_row)]
