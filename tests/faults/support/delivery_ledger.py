"""The rule that every fault ends with: what was accepted was received, or is visibly not."""

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
    """Whether nothing is open any more, in time."""

    def nothing_open() -> bool:
        db.session.rollback()
        wanted = select(Delivery.id).where(Delivery.status.in_(OPEN)).limit(1)
        return db.session.execute(wanted).first() is None

    return until(nothing_open, seconds)


def lease_of(portal: RunningPortal) -> timedelta:
    """How long a claimed delivery is one worker's; the attempt begins a little later."""
    return timedelta(seconds=portal.settings.lease_seconds - 0.2)


def deliveries_to(receiver: Receiver) -> Sequence[Delivery]:
    """Every delivery of the webhooks that point to the receiver, as it is now."""
    db.session.rollback()
    return db.session.scalars(_to(receiver).order_by(Delivery.id)).all()


def given_up_on(receiver: Receiver) -> int:
    """How many requests it answered too late, on a machine that was too busy: they come again."""
    attempts = [each for found in _attempts(receiver).values() for each in found]
    return sum(each.reason == Reason.READ_TIMEOUT for each in attempts)


@dataclass(frozen=True, slots=True)
class Excuses:
    """What else than a crash or a person may bring a message twice.

    `stands_still`: a worker does not run for longer than its lease, and writes down late that its
    attempt arrived, when a newer one has been begun. `crashes`: of PostgreSQL, (when, until when),
    which took the newest claims with them: a claim does not wait for the disk.
    """

    stands_still: timedelta | None = None
    crashes: Sequence[tuple[datetime, datetime]] = ()


NONE = Excuses()
# Three times wal_writer_delay (https://www.postgresql.org/docs/current/wal-async-commit.html), and
# what a busy machine adds.
UNFLUSHED = timedelta(seconds=1)


def assert_ledger(receiver: Receiver, accepted: int, excuses: Excuses = NONE) -> None:
    """Accepted is received, or visibly failed, stopped or held; a repeat has its explanation."""
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
    """One delivery: what it says, what the receiver answered (0: nobody heard it), its attempts."""

    delivery: Delivery
    codes: list[int]
    attempts: list[AttemptRow]
    excuses: Excuses = field(default=NONE)

    def assert_visible(self) -> None:
        """Delivered has arrived; everything else says what became of it."""
        status = self.delivery.status
        if status == "delivered":
            assert any(200 <= code <= 299 for code in self.codes), self
        else:
            assert status in {"failed", "dismissed", "on_hold"}, self
        assert status != "failed" or self.delivery.reason, self

    def assert_explained(self) -> None:
        """Each request belongs to an attempt, or to one that says that it was sent once more; and
        each success but one has its explanation."""
        assert self.delivery.attempts == len(self.attempts), self
        again = sum("again" in (each.phases or {}) for each in self.attempts)
        assert len(self.codes) <= len(self.attempts) + again, self
        good = sum(200 <= code <= 299 for code in self.codes)
        outlived = [pair for pair in combinations(self.attempts, 2) if self._is_outlived(*pair)]
        explained = sum(_may_come_again(each) for each in self.attempts) + again
        assert good <= 1 + explained + len(outlived), self
        for earlier, later in combinations(self.attempts, 2):
            if (earlier.outcome, later.kind) == ("delivered", "scheduled"):
                assert (earlier, later) in outlived, self

    def _is_outlived(self, earlier: AttemptRow, later: AttemptRow) -> bool:
        """Whether one was still under way, though standing still, when the other began."""
        lease = self.excuses.stands_still
        if earlier.outcome == "interrupted":
            return False
        is_late = lease is not None and later.started_at - earlier.started_at >= lease
        return is_late or self._was_forgotten(earlier, later)

    def _was_forgotten(self, earlier: AttemptRow, later: AttemptRow) -> bool:
        """Whether a crash of the database may have taken the claim, though the result came."""
        # What came late is stored behind the one that was begun since.
        first, second = sorted((earlier.started_at, later.started_at))
        return any(
            began - UNFLUSHED <= first <= ended and second >= began
            for began, ended in self.excuses.crashes
        )

    def __str__(self) -> str:
        attempts = [
            (each.outcome, each.kind, each.reason, f"{each.started_at:%T.%f}")
            for each in self.attempts
        ]
        return f"delivery {self.delivery.id}, {self.delivery.status}: {self.codes}, {attempts}"


def _may_come_again(attempt: AttemptRow) -> bool:
    """Cut off, wanted by a person, or answered when we had given up waiting."""
    return (
        attempt.outcome == "interrupted"
        or attempt.kind == "manual"
        or attempt.reason == Reason.READ_TIMEOUT
    )


def _arrivals(receiver: Receiver) -> dict[str, list[int]]:
    """The codes that each delivery was answered with, in order; 0: nobody heard an answer."""
    heard = {id(received): code for received, code in receiver.answered}
    arrived: dict[str, list[int]] = defaultdict(list)
    for received in receiver.received:
        public_id = received.header("X-Asset-Webhook-Id") or ""
        arrived[public_id].append(heard.get(id(received), 0))
    return arrived


def _attempts(receiver: Receiver) -> dict[int, list[AttemptRow]]:
    mine = _to(receiver).with_only_columns(Delivery.id)
    columns = (
        Attempt.outcome,
        Attempt.kind,
        Attempt.reason,
        Attempt.started_at,
        Attempt.phases,
    )
    statement = (
        select(Attempt.delivery_id, *columns)
        .where(Attempt.delivery_id.in_(mine))
        .order_by(Attempt.id)
    )
    found: dict[int, list[AttemptRow]] = defaultdict(list)
    for row in db.session.execute(statement):
        found[row.delivery_id].append(row)
    return found


def _to(receiver: Receiver) -> Select[Delivery]:
    mine = select(Webhook.id).where(Webhook.url.startswith(receiver.url))
    return select(Delivery).where(Delivery.webhook_id.in_(mine))
