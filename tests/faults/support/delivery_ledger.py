"""The final check of each fault: every accepted delivery was received or visibly wasn't."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import combinations

from sqlalchemy import Row, Select, select

from portal.engine.reasons import Reason
from portal.extensions import db
from portal.models.deliveries import OPEN, Attempt, Delivery, Lease
from portal.models.webhooks import Webhook
from tests.faults.support.running_portal import RunningPortal
from tests.support.processes import until
from tests.support.receiver import Receiver

AttemptRow = Row[int, str, str, str | None, datetime, dict[str, float] | None]


def settled(seconds: float) -> bool:
    """Return whether no delivery is open any more within this time."""

    def nothing_open() -> bool:
        db.session.rollback()
        query = select(Delivery.id).where(Delivery.status.in_(OPEN)).limit(1)
        return db.session.execute(query).first() is None

    return until(nothing_open, seconds)


def lease_of(portal: RunningPortal) -> timedelta:
    """Return the shortest time from an attempt's start to its lease's end."""
    return timedelta(seconds=portal.settings.lease_seconds - 0.2)


def deliveries_to(receiver: Receiver) -> Sequence[Delivery]:
    """Return all deliveries of the webhooks that point to the receiver."""
    db.session.rollback()
    return db.session.scalars(_to(receiver).order_by(Delivery.id)).all()


def given_up_on(receiver: Receiver) -> int:
    """Count timed-out requests. On a busy machine, the receiver can answer too late, and they are
    sent again."""
    attempts = [attempt for rows in _attempts(receiver).values() for attempt in rows]
    return sum(attempt.reason == Reason.READ_TIMEOUT for attempt in attempts)


@dataclass(frozen=True, slots=True)
class Excuses:
    """Reasons for a repeated delivery other than a crashed worker or a person.

    `stands_still`: a worker pauses for longer than this and records its success after a newer
    attempt began. `crashes`: PostgreSQL's crashes (start, end). They lose the newest claims, which
    are committed without waiting for the disk.
    """

    stands_still: timedelta | None = None
    crashes: Sequence[tuple[datetime, datetime]] = ()


NONE = Excuses()
# Three times wal_writer_delay (https://www.postgresql.org/docs/current/wal-async-commit.html) and
# slack for a busy machine.
UNFLUSHED = timedelta(seconds=1)


def assert_ledger(receiver: Receiver, accepted: int, excuses: Excuses = NONE) -> None:
    """Assert that each accepted delivery was received or is visibly failed, dismissed, or on hold,
    and that each repeat has an excuse."""
    deliveries = deliveries_to(receiver)
    assert len(deliveries) == accepted
    arrived, attempts = _arrivals(receiver), _attempts(receiver)
    leased = set(db.session.scalars(select(Lease.delivery_id)))
    for delivery in deliveries:
        codes = arrived.pop(str(delivery.public_id), [])
        account = Account(delivery, codes, attempts[delivery.id], excuses)
        account.assert_visible()
        assert delivery.id not in leased, account
        account.assert_explained()
    assert not arrived, "the receiver got what nobody accepted"


@dataclass(frozen=True, slots=True)
class Account:
    """One delivery with its attempts and the receiver's status codes (0: the response was lost)."""

    delivery: Delivery
    codes: list[int]
    attempts: list[AttemptRow]
    excuses: Excuses = field(default=NONE)

    def assert_visible(self) -> None:
        """Assert that a delivered one has arrived and any other shows its status."""
        status = self.delivery.status
        if status == "delivered":
            assert any(200 <= code <= 299 for code in self.codes), self
        else:
            assert status in {"failed", "dismissed", "on_hold"}, self
        assert status != "failed" or self.delivery.reason, self

    def assert_explained(self) -> None:
        """Assert that each request belongs to an attempt (or to its second request), and that each
        success but one has an excuse."""
        assert self.delivery.attempts == len(self.attempts), self
        resent = sum("again" in (attempt.phases or {}) for attempt in self.attempts)
        assert len(self.codes) <= len(self.attempts) + resent, self
        good = sum(200 <= code <= 299 for code in self.codes)
        outlived = [pair for pair in combinations(self.attempts, 2) if self._is_outlived(*pair)]
        explained = sum(_may_come_again(attempt) for attempt in self.attempts) + resent
        assert good <= 1 + explained + len(outlived), self
        for earlier, later in combinations(self.attempts, 2):
            if (earlier.outcome, later.kind) == ("delivered", "scheduled"):
                assert (earlier, later) in outlived, self

    def _is_outlived(self, earlier: AttemptRow, later: AttemptRow) -> bool:
        """Return whether a paused attempt was still unfinished when the other began."""
        lease = self.excuses.stands_still
        if earlier.outcome == "interrupted":
            return False
        is_late = lease is not None and later.started_at - earlier.started_at >= lease
        return is_late or self._was_forgotten(earlier, later)

    def _was_forgotten(self, earlier: AttemptRow, later: AttemptRow) -> bool:
        """Return whether a database crash can have lost the claim of an attempt whose result was
        recorded."""
        # A late result is stored after an attempt that began in the meantime.
        first, second = sorted((earlier.started_at, later.started_at))
        return any(
            began - UNFLUSHED <= first <= ended and second >= began
            for began, ended in self.excuses.crashes
        )

    def __str__(self) -> str:
        attempts = [
            (attempt.outcome, attempt.kind, attempt.reason, f"{attempt.started_at:%T.%f}")
            for attempt in self.attempts
        ]
        return f"delivery {self.delivery.id}, {self.delivery.status}: {self.codes}, {attempts}"


def _may_come_again(attempt: AttemptRow) -> bool:
    """Return whether the attempt was interrupted, manual, or timed out."""
    return (
        attempt.outcome == "interrupted"
        or attempt.kind == "manual"
        or attempt.reason == Reason.READ_TIMEOUT
    )


def _arrivals(receiver: Receiver) -> dict[str, list[int]]:
    """Return each delivery's status codes in order (0: the response was lost)."""
    heard = {id(received): code for received, code in receiver.answered}
    arrived: dict[str, list[int]] = defaultdict(list)
    for received in receiver.received:
        public_id = received.header("X-Asset-Webhook-Id") or ""
        arrived[public_id].append(heard.get(id(received), 0))
    return arrived


def _attempts(receiver: Receiver) -> dict[int, list[AttemptRow]]:
    delivery_ids = _to(receiver).with_only_columns(Delivery.id)
    columns = (
        Attempt.outcome,
        Attempt.kind,
        Attempt.reason,
        Attempt.started_at,
        Attempt.phases,
    )
    statement = (
        select(Attempt.delivery_id, *columns)
        .where(Attempt.delivery_id.in_(delivery_ids))
        .order_by(Attempt.id)
    )
    attempts: dict[int, list[AttemptRow]] = defaultdict(list)
    for row in db.session.execute(statement):
        attempts[row.delivery_id].append(row)
    return attempts


def _to(receiver: Receiver) -> Select[Delivery]:
    webhook_ids = select(Webhook.id).where(Webhook.url.startswith(receiver.url))
    return select(Delivery).where(Delivery.webhook_id.in_(webhook_ids))
