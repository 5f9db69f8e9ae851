"""In any order of steps, no delivery is lost, stuck, or sent without a reason.

Hypothesis generates histories of two webhooks. Steps are events, tests, claims by several workers,
workers that die or pause and return late, single and bulk retries, stops, webhooks turned off, on,
or deleted, and replaced keys. A step on one webhook changes nothing of the other.
"""

from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from flask import Flask
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, select

from portal.engine.reasons import Reason
from portal.extensions import db
from portal.extensions import settings as portal_settings
from portal.models.deliveries import OPEN, Attempt
from portal.services import tasks as task_leases
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import writing
from portal.services.deliveries import bulk_retry, dismissals
from portal.services.deliveries import retry as delivery_retry
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.dispatch import maintenance
from portal.services.dispatch import maintenance as dispatch_maintenance
from portal.services.dispatch.claim import Claim
from portal.services.webhooks import crud, secrets, turn_on_off
from portal.services.webhooks.rules import SecretMode, WebhookValues
from portal.services.webhooks.sample_deliveries import send_test
from portal.services.webhooks.turn_on_off import HeldChoice
from tests.faults.support.durations import IS_FULL
from tests.faults.support.engine_world import EVENTS, WELL, World, health_of, look
from tests.jobs.dispatcher.delivery_clock import claim, ended, write_down

pytestmark = pytest.mark.both_databases

WHICH = st.sampled_from([0, 1])
PICK = st.integers(0, 50)
PLACES = st.integers(1, 12)
# The same histories each time. PostgreSQL gets only the first ones.
EXAMPLES = {"sqlite": 25, "postgresql": 10}
# Most requests succeed, or every history would only be about failures.
ANSWER = st.sampled_from(
    [None] * 4 + [Reason.SERVER, Reason.UNAVAILABLE, Reason.BAD_REQUEST, Reason.GONE]
)


class Flight(NamedTuple):
    """A claim held by a worker. `has_arrived`: the receiver got it, but its sender doesn't know."""

    claim: Claim
    has_arrived: bool = False


def any_in_flight(engine: "Engine") -> bool:
    """Return whether an awake worker holds a claim."""
    return bool(engine.in_flight)


def any_asleep(engine: "Engine") -> bool:
    """Return whether a worker can still return late."""
    return bool(engine.asleep)


class Engine(RuleBasedStateMachine):
    """The engine without sockets. The state machine decides the receivers' answers."""

    @initialize(first=st.booleans(), second=st.booleans())
    def connect(self, first: bool, second: bool) -> None:
        self.world = World([first, second])
        self.in_flight: list[Flight] = []
        self.asleep: list[Flight] = []
        self.batches: list[UUID] = []
        self.keys = 1
        self.age = 0
        for which in (0, 0, 1):
            self.world.happen(which)

    @rule(which=WHICH, count=st.integers(0, 3))
    def publish(self, which: int, count: int) -> None:
        """Publish events, or send a test if `count` is 0."""
        with self.world.only(which):
            for _ in range(count):
                self.world.happen(which)
            if not count:
                send_test(self.world.admin, self._hook(which))

    @rule(places=PLACES)
    def claim(self, places: int) -> None:
        before = look()
        claims = claim(places)
        self.world.check_claims(claims, before, places)
        self.in_flight += map(Flight, claims)

    @rule(places=PLACES, leases=st.booleans())
    def claim_later(self, places: int, leases: bool) -> None:
        """Claim after failed deliveries are due again and pauses are over. `leases`: they have
        expired, too."""
        self.world.let_time_pass(leases=leases)
        self._maintenance()
        self.claim(places)

    @rule(places=PLACES)
    def claim_after_a_crash(self, places: int) -> None:
        self.asleep += self.in_flight
        self.in_flight = []
        self.claim_later(places, leases=True)

    @rule(pick=PICK, reason=ANSWER)
    @precondition(any_in_flight)
    def finish(self, pick: int, reason: Reason | None) -> None:
        """Record a receiver's answer."""
        self._record([self._taken(self.in_flight, pick)], [reason])

    @rule(reasons=st.lists(ANSWER, min_size=2, max_size=9))
    @precondition(any_in_flight)
    def finish_together(self, reasons: list[Reason | None]) -> None:
        """Record several results in one transaction."""
        flights = self.in_flight[: len(reasons)]
        self.in_flight = self.in_flight[len(flights) :]
        self._record(flights[::-1], reasons[: len(flights)])

    @rule(pick=PICK, arrived=st.booleans())
    @precondition(any_in_flight)
    def fall_asleep(self, pick: int, arrived: bool) -> None:
        """Let a worker die or pause, before or after the receiver got the request."""
        flight = self._taken(self.in_flight, pick)
        self.world.received[flight.claim.delivery_id] += int(arrived)
        self.world.succeeded[flight.claim.delivery_id] += int(arrived)
        self.asleep.append(Flight(flight.claim, arrived))

    @rule(pick=PICK, reason=ANSWER, was_sent=st.booleans())
    @precondition(any_asleep)
    def wake_up(self, pick: int, reason: Reason | None, was_sent: bool) -> None:
        """Let a worker return late, with a lease that can belong to another one, and record or
        release its claim."""
        flight = self._taken(self.asleep, pick)
        if was_sent or flight.has_arrived:
            self._record([flight], [None if flight.has_arrived else reason])
        else:
            self._give_back([flight], sent=False)

    @rule(sent=st.booleans(), arrived=st.booleans())
    @precondition(any_in_flight)
    def shut_down(self, sent: bool, arrived: bool) -> None:
        """Stop a worker gracefully. It releases unsent (or unfinished) deliveries."""
        in_flight, self.in_flight = self.in_flight, []
        for flight in in_flight if sent else ():
            self.world.received[flight.claim.delivery_id] += int(arrived)
            self.world.succeeded[flight.claim.delivery_id] += int(arrived)
        self._give_back(in_flight, sent=sent)

    @rule(picks=st.sets(PICK, min_size=1, max_size=4))
    @precondition(any_in_flight)
    def lose_claims(self, picks: set[int]) -> None:
        """Crash the database, which forgets the latest claims. Their senders continue."""
        chosen = {self.in_flight[each % len(self.in_flight)].claim.delivery_id for each in picks}
        leased = look().leases
        held = [each for each in chosen if each in leased]
        self.world.lose_leases(held)

    @rule(
        which=WHICH,
        pick=PICK,
        button=st.sampled_from(["retry", "send again", "dismiss", "restore"]),
    )
    def press(self, which: int, pick: int, button: str) -> None:
        """Press a button in the delivery log."""
        row = self._some(which, pick)
        with self.world.only(which):
            if button == "dismiss":
                dismissals.dismiss(self.world.admin, Selection(ticked=(row.public_id,)))
            elif button == "restore":
                dismissals.restore(self.world.admin, [row.public_id])
            else:
                again = button == "send again"
                delivery_retry.retry(self.world.admin, row.public_id, again=again)
                self.world.wanted_again |= {row.id} if again else set()

    @rule(which=WHICH, picks=st.sets(PICK, min_size=1, max_size=5), again=st.booleans())
    def choose_for_bulk_retry(self, which: int, picks: set[int], again: bool) -> None:
        rows = {row.public_id: row.id for row in (self._some(which, pick) for pick in picks)}
        choice = Selection(ticked=tuple(rows), again=again)
        with suppress(Refusal):  # none of them can be sent
            self.batches.append(bulk_retry.start(self.world.admin, choice))
            self.world.wanted_again |= set(rows.values()) if again else set()

    @rule(steps=st.integers(0, 4), pick=PICK)
    @precondition(lambda self: self.batches)
    def work_at_bulk_retries(self, steps: int, pick: int) -> None:
        """Run a few steps of a bulk retry, or stop one if `steps` is 0. Deliveries are handed over
        in steps, so requests can end in between."""
        if not steps:
            with suppress(Refusal):
                bulk_retry.stop(self.world.admin, self.batches[pick % len(self.batches)])
            return
        turn = task_leases.claim()
        while turn and steps and task_leases.advance(turn, bulk_retry.KIND):
            steps -= 1
        if turn and not steps:
            task_leases.release(turn)

    @rule(which=WHICH, choice=st.sampled_from(["off", "send", "send", "dismiss", "delete"]))
    def switch(self, which: int, choice: str) -> None:
        """Turn the webhook off, on with a choice for held deliveries, or delete it late in the
        history."""
        admin, hook = self.world.admin, self._hook(which)
        with self.world.only(which):
            if choice == "off":
                turn_on_off.turn_off(admin, hook)
            elif choice == "dismiss":
                dismissals.turn_on(admin, hook)
            elif choice != "delete":
                turn_on_off.turn_on(admin, hook, HeldChoice(choice))
            elif self.age > 20:
                crud.delete(admin, hook)

    @rule(which=WHICH, is_told=st.booleans())
    def replace_key(self, which: int, is_told: bool) -> None:
        """Replace the key. The receiver keeps its old one until it is told. The webhook counts as
        failing until a delivery succeeds."""
        hook = self.world.hooks[which]
        now = look().hooks[hook.id]
        self.keys += 1
        values = WebhookValues(
            name=hook.name,
            url=hook.url,
            events=(EVENTS[which],),
            secret_mode=SecretMode.OWN,
            secret=f"key number {self.keys} of this history",
            in_order=now.in_order,
            is_active=now.state == "active",
        )
        with self.world.only(which):
            crud.edit(self.world.admin, hook.public_id, now.version, values)
            assert health_of(look().hooks[hook.id]) == (0, now.failing_since, *WELL[2:])
            if is_told and secrets.switch_now(self.world.admin, hook.public_id):
                self.world.note_skew(hook.id)

    @invariant()
    def everything_is_in_order(self) -> None:
        self.age += 1
        self.world.check()

    def teardown(self) -> None:
        """Bring every history to an end, so that nothing is stuck.

        First it gets worse. Workers return late, one webhook is turned off while its receiver
        fails, and the other gets a new key.
        """
        if not hasattr(self, "world"):
            return
        self._claim_all()
        late = self.in_flight
        self._claim_all()
        self._give_back(late[::2], sent=True)
        if late[1:]:
            self._record(late[1::2], [Reason.SERVER] * len(late[1::2]))
        self.switch(0, "off")
        self._end_all(Reason.SERVER)
        for which in (0, 1):
            self.switch(which, "send")
        self._claim_all()
        self.replace_key(1, is_told=True)
        self._end_all(Reason.UNAVAILABLE)
        for _ in range(20 + 4 * len(look().deliveries)):
            self._claim_all()
            if not self.in_flight and not self._is_any_open():
                break
            self._end_all(None)
        assert not self._is_any_open()
        self.world.check()
        ended_without_end = select(func.count(Attempt.id)).where(
            Attempt.outcome != "interrupted", Attempt.finished_at.is_(None)
        )
        assert db.session.execute(ended_without_end).scalar_one() == 0

    def _claim_all(self) -> None:
        self.world.let_time_pass(leases=True)
        self._maintenance()
        self.in_flight = []
        self.work_at_bulk_retries(9, 0)
        self.claim(24)

    def _end_all(self, reason: Reason | None) -> None:
        in_flight, self.in_flight = self.in_flight, []
        if in_flight:
            self._record(in_flight, [reason] * len(in_flight))

    def _maintenance(self) -> None:
        """Run maintenance and assert that it leaves active webhooks without leases as they were."""
        before = look()
        dispatch_maintenance.maintain()
        after = look()
        for hook in before.hooks.values():
            is_left = any(lease.webhook_id == hook.id for lease in before.leases.values())
            if hook.state == "active" and not (hook.deleted_at or hook.reopened_at or is_left):
                assert after.of(hook.id) == before.of(hook.id)

    def _record(self, in_flight: list[Flight], reasons: list[Reason | None]) -> None:
        before = look()
        for flight, reason in zip(in_flight, reasons, strict=True):
            if not flight.has_arrived:
                self.world.received[flight.claim.delivery_id] += 1
                self.world.succeeded[flight.claim.delivery_id] += reason is None
        write_down(
            *(ended(flight.claim, why) for flight, why in zip(in_flight, reasons, strict=True))
        )
        self.world.check_recorded([each.claim for each in in_flight], reasons, before)

    def _give_back(self, in_flight: list[Flight], *, sent: bool) -> None:
        """Release claims. They are due at once and uncounted, and leases of others stay."""
        claims = [flight.claim for flight in in_flight]
        before = look()
        given = {"sent": claims, "unsent": []} if sent else {"sent": [], "unsent": claims}
        with writing() as current:
            maintenance.release(current.connection(), **given)
        self.world.check_given_back(claims, before, sent=sent)

    def _taken(self, in_flight: list[Flight], pick: int) -> Flight:
        return in_flight.pop(pick % len(in_flight))

    def _hook(self, which: int) -> UUID:
        return self.world.hooks[which].public_id

    def _some(self, which: int, pick: int) -> Any:
        """Return a delivery's row. Each webhook has one from the start."""
        rows = look().rows_of(self.world.hooks[which].id)
        return rows[pick % len(rows)]

    def _is_any_open(self) -> bool:
        return any(row.status in OPEN for row in look().deliveries.values())


@pytest.mark.timeout(7200 if IS_FULL else 300)
def test_no_history_loses_or_repeats_a_message(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    # No lease expires by itself, however slow the machine is.
    slow = replace(portal_settings(), lease_margin=3600)
    monkeypatch.setitem(app.extensions, "settings", slow)
    run_state_machine_as_test(
        Engine,
        settings=settings(
            max_examples=200 if IS_FULL else EXAMPLES[db.engine.dialect.name],
            stateful_step_count=60 if IS_FULL else 30,
            derandomize=not IS_FULL,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
