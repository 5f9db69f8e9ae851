"""Machines that send, in one process: each knows for itself whom it reaches."""

import os
from datetime import timedelta

from sqlalchemy import select

from portal.database.engine import database_now
from portal.engine.reasons import Reason
from portal.extensions import db
from portal.models.operations import Process, Reach
from portal.queue.names import DELIVERIES
from portal.services.core.heartbeats import worker_of
from portal.services.core.unit_of_work import writing
from portal.services.dispatch import claim as dispatch_claim
from portal.services.dispatch import record
from portal.services.dispatch.claim_types import Claim
from portal.services.dispatch.results import Result
from portal.services.outbox import reach
from portal.services.outbox.reach import OwnReach
from tests.jobs.dispatcher.delivery_clock import ended


class Machine:
    """One of them, alive since now. `silent`: seconds for which nobody has heard of it."""

    def __init__(self, name: str, *, silent: float = 0.0) -> None:
        self.name, self.reach = name, OwnReach(name)
        kind = worker_of(DELIVERIES)
        with writing() as current:
            now = database_now(current.connection())
            values = {"started_at": now, "seen_at": now - timedelta(seconds=silent)}
            process = Process(name=f"{kind} {name}:1", kind=kind, host=name, pid=os.getpid())
            for column, value in values.items():
                setattr(process, column, value)
            current.add(process)

    def look(self) -> None:
        """See how things stand, as with each beat."""
        with writing() as current:
            self.reach.refresh(current.connection())

    def claim(self) -> list[Claim]:
        """What it takes of all that is due."""
        self.look()
        with writing() as current:
            return dispatch_claim.claim(current.connection(), 512, reach=self.reach)

    def write_down(self, *results: Result) -> None:
        """Record what came of it."""
        with writing() as current:
            assert not record.record(current.connection(), results, lambda: 0.0, self.reach)

    def fail(self, reason: Reason = Reason.CONNECT_TIMEOUT) -> None:
        """Take all that is due, and connect to nobody."""
        claims = self.claim()
        assert claims
        self.write_down(*(unreached(each, reason) for each in claims))

    def deliver(self) -> None:
        """Take all that is due, and bring it."""
        claims = self.claim()
        assert claims
        self.write_down(*map(ended, claims))

    def knock(self, *, reached: bool) -> None:
        """Probe all whom it doubts."""
        with writing() as current:
            ids = [each.webhook_id for each in doubts(self.name)]
            both = (ids, []) if reached else ([], ids)
            reach.note_knocks(current.connection(), self.name, *both)

    def judge(self) -> bool | None:
        """Whether it goes on the bench, or off it."""
        with writing() as current:
            return reach.judge_machine(current.connection(), self.name)


def machines(count: int) -> list[Machine]:
    """m1, m2 and so on; all of them know of each other."""
    made = [Machine(f"m{number}") for number in range(1, count + 1)]
    for each in made:
        each.look()
    return made


def unreached(claim: Claim, reason: Reason = Reason.CONNECT_TIMEOUT) -> Result:
    """There was no connection for this one."""
    return ended(claim, reason)._replace(is_unreached=True)


def doubts(machine: str | None = None) -> list[Reach]:
    """What stands in `reach`, of one machine or of all."""
    db.session.rollback()
    wanted = select(Reach).order_by(Reach.webhook_id, Reach.machine)
    if machine is not None:
        wanted = wanted.where(Reach.machine == machine)
    return list(db.session.scalars(wanted))
