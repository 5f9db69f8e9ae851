"""Two webhooks in their own database, and the invariants of any history.

`look` takes a snapshot. The effect of a step is the difference of two snapshots.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import delete, select, update

from portal.database.engine import database_now
from portal.engine.events.catalogue import EventName
from portal.engine.reasons import Reason
from portal.engine.retry_policy import AttemptKind
from portal.engine.signing.signatures import legacy_signature
from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.deliveries import (
    OPEN,
    Attempt,
    AttemptOutcome,
    Delivery,
    Lease,
    Priority,
    is_failed_attempt,
)
from portal.models.tasks import Task
from portal.models.webhooks import Webhook
from portal.services.core import vault
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import writing
from portal.services.dispatch.claim import Claim
from portal.services.dispatch.request import Composer
from tests.support.database.empty_database import empty_out
from tests.support.factories import Hook, make_user, make_webhook, publish

CAP = 8
EVENTS = (EventName.CREATED, EventName.LOST)
HEALTH = ("failures_in_row", "failing_since", "throttled", "backoff_seconds", "backoff_until")
WELL = (0, None, False, 0, None)
SECOND = timedelta(seconds=1)


class Picture(NamedTuple):
    """All stored webhooks, deliveries, and leases by row ID. `cut_off`: the numbers of interrupted
    attempts by delivery and start."""

    hooks: dict[int, Any]
    deliveries: dict[int, Any]
    leases: dict[int, Any]
    cut_off: dict[tuple[int, datetime], int]
    failed: frozenset[int]  # deliveries with a failed attempt

    def of(self, hook_id: int) -> tuple[Any, list[Any], list[Any]]:
        """Return the webhook's row, deliveries, and leases."""
        leases = [lease for lease in self.leases.values() if lease.webhook_id == hook_id]
        return self.hooks[hook_id], self.rows_of(hook_id), leases

    def rows_of(self, hook_id: int) -> list[Any]:
        """Return the webhook's deliveries, oldest first."""
        return [row for row in self.deliveries.values() if row.webhook_id == hook_id]

    def live(self, hook_id: int, *, tests: bool) -> int:
        """Count the webhook's leased deliveries (tests or others)."""
        now = utcnow()
        leased = [r for r in self.rows_of(hook_id) if self.until(r.id, now) > now]
        return sum((row.priority == Priority.TEST) is tests for row in leased)

    def until(self, delivery_id: int, now: datetime) -> datetime:
        """Return when the delivery's lease ends, or `now` without a lease."""
        return self.leases[delivery_id].until if delivery_id in self.leases else now

    def decides(self, claim: Claim, reason: Reason | None) -> bool:
        """Return whether this claim's result decides about its delivery.

        It does if it has the lease. It also does if the delivery hasn't changed since, and the
        lease is lost, or the lease expired and the result is a success.
        """
        row = self.deliveries[claim.delivery_id]
        if lease := self.leases.get(row.id):
            return bool(lease.token == claim.token)
        is_taken = row.status == "dismissed"
        is_manual = claim.kind is AttemptKind.MANUAL
        is_same = is_taken or is_manual is (row.prior_status is not None)
        number = self.cut_off_number(claim)
        is_last = row.attempts == claim.number - 1
        if number is not None:
            is_last = row.attempts == number and reason is None
        return (row.status in OPEN or is_taken) and is_last and is_same

    def cut_off_number(self, claim: Claim) -> int | None:
        """Return the number of the claim's attempt if it is stored as interrupted."""
        return self.cut_off.get((claim.delivery_id, claim.started_at))


def look() -> Picture:
    """Return a snapshot of everything stored."""
    with db.engine.connect() as connection:
        hooks = connection.execute(select(Webhook.__table__)).all()
        rows = connection.execute(select(Delivery.__table__).order_by(Delivery.id)).all()
        leases = connection.execute(select(Lease.__table__).order_by(Lease.delivery_id)).all()
        interrupted = select(Attempt.delivery_id, Attempt.started_at, Attempt.number).where(
            Attempt.outcome == AttemptOutcome.INTERRUPTED, Attempt.finished_at.is_(None)
        )
        cut_off = connection.execute(interrupted).all()
        of_failed = select(Attempt.delivery_id).where(is_failed_attempt())
        failed = frozenset(connection.scalars(of_failed))
    return Picture(
        {row.id: row for row in hooks},
        {row.id: row for row in rows},
        {row.delivery_id: row for row in leases},
        {(row.delivery_id, row.started_at): row.number for row in cut_off},
        failed,
    )


def health_of(hook: Any) -> tuple[Any, ...]:
    """Return the columns about a receiver's failures."""
    return tuple(getattr(hook, name) for name in HEALTH)


def uncounted(everything: tuple[Any, list[Any], list[Any]]) -> Any:
    """Drop the columns that a late attempt without a lease changes. It is still counted and can be
    the first failure."""
    hook, rows, leases = everything
    dropped = {"attempts": None, "failing_since": None}
    return hook, [{**row._mapping, **dropped, "status": _openness(row)} for row in rows], leases


def _openness(row: Any) -> str:
    return "open" if row.status in OPEN else str(row.status)


class World:
    """Two webhooks with different events, and the requests their receivers got.

    `known`: the secret key each receiver knows. `lost`: the number of each delivery's leases lost
    in database crashes. `wanted_again`: the deliveries a person resent although they can have
    arrived.
    """

    def __init__(self, in_order: Sequence[bool]) -> None:
        db.session.remove()
        empty_out(db.engine)
        self.admin = make_user().actor
        self.known: dict[int, str] = {}
        self.hooks: list[Hook] = []
        for event, flag in zip(EVENTS, in_order, strict=True):
            hook = make_webhook(events=[event], in_order=flag, secret=f"the first key of {event}")
            self.hooks.append(hook)
            self.known[hook.id] = hook.secret or ""
        self.received: Counter[int] = Counter()
        self.succeeded: Counter[int] = Counter()
        self.wanted_again: set[int] = set()
        self.lost: Counter[int] = Counter()

    def happen(self, which: int) -> None:
        """Publish an event for one of the two webhooks."""
        publish(EVENTS[which])

    @contextmanager
    def only(self, which: int) -> Iterator[None]:
        """Assert that the block, even if refused, changes nothing of the other webhook."""
        other = self.hooks[1 - which].id
        before = look().of(other)
        with suppress(Refusal):
            yield
        assert look().of(other) == before

    def let_time_pass(self, *, leases: bool) -> None:
        """Make everything due and end all pauses and, if `leases`, all leases."""
        with writing() as current:
            past = database_now(current.connection()) - SECOND
            current.execute(update(Delivery).where(Delivery.due_at > past).values(due_at=past))
            current.execute(update(Webhook).where(Webhook.throttled).values(backoff_until=past))
            if leases:
                current.execute(update(Lease).values(until=past))
            under_way = Task.state.in_(["waiting", "running"])
            current.execute(update(Task).where(under_way).values(due_at=Task.created_at))

    def lose_leases(self, delivery_ids: Sequence[int]) -> None:
        """Crash the database, which forgets these claims."""
        with writing() as current:
            current.execute(delete(Lease).where(Lease.delivery_id.in_(delivery_ids)))
        self.lost.update(delivery_ids)

    def check_claims(self, claims: Sequence[Claim], before: Picture, places: int) -> None:
        """Assert that claims are due, in turn, unleased, and within `places`."""
        after, now = look(), utcnow()
        ids = {claim.delivery_id for claim in claims}
        assert len(claims) == len(ids) <= places
        for claim in claims:
            row, hook = before.deliveries[claim.delivery_id], before.hooks[claim.webhook.id]
            assert before.until(row.id, now) <= now
            assert row.due_at <= now
            assert after.leases[row.id].token == claim.token
            self._check_kind(claim, row, hook, now)
            self._check_signature(claim)
        for hook_id in {claim.webhook.id for claim in claims}:
            self._check_places(hook_id, before, after)
            self._check_order([each for each in claims if each.webhook.id == hook_id], before)
        for row in before.deliveries.values():
            # Only interrupted deliveries change. They are counted now and can end here.
            assert row.id in before.leases or after.deliveries[row.id] == row

    def _check_kind(self, claim: Claim, row: Any, hook: Any, now: datetime) -> None:
        is_test = row.priority == Priority.TEST
        assert (claim.kind is AttemptKind.TEST) is is_test
        assert (claim.kind is AttemptKind.MANUAL) is (row.prior_status is not None)
        assert hook.deleted_at is None
        assert is_test or hook.state == "active"
        if row.prior_status == "delivered":
            assert row.id in self.wanted_again, "it had arrived, and nobody wanted it again"
        if hook.backoff_until is not None and hook.backoff_until > now:
            waits_for_nobody = is_test or row.priority == Priority.INTERACTIVE
            assert waits_for_nobody or (hook.in_order and row.priority == Priority.NORMAL)

    def _check_signature(self, claim: Claim) -> None:
        """Assert that the signature uses the key the receiver knows."""
        signature = Composer("1").compose(claim).headers["X-Asset-Webhook-Signature"]
        assert signature == legacy_signature(claim.body, self.known[claim.webhook.id])

    def _check_places(self, hook_id: int, before: Picture, after: Picture) -> None:
        hook = before.hooks[hook_id]
        cap = 1 if hook.in_order or hook.throttled else CAP
        had, has = (picture.live(hook_id, tests=False) for picture in (before, after))
        assert has == had or has <= cap
        assert after.live(hook_id, tests=True) <= 1

    def _check_order(self, claims: Sequence[Claim], before: Picture) -> None:
        """Assert that no delivery overtakes an older one of an ordered webhook. The older one must
        have ended, or had ended before a person retried it."""
        for claim in claims:
            hook_id = claim.webhook.id
            if claim.kind is AttemptKind.SCHEDULED and before.hooks[hook_id].in_order:
                older = [row for row in before.rows_of(hook_id) if row.id < claim.delivery_id]
                usual = [row for row in older if row.priority != Priority.TEST]
                earlier = [row for row in usual if row.status != "dismissed"]
                assert not [row.id for row in earlier if (row.prior_status or row.status) in OPEN]

    def check_given_back(self, claims: Sequence[Claim], before: Picture, *, sent: bool) -> None:
        """Assert that our claims are released and uncounted, that sent ones have an attempt, and
        that others' leases stay."""
        after = look()
        held = {each.delivery_id for each in claims if before.leases.get(each.delivery_id)}
        ours = {
            each.delivery_id: each.number
            for each in claims
            if each.delivery_id in held and before.leases[each.delivery_id].token == each.token
        }
        for row in before.deliveries.values():
            expected = dict(row._mapping)
            if sent and row.id in ours:
                expected["attempts"] = max(ours[row.id], row.attempts + 1)
            assert dict(after.deliveries[row.id]._mapping) == expected
        remaining = {id_: each for id_, each in before.leases.items() if id_ not in ours}
        assert after.leases == remaining
        assert after.hooks == before.hooks

    def check_recorded(
        self, claims: Sequence[Claim], reasons: Sequence[Reason | None], before: Picture
    ) -> None:
        """Assert that results with a lease decided and late ones changed nothing.

        It skips deliveries with two results at once, because the second depends on the first.
        `check` covers them.
        """
        after = look()
        times = Counter(claim.delivery_id for claim in claims)
        repeated = {claim.webhook.id for claim in claims if times[claim.delivery_id] > 1}
        unrepeated = [
            (claim, reason)
            for claim, reason in zip(claims, reasons, strict=True)
            if claim.webhook.id not in repeated
        ]
        ours = [(claim, reason) for claim, reason in unrepeated if before.decides(claim, reason)]
        for claim, reason in ours:
            self._check_end(claim, reason, before, after)
        for hook_id, hook in before.hooks.items():
            if hook_id in repeated:
                continue
            mine = [pair for pair in ours if pair[0].webhook.id == hook_id]
            has_result = any(claim.webhook.id == hook_id for claim in claims)
            rests = has_result and (hook.state != "active" or hook.deleted_at is not None)
            if not mine and not rests:
                assert uncounted(after.of(hook_id)) == uncounted(before.of(hook_id))
            if mine and all(claim.webhook.version != hook.version for claim, _ in mine):
                # The attempt used an earlier key, so its result doesn't count for this one.
                assert health_of(after.hooks[hook_id]) == health_of(hook)
            elif len(mine) == 1:
                self._check_health(*mine[0], hook, after.hooks[hook_id])

    def _check_end(
        self, claim: Claim, reason: Reason | None, before: Picture, after: Picture
    ) -> None:
        was, row = before.deliveries[claim.delivery_id], after.deliveries[claim.delivery_id]
        hook = after.hooks[row.webhook_id]
        tries, attempts = was.tries, was.attempts
        if before.cut_off_number(claim) is None:  # otherwise it is already counted
            tries += claim.kind is AttemptKind.SCHEDULED
            attempts = max(claim.number, attempts + 1)
        assert (row.attempts, row.tries) == (attempts, tries)
        assert row.id not in after.leases
        assert row.reason == reason
        if reason is None:
            assert row.status == "delivered"
        elif was.status == "dismissed":
            assert row.status == "dismissed"
        elif claim.kind is AttemptKind.TEST:
            assert row.status in ("failed", "dismissed")
        elif reason is Reason.GONE:
            assert row.status == "failed"
        elif hook.state == "active" and hook.deleted_at is None:
            end = "failed" if tries >= 10 else "retrying"
            if claim.kind is AttemptKind.MANUAL:
                # Without a prior status, it was dismissed and restored in the meantime.
                earlier = was.prior_status or was.status
                end = earlier if earlier in ("failed", "delivered") else "retrying"
            assert row.status == end
        else:
            assert row.status in ("on_hold", "dismissed", "failed", "delivered")

    def _check_health(self, claim: Claim, reason: Reason | None, was: Any, now: Any) -> None:
        """Check the webhook's health after one attempt."""
        if reason is None:
            assert health_of(now) == WELL
        elif claim.kind is AttemptKind.TEST:
            assert health_of(now) == health_of(was)
        else:
            assert now.failures_in_row == was.failures_in_row + 1
            assert now.state == "off" or reason is not Reason.GONE

    def note_skew(self, hook_id: int) -> None:
        """Give the newest key to the receiver."""
        sealed = look().hooks[hook_id].secret_enc
        self.known[hook_id] = vault.open_secret(hook_id, sealed)

    def check(self) -> None:
        """Assert the invariants of every delivery."""
        now = look()
        for row in now.deliveries.values():
            assert 0 <= row.tries <= 10
            # Each request belongs to a counted attempt, a live lease, or a lost one.
            known = row.attempts + (row.id in now.leases) + self.lost[row.id]
            assert self.received[row.id] <= known
            if row.status == "delivered":
                assert self.succeeded[row.id] >= 1
                # After a failed resend, it stays delivered and keeps the failure's reason.
                assert (row.reason, row.code) == (None, 200) or row.id in self.wanted_again
            if row.status in ("delivered", "failed", "dismissed"):
                assert row.finished_at is not None
            if row.status == "delivered":
                assert row.id not in now.leases
            if row.status == "dismissed":
                assert row.prior_status in (*OPEN, "on_hold", "failed")
                assert row.dismissed_by
            elif row.status not in OPEN:
                assert row.prior_status is None
            else:
                # A delivery interrupted in its last attempt also counts as failed.
                has_failed = row.id in now.failed or row.prior_status == "failed"
                is_resent = row.prior_status == "delivered"
                assert row.status == ("retrying" if has_failed and not is_resent else "queued")
            if row.prior_status is not None and row.status in OPEN:
                assert row.priority in (Priority.INTERACTIVE, Priority.BULK)
            elif row.priority != Priority.TEST:
                assert row.priority == Priority.NORMAL
