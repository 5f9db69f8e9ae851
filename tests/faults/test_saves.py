"""A Save that was answered is stored. An unanswered one is stored whole or not at all."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile

import pytest
import requests
from sqlalchemy import func, select

from portal.extensions import db
from portal.models.assets import Asset
from portal.models.deliveries import Event
from tests.faults.support.database_locks import database_locked
from tests.faults.support.delivery_ledger import assert_ledger, deliveries_to, settled
from tests.faults.support.load import look_again
from tests.faults.support.running_portal import VALKEY, WEB, RunningPortal
from tests.faults.support.visitor import Draft, Visitor
from tests.support.factories import make_webhook
from tests.support.processes import until
from tests.support.receiver import Receiver


@pytest.fixture
def visitor(portal: RunningPortal) -> Iterator[Visitor]:
    visiting = Visitor(portal)
    yield visiting
    visiting.close()


def stored(name: str) -> tuple[int, int]:
    """Return the numbers of assets and of events with this name."""
    look_again()
    assets = select(func.count(Asset.id)).where(Asset.name == name)
    events = select(func.count(Event.id)).where(Event.asset_name == name)
    return db.session.execute(assets).scalar_one(), db.session.execute(events).scalar_one()


def is_hung_up_on(visitor: Visitor, draft: Draft) -> bool:
    """Return whether the portal closed the connection without an answer."""
    try:
        visitor.send(draft)
    except requests.ConnectionError:
        return True
    return False


def test_a_save_killed_before_its_commit_leaves_nothing(
    portal: RunningPortal, receiver: Receiver, visitor: Visitor
) -> None:
    make_webhook(receiver.url)
    draft = visitor.draft("Killed before")
    with ThreadPoolExecutor(1) as pool:
        with database_locked(portal):
            pressed = pool.submit(is_hung_up_on, visitor, draft)
            time.sleep(0.5)  # it is waiting for the database now
            portal.kill(WEB)
        assert pressed.result(timeout=10)
    assert until(portal.serves)
    assert stored("Killed before") == (0, 0)
    assert not deliveries_to(receiver)
    assert visitor.insist(draft)
    assert stored("Killed before") == (1, 1)
    assert settled(15)
    assert_ledger(receiver, 1)


def test_a_save_killed_after_its_commit_is_stored_whole(
    portal: RunningPortal, receiver: Receiver, visitor: Visitor
) -> None:
    make_webhook(receiver.url)
    names = (f"Killed after {number}" for number in range(10))
    saved = list(takewhile(lambda name: not killed_in_time(portal, visitor, name), names))
    assert len(saved) < 10, "each was answered before the kill"
    assert settled(15)
    assert_ledger(receiver, len(saved) + 1)


def killed_in_time(portal: RunningPortal, visitor: Visitor, name: str) -> bool:
    """Save, kill the web server, and send the same form again. Return whether the kill came between
    commit and answer."""
    draft = visitor.draft(name)
    with ThreadPoolExecutor(1) as pool, portal.hanging(VALKEY):
        # The notification waits half a second between the commit and the answer.
        pressed = pool.submit(is_hung_up_on, visitor, draft)
        assert until(lambda: stored(name) == (1, 1), 20)
        portal.kill(WEB)
        in_time = pressed.result(timeout=20)
    assert until(portal.serves)
    assert visitor.insist(draft)
    assert stored(name) == (1, 1), "the same form, sent again, made another one"
    return in_time


@pytest.mark.parametrize("running_portal", ["sqlite"], indirect=True)
def test_repeated_saves_are_stored_once_while_the_web_server_restarts(
    portal: RunningPortal, receiver: Receiver, visitor: Visitor
) -> None:
    make_webhook(receiver.url)
    drafts = [visitor.draft(f"Insisted {number}") for number in range(40)]
    killer = threading.Thread(target=kill_the_web_twice, args=(portal,))
    killer.start()
    for draft in drafts:
        assert visitor.insist(draft)
        time.sleep(0.05)
    killer.join(timeout=20)
    assert [stored(draft.name) for draft in drafts] == [(1, 1)] * len(drafts)
    assert settled(15)
    assert_ledger(receiver, len(drafts))


def kill_the_web_twice(portal: RunningPortal) -> None:
    for _ in range(2):
        time.sleep(0.4)
        if until(lambda: len(portal.pids_of(WEB)) == 3, 10):
            portal.kill(WEB)
