"""A rolling restart under load fails no page, loses nothing, and repeats nothing."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from tests.faults.support.delivery_ledger import assert_ledger, given_up_on, settled
from tests.faults.support.durations import IS_FULL
from tests.faults.support.running_portal import (
    BACKGROUND,
    SCHEDULER,
    VALKEY,
    WEB,
    WORKER,
    RunningPortal,
)
from tests.faults.support.visitor import Visitor
from tests.support.factories import make_webhook
from tests.support.processes import is_alive, until
from tests.support.receiver import Receiver

pytestmark = pytest.mark.parametrize(
    "running_portal", ["sqlite", "postgres"] if IS_FULL else ["postgres"], indirect=True
)


class Saver(threading.Thread):
    """A thread that adds assets in turn and collects failures."""

    def __init__(self, portal: RunningPortal, name: str) -> None:
        super().__init__(daemon=True)
        self._visitor, self._name = Visitor(portal), name
        self._home_time = threading.Event()
        self.saved, self.failures = 0, list[str]()

    def run(self) -> None:
        while not self._home_time.wait(0.02):
            try:
                answer = self._visitor.send(self._visitor.draft(f"{self._name} {self.saved}"))
                assert answer.status_code == 302, answer.text
                self.saved += 1
            except (AssertionError, requests.RequestException) as error:
                self.failures.append(repr(error))

    def go_home(self) -> None:
        self._home_time.set()
        self.join(timeout=30)
        self._visitor.close()


@contextmanager
def people_at_work(portal: RunningPortal) -> Iterator[list[Saver]]:
    savers = [Saver(portal, name) for name in ("Ana", "Ben")]
    for saver in savers:
        saver.start()
    try:
        yield savers
    finally:
        for saver in savers:
            saver.go_home()


def restart(portal: RunningPortal, words: str) -> None:
    """Send SIGTERM to the process and wait until its supervisor has restarted it."""
    pid = portal.kill(words, signal.SIGTERM)
    assert until(lambda: not is_alive(pid) and portal.is_whole(), 30), words


def reload_web(portal: RunningPortal) -> None:
    """Reload as `systemctl reload` does. New processes answer before the old ones end."""
    master, *old = portal.pids_of(WEB)
    os.kill(master, signal.SIGHUP)
    assert until(lambda: not any(map(is_alive, old)) and portal.is_whole(), 40)


def test_a_rolling_restart_fails_no_page_and_repeats_nothing(
    portal: RunningPortal, receiver: Receiver
) -> None:
    receiver.answer(delay=0.1)
    make_webhook(receiver.url)
    with people_at_work(portal) as savers:
        for words in (SCHEDULER, BACKGROUND, WORKER):
            restart(portal, words)
        reload_web(portal)
        if portal.settings.uses_embedded_valkey:
            restart(portal, VALKEY)
        enough = [saver.saved + 3 for saver in savers]
        assert until(lambda: all(s.saved >= n for s, n in zip(savers, enough, strict=True)), 20)
    assert [failure for saver in savers for failure in saver.failures] == []
    assert settled(30)
    accepted = sum(saver.saved for saver in savers)
    assert_ledger(receiver, accepted)
    assert len(receiver.received) == accepted + given_up_on(receiver)
