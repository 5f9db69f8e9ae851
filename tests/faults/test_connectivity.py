"""A sender that is cut off spends no attempt and delays no other sender. A receiver that is down
fails as usual."""

import logging
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic

import pytest

from portal.lib.clock import utcnow
from portal.services.operations.findings import NO_RECEIVER
from tests.engine.http.real_receivers.name_server import NameServer
from tests.faults.healing.cable import RECEIVERS
from tests.faults.support.connected_site import HOSTS, Site, connected_site
from tests.faults.support.delivery_ledger import settled
from tests.faults.support.durations import IS_FULL, PATIENCE, needs_tun
from tests.faults.support.load import look_again
from tests.support.factories import make_webhook
from tests.support.processes import until
from tests.support.receiver import Receiver

log = logging.getLogger(__name__)

AWAY = float(os.environ.get("AWAY_SECONDS") or (60 if IS_FULL else 12))
SECONDS = 30.0 if IS_FULL else 12.0  # during which one of two machines is cut off
NAMED_WITHIN = 10.0 * PATIENCE
BACK_WITHIN = 5.0 * PATIENCE
SOON = 1.0 * PATIENCE  # for deliveries that the fault doesn't affect
TAKEN_OVER = 10.0  # seconds until another machine has delivered the cut one's share
# From the end of one machine's attempt to the next attempt by another one. The rules allow two
# seconds to find out whose failure it is, a pause, and a poll.
PAUSE = 5.0
AGAIN = 2.0 + PAUSE + 0.5
NAMES = {f"r{number}.example.com": [host] for number, host in enumerate(HOSTS[:3])}
SHARED = {"a.example.com": [HOSTS[1]], "b.example.com": [HOSTS[1]]}

pytestmark = [
    # A silent resolver is asked again, and then the next one.
    pytest.mark.netns(addresses=HOSTS, resolvers=[RECEIVERS] * 3),
    pytest.mark.timeout(300 + AWAY),
    needs_tun,
]
Case = Callable[[Site], None]


def moment(finished_at: datetime | None) -> datetime:
    assert finished_at is not None
    return finished_at


def urls(receivers: list[Receiver]) -> list[str]:
    return [receiver.url for receiver in receivers]


def assert_back(site: Site, back_at: float) -> None:
    """Assert that everything is sent soon after the return and no machine is named as offline."""
    assert settled(BACK_WITHIN), site.failures()
    log.warning("all sent %.1f s after the return", monotonic() - back_at)
    assert until(lambda: not site.look(), BACK_WITHIN), site.look()


def cut_from_all_for_a_while(site: Site) -> None:
    site.connect(urls(site.receivers))
    site.cables[0].is_cut = True
    cut_at = monotonic()
    site.save_for(AWAY, min(2.0, 120 / AWAY))
    assert min(site.offline.values()) < cut_at + NAMED_WITHIN
    assert site.look() == [NO_RECEIVER]
    site.cables[0].is_cut = False
    assert_back(site, monotonic())
    assert site.failures() == []
    assert len(site.waits()) == len(HOSTS) * len(site.saved)


def two_processes_are_cut_from_two_hosts(site: Site) -> None:
    site.add_process()
    site.connect(urls(site.receivers[:2]))
    site.warm_up()
    site.cables[0].is_cut = True
    site.save_for(4)
    assert until(lambda: len(site.look()) == 1, NAMED_WITHIN), site.look()
    site.cables[0].is_cut = False
    assert_back(site, monotonic())
    assert site.failures() == []


def names_are_not_resolved_for_a_while(site: Site) -> None:
    """Use one webhook with an IP address and three with names. Their last deliveries succeeded
    longer ago than names are cached."""
    site.connect([site.receivers[3].url])
    with NameServer(NAMES, host=RECEIVERS) as resolver:
        resolver.silent_to.add(site.cables[0].far)
        for name, receiver in zip(NAMES, site.receivers, strict=False):
            make_webhook(f"http://{name}:{receiver.port}/", last_delivered_at=utcnow())
        silent_at = monotonic()
        site.save_for(6)
        assert max(site.waits(site.receivers[3]).values()) < SOON
        left = max(0.1, silent_at + NAMED_WITHIN - monotonic())
        assert until(lambda: bool(site.look()), left)
        assert HOSTS[3] not in site.look()[0]
        resolver.silent_to.clear()
        assert_back(site, monotonic())
    assert site.failures() == []


def a_receiver_is_down(site: Site) -> None:
    site.connect(urls(site.receivers))
    site.receivers[0].stop()
    site.save_for(3)
    assert until(lambda: bool(site.failures()), 10)
    assert max(site.waits(*site.receivers[1:]).values()) < SOON
    assert not site.offline
    site.receivers[0].start()
    assert settled(20)


def three_of_four_receivers_are_down(site: Site) -> None:
    site.connect(urls(site.receivers))
    for receiver in site.receivers[:3]:
        receiver.stop()
    site.save_for(4)
    assert until(lambda: len(site.waits(site.receivers[3])) == len(site.saved), 5)
    assert max(site.waits(site.receivers[3]).values()) < SOON
    for receiver in site.receivers[:3]:
        receiver.start()
    assert settled(20)


def the_only_host_is_down(site: Site) -> None:
    """Check that a single host can't show whose fault it is, even with two names."""
    with NameServer(SHARED, host=RECEIVERS):
        port = site.receivers[1].port
        for shared in ([site.receivers[1].url], [f"http://{name}:{port}/" for name in SHARED]):
            site.connect(shared)
            site.receivers[1].stop()
            site.save()
            assert until(lambda: bool(site.failures()), 10)
            assert not site.look()
            site.receivers[1].start()
            assert settled(20)


def a_captive_portal_answers_for_everybody(site: Site) -> None:
    site.connect(urls(site.receivers))
    for receiver in site.receivers:
        receiver.answer(302, headers=[("Location", "http://sign-in.example/")])
    site.save_for(2)
    assert until(lambda: len(site.failures()) >= len(HOSTS), 10)
    assert not site.offline
    for receiver in site.receivers:
        receiver.calm()
    assert settled(30)


def one_of_two_machines_is_cut_from_all(site: Site) -> None:
    site.connect(urls(site.receivers))
    site.warm_up()
    site.cables[0].is_cut = True
    cut_at = monotonic()
    site.save_for(SECONDS)
    left = max(0.1, cut_at + SECONDS + TAKEN_OVER - monotonic())
    assert until(lambda: len(site.waits()) == len(HOSTS) * len(site.saved), left)
    waits = {key: wait for key, wait in site.waits().items() if site.saved[key[0]] > cut_at}
    later = sorted(wait for key, wait in waits.items() if site.saved[key[0]] > cut_at + TAKEN_OVER)
    assert max(waits.values()) < TAKEN_OVER
    log.warning("the slowest %.2f s, and later %.2f s", max(waits.values()), later[-1])
    assert later[int(len(later) * 0.99) - 1] < SOON
    assert min(site.offline.values()) < cut_at + NAMED_WITHIN
    site.cables[0].is_cut = False
    assert_back(site, monotonic())
    assert site.failures() == []


def one_of_two_machines_is_cut_from_one_receiver(site: Site) -> None:
    """Read durations from the attempts, which don't wait for the test's processor."""
    site.connect(urls(site.receivers))
    site.warm_up()
    lost = site.first_of_own("m1")
    site.cables[0].lost = {lost.host}
    cut_at = monotonic()
    site.save_for(SECONDS)
    while not settled(0.5):
        assert monotonic() < cut_at + 5 * SECONDS, site.failures()
        site.save()  # or the other machine would only look at the pace of its slow polls
    others = site.waits(*(receiver for receiver in site.receivers if receiver is not lost))
    assert max(wait for (number, _), wait in others.items() if site.saved[number] > cut_at) < SOON
    assert not site.offline
    assert set(site.failures()) == {1}
    tried = [attempts for attempts in site.attempts(lost) if len(attempts) > 1]
    known_at = min(moment(first.finished_at) for first, _ in tried)
    again_at = min(second.started_at for _, second in tried)
    again = (again_at - known_at).total_seconds()
    slowest = max((second.started_at - moment(first.finished_at)) for first, second in tried)
    log.warning("%s tried twice, again after %.2f s, the slowest %s", len(tried), again, slowest)
    assert all(first.started_at < known_at + timedelta(seconds=SOON) for first, _ in tried)
    assert again < AGAIN + SOON
    # A failure of a request in flight at the same time can begin another pause.
    assert slowest.total_seconds() < AGAIN + PAUSE + SOON


def names_are_not_resolved_for_one_of_two_machines(site: Site) -> None:
    """Use names that neither machine has looked up before."""
    site.connect([site.receivers[3].url])
    with NameServer(NAMES, host=RECEIVERS) as resolver:
        resolver.silent_to.add(site.cables[0].far)
        for name, receiver in zip(NAMES, site.receivers, strict=False):
            make_webhook(f"http://{name}:{receiver.port}/", last_delivered_at=utcnow())
        silent_at = monotonic()
        site.save_for(SECONDS)
        assert settled(TAKEN_OVER)
        waits = sorted(site.waits().items(), key=lambda each: each[1])
        later = [wait for (number, _), wait in waits if site.saved[number] > silent_at + TAKEN_OVER]
        log.warning("the slowest %.2f s, and later %.2f s", waits[-1][1], later[-1])
        assert waits[-1][1] < TAKEN_OVER
        assert later[-1] < SOON
        assert max(site.waits(site.receivers[3]).values()) < SOON
        assert min(site.offline.values()) < silent_at + NAMED_WITHIN
    assert site.failures() == []


ALONE = (
    cut_from_all_for_a_while,
    names_are_not_resolved_for_a_while,
    a_receiver_is_down,
    three_of_four_receivers_are_down,
    the_only_host_is_down,
    a_captive_portal_answers_for_everybody,
    two_processes_are_cut_from_two_hosts,  # must be last, because the second process stays
)
TWO = (
    one_of_two_machines_is_cut_from_all,
    one_of_two_machines_is_cut_from_one_receiver,
    names_are_not_resolved_for_one_of_two_machines,
)


@pytest.mark.parametrize(("machines", "cases"), [(1, ALONE), (2, TWO)], ids=["alone", "two"])
def test_a_fault_of_the_sender_spends_no_attempt(
    tmp_path: Path, machines: int, cases: tuple[Case, ...]
) -> None:
    with connected_site(tmp_path, machines) as site:
        for case in cases:
            began = monotonic()
            case(site)
            look_again()  # end the transaction before the next case
            log.warning("%s took %.1f s", case.__name__, monotonic() - began)
