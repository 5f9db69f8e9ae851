"""Of machines that judge themselves at once one goes on, and one process probes for all of them."""

from datetime import timedelta

from flask import Flask
from sqlalchemy import select, update

from portal.database.engine import database_now
from portal.models.operations import Process, Reach
from portal.services.core.unit_of_work import session, writing
from portal.services.outbox.reach_rows import Knock
from tests.services.dispatch.sending_machines import machines
from tests.services.outbox.test_bench import (
    benched,
    let_it_be_refuted,
    make_knocks_due,
    take_turns,
    webhooks,
)
from tests.support.database.rivals import Rival


def test_not_all_machines_sit_down_at_once(app: Flask) -> None:
    first, second = machines(2)
    webhooks(3)
    let_it_be_refuted(first, second)
    judged: list[bool | None] = []
    rival = Rival(app, lambda: judged.append(first.judge()))
    with writing() as current:
        now = database_now(current.connection())
        theirs = update(Process).where(Process.host == second.name)
        current.execute(theirs.values(benched_at=now))
        rival.begin()
    rival.finish()
    assert judged == [None]
    assert benched() == [second.name]


def test_whom_another_process_probes_is_not_probed(app: Flask) -> None:
    first, second = machines(2)
    webhooks(2)
    let_it_be_refuted(first, second)
    make_knocks_due()
    taken: list[list[Knock]] = []
    rival = Rival(app, lambda: taken.append(take_turns(first)))
    with writing() as current:
        current.execute(select(Reach.webhook_id).with_for_update())
        until = database_now(current.connection()) + timedelta(minutes=1)
        current.execute(update(Reach).values(until=until))
        rival.come_to_a_lock()
    rival.finish()
    assert taken == [[]]
    assert len(session().scalars(select(Reach.webhook_id)).all()) == 2
