"""Of machines that judge themselves at once one goes on, and one process probes for all of them."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from portal.database.engine import database_now
from portal.models.operations import Process, Reach
from portal.services.core.unit_of_work import session, writing
from tests.services.dispatch.sending_machines import machines
from tests.services.outbox.test_bench import (
    benched,
    let_it_be_refuted,
    make_knocks_due,
    take_turns,
    webhooks,
)
from tests.support.database.rivals import Rival, meanwhile

pytestmark = pytest.mark.both_databases


def test_not_all_machines_sit_down_at_once(app: Flask) -> None:
    first, second = machines(2)
    webhooks(3)
    let_it_be_refuted(first, second)

    def sit_down(current: Session) -> None:
        now = database_now(current.connection())
        theirs = update(Process).where(Process.host == second.name)
        current.execute(theirs.values(benched_at=now))

    assert meanwhile(app, first.judge, sit_down) is None
    assert benched() == [second.name]


def test_a_pause_grows_from_the_one_that_another_process_has_stored(app: Flask) -> None:
    first, second = machines(2)
    webhooks(1)
    let_it_be_refuted(first, second)

    def wait_longer(current: Session) -> None:
        current.execute(update(Reach).values(pause=16))

    meanwhile(app, lambda: first.knock(reached=False), wait_longer)
    assert session().scalars(select(Reach.pause)).all() == [32]


def test_whom_another_process_probes_is_not_probed(app: Flask) -> None:
    first, second = machines(2)
    webhooks(2)
    let_it_be_refuted(first, second)
    make_knocks_due()
    rival = Rival(app, lambda: take_turns(first))
    with writing() as current:
        current.execute(select(Reach.webhook_id).with_for_update())
        until = database_now(current.connection()) + timedelta(minutes=1)
        current.execute(update(Reach).values(until=until))
        rival.come_to_a_lock()
    assert rival.finish() == []
    assert len(session().scalars(select(Reach.webhook_id)).all()) == 2
