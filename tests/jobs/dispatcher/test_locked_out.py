"""A sender that the database lets do nothing waits as well, and burns no processor."""

import time

import pytest
from flask import Flask

from jobs.deliver import deliver_due, equip
from jobs.dispatcher import loop
from tests.jobs.dispatcher.running_sender import running_sender
from tests.jobs.outage import refused
from tests.support.processes import until

pytestmark = pytest.mark.both_databases

MOST = 60  # rounds in a second, in which it looks twenty times at most


def test_while_the_database_takes_nothing_it_goes_round_as_often_as_it_looks(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "POLL_EVERY", 0.05)
    monkeypatch.setattr(loop, "POLL_SHARE", 0)
    transport, rounds = equip().transport, []
    drive = transport.drive

    def count(patience: float) -> object:
        rounds.append(patience)
        return drive(patience)

    with running_sender(app):
        deliver_due()  # it has begun
        with refused():
            time.sleep(0.3)
            monkeypatch.setattr(transport, "drive", count)
            assert until(lambda: bool(rounds))
            rounds.clear()
            began = time.monotonic()
            time.sleep(0.5)
            most, many = MOST * (time.monotonic() - began), len(rounds)
            monkeypatch.undo()
    assert many <= most
