"""Whatever happens in whatever order, nothing is lost, nothing is stuck, nothing is sent unasked.

Hypothesis makes up histories: events, claims by several workers, crashes before and after the
receiver got the message, late recorders, retries one by one and in bulk, stops, webhooks turned
off and on and deleted.
"""

from collections import Counter
from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, select, update

from portal.database.engine import database_now
from portal.engine.reasons import Reason
from portal.engine.retry_policy import AttemptKind
from portal.extensions import db
from portal.models.deliveries import OPEN, Attempt, Delivery
from portal.models.tasks import Task
from portal.models.webhooks import Webhook
from portal.services.bulk_retry import task as bulk_retry_task
from portal.services.bulk_retry.selection import Selection
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import writing
from portal.services.deliveries import retry as delivery_retry
from portal.services.dispatch import release
from portal.services.dispatch import sweep as dispatch_sweep
from portal.services.dispatch.claim_types import Claim
from portal.services.outbox import due
from portal.services.tasks import leases as task_leases
from portal.services.webhooks import activation, crud
from portal.services.webhooks.activation import HeldChoice
from tests.jobs.pump.delivery_clock import claim, ended, write_down
from tests.support.factories import Hook, Person, make_user, make_webhook, publish

CAP = 8
REASONS = [None, None, Reason.SERVER, Reason.UNAVAILABLE, Reason.BAD_REQUEST, Reason.GONE]
pytestmark = pytest.mark.usefixtures("app")


class Engine(RuleBasedStateMachine):
    """The engine without sockets: the machine itself decides what receivers answer."""

    admin: Person

    @initialize(in_order=st.booleans())
    def connect(self, in_order: bool) -> None:
        self.in_order = in_order
        self.hook: Hook = make_webhook(in_order=in_order)
        self.in_flight: list[Claim] = []
        self.received: Counter[str] = Counter()

    @rule(count=st.integers(1, 4))
    def publish(self, count: int) -> None:
        for _ in range(count):
            publish()

    @rule(places=st.integers(1, 12))
    def claim(self, places: int) -> None:
        claims = [each for each in claim(places) if each.webhook.id == self.hook.id]
        self.in_flight += claims
        if self.in_order and any(each.kind == AttemptKind.SCHEDULED for each in claims):
            self._is_the_oldest(claims[0].delivery_id)

    @rule(pick=st.integers(0, 50), reason=st.sampled_from(REASONS))
    def finish(self, pick: int, reason: Reason | None) -> None:
        """The receiver answers, and the worker writes it down, late or not."""
        if self.in_flight:
            claim = self.in_flight.pop(pick % len(self.in_flight))
            self.received[claim.public_id] += 1
            write_down(ended(claim, reason))

    @rule(reasons=st.lists(st.sampled_from(REASONS), min_size=2, max_size=6))
    def finish_together(self, reasons: list[Reason | None]) -> None:
        """Several end at once and are written down at once, late ones among them."""
        ends = [ended(each, why) for each, why in zip(self.in_flight, reasons, strict=False)]
        self.in_flight = self.in_flight[len(ends) :]
        self.received.update(each.claim.public_id for each in ends)
        if ends:
            write_down(*reversed(ends))

    @rule(pick=st.integers(0, 50), arrived=st.booleans())
    def crash(self, pick: int, arrived: bool) -> None:
        """The worker is killed, before or after the receiver got the message."""
        if self.in_flight:
            claim = self.in_flight.pop(pick % len(self.in_flight))
            self.received[claim.public_id] += int(arrived)

    @rule()
    def shut_down(self) -> None:
        """A worker stops in peace and gives back what it has not begun."""
        with writing() as current:
            release.release(self.in_flight, current.connection())
        self.in_flight = []

    @rule(leases=st.booleans())
    def time_passes(self, leases: bool) -> None:
        with writing() as current:
            past = database_now(current.connection()) - timedelta(seconds=1)
            mine = Delivery.webhook_id == self.hook.id
            current.execute(update(Delivery).where(mine).values(due_at=past, prior_due_at=past))
            current.execute(update(Webhook).where(Webhook.throttled).values(not_before=past))
            if leases:
                leased = Delivery.lease_token.is_not(None)
                current.execute(update(Delivery).where(mine, leased).values(lease_until=past))

    @rule(pick=st.integers(0, 50), again=st.booleans())
    def retry(self, pick: int, again: bool) -> None:
        press = delivery_retry.send_again if again else delivery_retry.retry
        self._press(pick, lambda public_id: press(self.admin.actor, public_id))

    @rule(pick=st.integers(0, 50))
    def stop(self, pick: int) -> None:
        self._press(pick, lambda public_id: delivery_retry.stop(self.admin.actor, public_id))

    @rule(picks=st.sets(st.integers(0, 50), min_size=1, max_size=5), again=st.booleans())
    def retry_in_bulk(self, picks: set[int], again: bool) -> None:
        rows = self._deliveries()
        if rows:
            ticked = tuple({rows[pick % len(rows)].public_id for pick in picks})
            bulk_retry_task.start(self.admin.actor, Selection(ticked=ticked, again=again))

    @rule()
    def work_at_batches(self) -> None:
        with writing() as current:
            soon = Task.state.in_(["waiting", "running"])
            current.execute(update(Task).where(soon).values(due_at=Task.created_at))
        while turn := task_leases.claim():
            while task_leases.advance(turn, bulk_retry_task.KIND):
                pass

    @rule()
    def turn_off(self) -> None:
        self._may(lambda: activation.turn_off(self.admin.actor, self.hook.public_id))

    @rule(choice=st.sampled_from(HeldChoice))
    def turn_on(self, choice: HeldChoice) -> None:
        self._may(lambda: activation.turn_on(self.admin.actor, self.hook.public_id, choice))

    @rule()
    def delete(self) -> None:
        self._may(lambda: crud.delete(self.admin.actor, self.hook.public_id))

    @rule()
    def sweep(self) -> None:
        dispatch_sweep.settle()

    @invariant()
    def what_is_delivered_has_been_received(self) -> None:
        for delivery in self._deliveries():
            if delivery.status == "delivered":
                assert self.received[str(delivery.public_id)] >= 1

    @invariant()
    def every_repeat_has_its_reason(self) -> None:
        """Beyond one success, a receiver gets it again by a failure, a cut-off, or a person."""
        for delivery in self._deliveries():
            assert self.received[str(delivery.public_id)] <= delivery.attempts

    @invariant()
    def no_more_is_sent_at_once_than_allowed(self) -> None:
        with writing() as current:
            leases = due.live_leases(
                current.connection(), [self.hook.id], database_now(current.connection())
            )
            hook = current.get_one(Webhook, self.hook.id)
            assert sum(leases.get(hook.id, (0, 0))) <= (1 if hook.in_order else CAP)

    @invariant()
    def tries_never_exceed_the_schedule(self) -> None:
        assert all(0 <= each.tries <= 10 for each in self._deliveries())

    def teardown(self) -> None:
        """Whatever the history, it can be brought to an end: nothing is stuck."""
        if not hasattr(self, "hook"):
            return
        self._may(
            lambda: activation.turn_on(self.admin.actor, self.hook.public_id, HeldChoice.SEND)
        )
        for _ in range(150):
            self.time_passes(leases=True)
            dispatch_sweep.settle()
            self.in_flight = []
            self.work_at_batches()
            self.claim(12)
            if not self.in_flight and not self._open():
                break
            while self.in_flight:
                self.finish(0, None)
        assert not self._open()
        interrupted = select(func.count(Attempt.id)).where(
            Attempt.outcome == "delivered", Attempt.finished_at.is_(None)
        )
        assert db.session.execute(interrupted).scalar_one() == 0
        # Whatever is left of it is nothing to the next history.
        self._may(lambda: crud.delete(self.admin.actor, self.hook.public_id))

    def _is_the_oldest(self, delivery_id: int) -> None:
        """Nobody overtakes in order: what is older has ended, or had when a person asked for it."""
        older = [each for each in self._deliveries() if each.id < delivery_id]
        assert not [each.id for each in older if (each.prior_status or each.status) in OPEN]

    def _deliveries(self) -> list[Delivery]:
        db.session.rollback()
        mine = select(Delivery).where(Delivery.webhook_id == self.hook.id).order_by(Delivery.id)
        return list(db.session.execute(mine).scalars())

    def _open(self) -> bool:
        return any(each.status in OPEN for each in self._deliveries())

    def _press(self, pick: int, button: object) -> None:
        rows = self._deliveries()
        if rows and callable(button):
            public_id = rows[pick % len(rows)].public_id
            self._may(lambda: button(public_id))

    def _may(self, act: object) -> None:
        """Do it, or be refused in words."""
        assert callable(act)
        with suppress(Refusal):
            act()


def test_no_history_loses_or_repeats_a_message() -> None:
    Engine.admin = make_user()
    run_state_machine_as_test(
        Engine,
        settings=settings(
            max_examples=15,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
