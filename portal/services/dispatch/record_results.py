"""Record the results of attempts under their leases, many in one transaction.

Safe to run twice with the same results. A commit whose answer was lost is made again.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from datetime import datetime
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    Select,
    Update,
    Uuid,
    and_,
    bindparam,
    delete,
    insert,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy import Sequence as IdSequence
from sqlalchemy.sql.dml import Delete, Insert, ReturningInsert

from portal.database.engine import AnyRow, UtcDateTime, database_now
from portal.engine.circuit_breaker import End
from portal.engine.retry_policy import (
    AttemptKind,
    Decision,
    Delivered,
    TurnOff,
    decide,
)
from portal.extensions import settings
from portal.lib.typed_text import on_one_line
from portal.models.deliveries import (
    OPEN,
    Attempt,
    AttemptBody,
    AttemptOutcome,
    Delivery,
    DeliveryStatus,
    Event,
    Lease,
    Priority,
)
from portal.models.webhooks import WebhookState
from portal.services.core.queries import Rowset, as_json, given_ids, insert_many, update_rows
from portal.services.dispatch.request import Result
from portal.services.outbox import leases, rollups
from portal.services.outbox.leases import (
    OPEN_DELIVERY,
    columns,
    failing_since,
    next_number,
    open_delivery_of,
)
from portal.services.webhooks import turn_on_off
from portal.services.webhooks.health import HealthRow, lock_webhooks, still_there, write_health

log = logging.getLogger(__name__)

LONGEST_DETAIL: Final = 200  # characters of an error text from a library or a receiver
# A success changes only the status of such a delivery. Nearly all deliveries are simple.
_IS_SIMPLE: Final[ColumnElement[bool]] = and_(
    Delivery.priority == literal_column(str(int(Priority.NORMAL))),
    Delivery.prior_status.is_(None),
    Delivery.requested_by.is_(None),
    Delivery.reason.is_(None),
)
_ATTEMPT_IDS: Final = IdSequence("attempts_id_seq")  # PostgreSQL's, as the migrations created it
_ARRIVED: Final[ColumnElement[Any]] = literal_column(f"'{AttemptOutcome.DELIVERED}'")


class LeasedDelivery(NamedTuple):
    """A delivery that was in flight. Nobody else changes it until its result is recorded.

    `attempts`: number of attempts that ended before. `is_simple`: a success changes only its
    status.
    """

    id: int
    attempts: int
    priority: int
    prior_status: str | None
    is_simple: bool


def end(
    connection: Connection, results: Sequence[Result], now: datetime
) -> dict[int, LeasedDelivery]:
    """Turn leases that still match a result into attempts.

    The results are of different deliveries, whose webhooks are locked. Return the deliveries with
    matching leases in their earlier state. Simple ones that arrived already have their new status,
    the others not yet.
    """
    if connection.dialect.name == "sqlite":
        return _end_in_steps(connection, results, now)
    rows = as_json(
        {**_key_of(result), **end_of(result), **body_of(result), **_attempt_values(result)}
        for result in results
    )
    leased = connection.execute(_end_at_once(), {"rows": rows, "now": now})
    return {row[0]: LeasedDelivery._make(row) for row in leased.all()}


def _key_of(result: Result) -> dict[str, Any]:
    return {"delivery_id": result.claim.delivery_id, "token": result.claim.token}


def _attempt_values(result: Result) -> dict[str, Any]:
    return {"tries": result.claim.tries, "took_ms": result.took_ms}


@cache
def _end_at_once() -> Select[*tuple[Any, ...]]:
    """Return rows of `LeasedDelivery` from before, because a statement does not see its own
    writes."""
    table, bodies = Attempt.__table__, AttemptBody.__table__
    types = {name: table.c[name].type for name in END}
    types |= {name: bodies.c[name].type for name in BODY}
    counts = {"tries": Integer(), "took_ms": Integer()}
    rowset = Rowset("postgresql", delivery_id=BigInteger(), token=Uuid(), **types, **counts)
    ended = [rowset[name] for name in (*types, *counts)]
    is_same = and_(Lease.delivery_id == rowset["delivery_id"], Lease.token == rowset["token"])
    begun = [getattr(Lease, name) for name in BEGUN]
    gone = delete(Lease).where(is_same).returning(*begun, *ended).cte("gone")
    number = next_number(gone.c.number).label("next_number")
    state = (Delivery.attempts, Delivery.priority, Delivery.prior_status)
    # The ids are drawn in advance. The planner expects one row from each CTE, so a join of two
    # would compare every pair of rows.
    attempt_id = _ATTEMPT_IDS.next_value().label("attempt_id")
    before = (
        select(gone, number, attempt_id, *state, _IS_SIMPLE.label("is_simple"))
        .join(Delivery, Delivery.id == gone.c.delivery_id)
        .cte("before")
    )
    values = {name: before.c[name] for name in (*BEGUN, *END)}
    values |= {"id": before.c.attempt_id, "number": before.c.next_number}
    made = insert(Attempt).from_select(list(values), select(*values.values()))
    texts = select(before.c.attempt_id, *(before.c[name] for name in BODY))
    stored = insert(AttemptBody).from_select(["attempt_id", *BODY], texts)
    is_over = and_(Delivery.id == before.c.delivery_id, before.c.is_simple)
    arrived = (
        update(Delivery)
        .where(is_over, before.c.outcome == _ARRIVED)
        .values(
            attempts=before.c.next_number,
            **{name: before.c[name] for name in ("tries", "code", "took_ms")},
            **_delivered_values(),
        )
    )
    columns = [before.c[name] for name in ("attempts", "priority", "prior_status", "is_simple")]
    written = made.cte("made"), stored.cte("stored"), arrived.cte("arrived")
    return select(before.c.delivery_id, *columns).add_cte(*written)


def read(connection: Connection, ids: Sequence[int]) -> dict[int, LeasedDelivery]:
    """Return the deliveries with these ids. Their webhooks are locked."""
    rows = connection.execute(_by_id(connection.dialect.name), {"ids": as_json(ids)})
    return {row[0]: LeasedDelivery._make(row) for row in rows.all()}


@cache
def _by_id(dialect: str) -> Select[*tuple[Any, ...]]:
    """Select the columns of `LeasedDelivery`."""
    columns = (Delivery.id, Delivery.attempts, Delivery.priority, Delivery.prior_status)
    return select(*columns, _IS_SIMPLE).where(Delivery.id.in_(given_ids(dialect)))


def _end_in_steps(
    connection: Connection, results: Sequence[Result], now: datetime
) -> dict[int, LeasedDelivery]:
    rows = as_json({**_key_of(result), **end_of(result)} for result in results)
    made = connection.execute(_make_attempts(), {"rows": rows}).all()
    ids = {row[0]: row[1] for row in made}
    if not ids:
        return {}
    connection.execute(_remove_leases(), {"ids": as_json(ids)})
    ended = [result for result in results if result.claim.delivery_id in ids]
    write_bodies(connection, [(result, ids[result.claim.delivery_id]) for result in ended])
    leased = read(connection, list(ids))
    arrived = [
        {
            "id": (before := leased[result.claim.delivery_id]).id,
            "attempts": max(result.claim.number, before.attempts + 1),
            "code": result.outcome.code,
            **_attempt_values(result),
        }
        for result in ended
        if result.outcome.reason is None and leased[result.claim.delivery_id].is_simple
    ]
    if arrived:
        connection.execute(_deliver(), {"rows": as_json(arrived), "now": now})
    return leased


@cache
def _make_attempts() -> ReturningInsert[*tuple[Any, ...]]:
    table = Attempt.__table__
    types = {name: table.c[name].type for name in END}
    rowset = Rowset("sqlite", delivery_id=BigInteger(), token=Uuid(), **types)
    values: dict[str, Any] = {name: rowset[name] for name in END}
    values |= {name: getattr(Lease, name) for name in BEGUN}
    values["number"] = next_number(Lease.number)
    is_same = and_(Lease.delivery_id == rowset["delivery_id"], Lease.token == rowset["token"])
    rows = (
        select(*values.values())
        .select_from(rowset.source)
        .join(Lease, is_same)
        .join(Delivery, Delivery.id == Lease.delivery_id)
    )
    made = insert(Attempt).from_select(list(values), rows)
    return made.returning(Attempt.delivery_id, Attempt.id)


@cache
def _remove_leases() -> Delete:
    return delete(Lease).where(Lease.delivery_id.in_(given_ids("sqlite")))


@cache
def _deliver() -> Update:
    names = ("attempts", "tries", "code", "took_ms")
    rowset = Rowset("sqlite", id=BigInteger(), **dict.fromkeys(names, Integer()))
    values = {name: rowset[name] for name in names}
    return (
        update(Delivery).where(Delivery.id == rowset["id"]).values(**values, **_delivered_values())
    )


def _delivered_values() -> dict[str, Any]:
    """Return the values that every simple success gets."""
    return {
        "status": literal_column(f"'{DeliveryStatus.DELIVERED}'"),
        "finished_at": bindparam("now", type_=UtcDateTime()),
    }


NOT_READ: Final = object()  # equals nothing, so that such a column is always written


class Decided(NamedTuple):
    """The decision on an attempt that counts. `before`: its delivery's earlier state, which nobody
    else changes."""

    result: Result
    before: LeasedDelivery
    decision: Decision

    @property
    def number(self) -> int:
        """Return the attempt's number, or the next free one if a late attempt has taken it."""
        return max(self.result.claim.number, self.before.attempts + 1)

    @property
    def is_simple_success(self) -> bool:
        """Return whether it changes only the status, as nearly all do. No more need be read
        then."""
        return self.before.is_simple and isinstance(self.decision, Delivered)


def decide_results(
    results: Iterable[Result],
    leased: Mapping[int, LeasedDelivery],
    jitter: Callable[[], float],
    now: datetime,
) -> list[Decided]:
    """Decide on the deliveries in `leased`, whose leases have ended and whose webhooks are
    locked."""
    schedule = settings().webhook_retry_schedule
    return [
        Decided(
            result,
            leased[result.claim.delivery_id],
            decide(
                kind=result.claim.kind,
                tries=result.claim.tries,
                outcome=result.outcome,
                now=now,
                jitter=jitter(),
                schedule=schedule,
            ),
        )
        for result in results
        if result.claim.delivery_id in leased
    ]


def write_deliveries(
    connection: Connection, decided: Sequence[Decided], written: Set[int], now: datetime
) -> None:
    """Write and count the deliveries' new status. `written`: ids of deliveries whose simple
    successes already have it."""
    simple: Counter[tuple[int, bool]] = Counter()
    others = []
    for attempt in decided:
        if attempt.is_simple_success and attempt.before.id in written:
            simple[attempt.result.claim.webhook.id, attempt.result.is_late] += 1
        else:
            others.append(attempt)
    entries = Counter(
        {_arrival(id_, is_late=is_late): many for (id_, is_late), many in simple.items()}
    )
    if others:
        known = _others(connection, [attempt.before.id for attempt in others])
        after = {
            attempt.before.id: _after(attempt, known[attempt.before.id], now) for attempt in others
        }
        rows = [
            _delivery_values(attempt) | _changed(after[attempt.before.id], known[attempt.before.id])
            for attempt in others
        ]
        update_rows(connection, Delivery, rows)
        entries.update(
            _entry(attempt, row["status"]) for attempt, row in zip(others, rows, strict=True)
        )
    rollups.count(connection, entries, now)


def _arrival(webhook_id: int, *, is_late: bool) -> rollups.StatusChange:
    """Return the status change of a simple success."""
    delivered = DeliveryStatus.DELIVERED
    return rollups.StatusChange(webhook_id, delivered, Priority.NORMAL, is_late=is_late)


def _delivery_values(decided: Decided) -> dict[str, Any]:
    """Return the values that every attempt changes."""
    result = decided.result
    return {
        "id": decided.before.id,
        "attempts": decided.number,
        "tries": result.claim.tries,
        "code": result.outcome.code,
        "took_ms": result.took_ms,
    }


def _entry(decided: Decided, status: str) -> rollups.StatusChange:
    result, before = decided.result, decided.before
    return rollups.StatusChange(
        result.claim.webhook.id,
        status,
        before.priority,
        before.prior_status,
        has_failed=result.outcome.reason is not None,
        is_late=result.is_late,
    )


def _others(connection: Connection, ids: Sequence[int]) -> dict[int, AnyRow]:
    rows = connection.execute(_whole(connection.dialect.name), {"ids": as_json(ids)})
    return {row.id: row for row in rows.all()}


@cache
def _whole(dialect: str) -> Select[*tuple[Any, ...]]:
    columns = (Delivery.id, Delivery.reason, *OPEN_DELIVERY)
    return select(*columns).where(Delivery.id.in_(given_ids(dialect)))


def _after(decided: Decided, before: AnyRow, now: datetime) -> dict[str, Any]:
    """Return the new values of a delivery, with `failing_since` after its first failure."""
    result = decided.result
    values = columns(decided.decision, open_delivery_of(before), now)
    values["reason"] = result.outcome.reason
    if result.outcome.reason is not None:
        values["failing_since"] = failing_since(values, result.finished_at)
    return values


def _changed(values: Mapping[str, Any], before: AnyRow) -> dict[str, Any]:
    """Return only the changed values and the status. SQLite rewrites every index whose column is
    named, changed or not."""
    changed = {name: v for name, v in values.items() if v != getattr(before, name, NOT_READ)}
    return {"status": values["status"], **changed}


class Journal:
    """The log lines of one batch, written once it is committed."""

    def __init__(self) -> None:
        self._failed: Sequence[Result] = ()
        self._requests: Mapping[int, str | None] = {}
        self._pauses: Mapping[int, int] = {}

    def note(
        self, connection: Connection, failed: Sequence[Result], pauses: Mapping[int, int]
    ) -> None:
        """Remember the failures, and the request that caused each of their events.

        `pauses`: backoff of webhooks in seconds, by row id.
        """
        self._failed, self._pauses = failed, pauses
        if failed:
            ids = {"ids": as_json({result.claim.delivery_id for result in failed})}
            rows = connection.execute(_requests_of(connection.dialect.name), ids)
            self._requests = {row[0]: row[1] for row in rows.all()}

    def write(self) -> None:
        last = {}
        for result in self._failed:
            claim = result.claim
            last[claim.webhook.id] = result
            # The text comes from libcurl, or from a receiver through it. Secrets are masked.
            detail = on_one_line(result.detail[:LONGEST_DETAIL])
            log.warning(
                "Attempt %s of delivery %s to webhook %s failed: %s, after %s ms%s",
                claim.number,
                claim.public_id,
                claim.webhook.public_id,
                _why(result),
                result.took_ms,
                f": {detail}" if detail else "",
                extra=self._extra(result),
            )
        for webhook_id, seconds in self._pauses.items():
            if (cause := last.get(webhook_id)) is not None:
                log.warning(
                    "Webhook %s backs off for %s s: %s",
                    cause.claim.webhook.public_id,
                    seconds,
                    _why(cause),
                    extra={**self._extra(cause), "pause_s": seconds},
                )

    def _extra(self, result: Result) -> dict[str, Any]:
        """Return the same facts as structured fields."""
        claim, outcome = result.claim, result.outcome
        request = self._requests.get(claim.delivery_id)
        return {
            "delivery": claim.public_id,
            "webhook": str(claim.webhook.public_id),
            "attempt": claim.number,
            "reason": str(outcome.reason),
            "code": outcome.code,
            "took_ms": result.took_ms,
            **({"request_id": request} if request else {}),
        }


def _why(result: Result) -> str:
    """Return the reason, with the code if there is one."""
    reason, code = result.outcome.reason, result.outcome.code
    return f"{reason} ({code})" if code else str(reason)


@cache
def _requests_of(dialect: str) -> Select[*tuple[Any, ...]]:
    return (
        select(Delivery.id, Event.request_id)
        .join(Event, Event.id == Delivery.event_id)
        .where(Delivery.id.in_(given_ids(dialect)))
    )


def record(
    connection: Connection,
    results: Sequence[Result],
    jitter: Callable[[], float],
    journal: Journal | None = None,
) -> Sequence[Result]:
    """Write `results`. Return the ones whose webhooks another transaction has locked, to write
    later.

    `connection` is in a writing transaction. If the lease is lost, the attempt is stored but
    decides only if nothing newer has happened (`write_late_attempt`). `journal` notes failures.
    """
    # Sending, retrying, stopping and holding need the webhook's lock, so nobody does them now.
    ids = {result.claim.webhook.id for result in results}
    moment, webhooks = lock_webhooks(connection, ids)
    now = moment or database_now(connection)
    locked = still_there(connection, ids - webhooks.keys())
    later = [each for each in results if each.claim.webhook.id in locked]
    if later:
        results = [each for each in results if each.claim.webhook.id not in locked]
    decided = [
        each for batch in _one_of_each(results) for each in _end(connection, batch, jitter, now)
    ]
    pauses = write_health(connection, webhooks, _ends(decided, webhooks), now)
    if journal is not None:
        failed = [each for each in results if each.outcome.reason is not None]
        journal.note(connection, failed, pauses)
    _turn_off(connection, decided, webhooks)
    for webhook_id, webhook in webhooks.items():
        if webhook.deleted_at is not None or webhook.state != WebhookState.ACTIVE:
            # It was turned off or deleted in the meantime, so retries are put on hold or dismissed.
            turn_on_off.hold_open(connection, webhook_id)
    return later


def _one_of_each(results: Sequence[Result]) -> Iterator[Sequence[Result]]:
    """Yield batches with one result per delivery, nearly always a single batch.

    A dispatcher that stood still beyond its lease may hold two attempts of one delivery. They are
    recorded in turn, because the second depends on the first.
    """
    while results:
        first: dict[int, Result] = {}
        for result in results:
            first.setdefault(result.claim.delivery_id, result)
        yield list(first.values())
        results = [result for result in results if first[result.claim.delivery_id] is not result]


def _end(
    connection: Connection, results: Sequence[Result], jitter: Callable[[], float], now: datetime
) -> Sequence[Decided]:
    """End the attempts, and decide on their deliveries where an attempt counts.

    It counts if its lease is still the same, or if the lease was lost with the database and nobody
    has another.
    """
    leased = end(connection, results, now)
    written = leased.keys()
    late = [
        each.claim.delivery_id
        for each in results
        if each.claim.delivery_id not in written and write_late_attempt(connection, each, now)
    ]
    if late:
        known = read(connection, late)
        # Their attempts are counted already.
        counted = {id_: each._replace(attempts=each.attempts - 1) for id_, each in known.items()}
        leased = leased | counted
    decided = decide_results(results, leased, jitter, now)
    write_deliveries(connection, decided, written, now)
    return decided


def _ends(decided: Sequence[Decided], webhooks: Mapping[int, HealthRow]) -> dict[int, list[End]]:
    """Return the ends of each webhook's attempts in order of time."""
    ends: dict[int, list[End]] = defaultdict(list)
    in_turn = sorted((each.result for each in decided), key=lambda each: each.finished_at)
    for result in in_turn:
        ends[result.claim.webhook.id].append(
            End(
                kind=result.claim.kind,
                reason=result.outcome.reason,
                retry_after=result.outcome.retry_after,
                was_probe=result.claim.webhook.throttled,
                is_outdated=_is_outdated(result, webhooks),
            )
        )
    return ends


def _is_outdated(result: Result, webhooks: Mapping[int, HealthRow]) -> bool:
    """Return whether the webhook was changed after the claim."""
    sent_to = result.claim.webhook
    return sent_to.id in webhooks and webhooks[sent_to.id].version != sent_to.version


def _turn_off(
    connection: Connection, decided: Sequence[Decided], webhooks: Mapping[int, HealthRow]
) -> None:
    """Turn off webhooks whose receiver closed its URL. Only a person can turn them on again."""
    gone = {
        attempt.result.claim.webhook.id
        for attempt in decided
        if isinstance(attempt.decision, TurnOff) and not _is_outdated(attempt.result, webhooks)
    }
    for webhook_id in sorted(gone):
        turn_on_off.turn_off_gone(connection, webhook_id)


# Columns that a result fills, and columns that the lease already has.
END: Final = (
    "outcome",
    "reason",
    "code",
    "phases",
    "peer",
    "certificate_ends_at",
    "finished_at",
)
BEGUN: Final = ("delivery_id", "number", "kind", "actor", "url", "started_at")
BODY: Final = (
    "request_headers",
    "request_body",
    "response_headers",
    "response_text",
    "is_truncated",
    "location",
    "detail",
)


def write_attempts(connection: Connection, ended: Sequence[tuple[Result, int]]) -> None:
    """Store an attempt for each result, with this number. All are of different deliveries."""
    rows = [
        {
            "delivery_id": result.claim.delivery_id,
            "number": number,
            "kind": result.claim.kind,
            "actor": result.claim.actor,
            "url": result.claim.shown_url,
            "started_at": result.claim.started_at,
            **end_of(result),
        }
        for result, number in ended
    ]
    made = connection.execute(_insert_attempts(connection.dialect.name), {"rows": as_json(rows)})
    ids = {row[0]: row[1] for row in made.all()}
    write_bodies(connection, [(result, ids[result.claim.delivery_id]) for result, _ in ended])


def complete(connection: Connection, result: Result, attempt_id: int) -> None:
    """Store the actual end of an attempt that counted as interrupted."""
    row = {"id": attempt_id, **end_of(result)}
    update_rows(connection, Attempt, [row])
    write_bodies(connection, [(result, attempt_id)])


def write_bodies(connection: Connection, ended: Iterable[tuple[Result, int]]) -> None:
    """Store the requests and responses of these attempts (by id)."""
    rows = [{"attempt_id": attempt_id, **body_of(result)} for result, attempt_id in ended]
    connection.execute(_insert_bodies(connection.dialect.name), {"rows": as_json(rows)})


def end_of(result: Result) -> dict[str, Any]:
    """Return the values of `END`."""
    failed, arrived = AttemptOutcome.FAILED, AttemptOutcome.DELIVERED
    return {
        "outcome": failed if result.outcome.reason else arrived,
        "reason": result.outcome.reason,
        "code": result.outcome.code,
        "phases": result.phases,
        "peer": result.peer,
        "certificate_ends_at": result.certificate_ends_at,
        "finished_at": result.finished_at,
    }


def body_of(result: Result) -> dict[str, Any]:
    """Return the values of `BODY`, without the request body if it is the event's own."""
    made = {} if result.request_body is None else {"request_body": result.request_body}
    return {
        **made,
        "request_headers": result.request_headers,
        "response_headers": result.response_headers,
        "response_text": result.response_text,
        "is_truncated": result.is_truncated,
        "location": result.location,
        "detail": result.detail,
    }


@cache
def _insert_attempts(dialect: str) -> ReturningInsert[*tuple[Any, ...]]:
    made = insert_many(dialect, Attempt, (*BEGUN, *END))
    return made.returning(Attempt.delivery_id, Attempt.id)


@cache
def _insert_bodies(dialect: str) -> Insert:
    return insert_many(dialect, AttemptBody, ("attempt_id", *BODY))


def write_late_attempt(connection: Connection, result: Result, now: datetime) -> bool:
    """Store the attempt of a result whose lease is gone. Return whether it also decides on its
    delivery, because nothing has happened to that meanwhile.

    The webhook's row is locked. Safe to run twice, because stored attempts stay as they are.
    """
    claim = result.claim
    columns = select(Delivery.status, Delivery.attempts, Delivery.prior_status)
    locked = columns.where(Delivery.id == claim.delivery_id).with_for_update()
    delivery = connection.execute(locked).one_or_none()
    if delivery is None:  # no longer stored
        return False
    if (attempt := _own_attempt(connection, result)) is not None:
        # If it has an end, this batch is a repeat after the answer to its commit was lost.
        if attempt.outcome != AttemptOutcome.INTERRUPTED or attempt.finished_at is not None:
            return False
        complete(connection, result, attempt.id)
        _note_failure(connection, result, now)
        # Its lease expired. A failed one is already due.
        is_last = delivery.attempts == attempt.number and result.outcome.reason is None
        return is_last and _is_free(connection, result, delivery)
    number = delivery.attempts + 1
    write_attempts(connection, [(result, number)])
    counted = update(Delivery).where(Delivery.id == claim.delivery_id)
    connection.execute(counted.values(attempts=number))
    _note_failure(connection, result, now)
    # Its lease was lost in a crash of the database.
    return number == claim.number and _is_free(connection, result, delivery)


def _note_failure(connection: Connection, result: Result, now: datetime) -> None:
    """Set a queued delivery to Retrying after a late failure, and store when it failed.

    A resent delivery that had arrived before keeps its status.
    """
    if result.outcome.reason is None:
        return
    is_new = or_(Delivery.prior_status.is_(None), Delivery.prior_status != DeliveryStatus.DELIVERED)
    is_queued = Delivery.status == DeliveryStatus.QUEUED
    of_it = update(Delivery).where(Delivery.id == result.claim.delivery_id, is_queued, is_new)
    connection.execute(of_it.values(status=DeliveryStatus.RETRYING))
    row = _others(connection, [result.claim.delivery_id]).get(result.claim.delivery_id)
    if row is None:
        return
    since = failing_since(row._asdict(), result.finished_at)
    if since != row.failing_since:
        mine = update(Delivery).where(Delivery.id == row.id)
        connection.execute(mine.values(failing_since=since))


def _own_attempt(connection: Connection, result: Result) -> AnyRow | None:
    """Return the stored attempt, which only this result began at that time."""
    claim = result.claim
    own = select(Attempt.id, Attempt.number, Attempt.outcome, Attempt.finished_at).where(
        Attempt.delivery_id == claim.delivery_id, Attempt.started_at == claim.started_at
    )
    return connection.execute(own).one_or_none()


def _is_free(connection: Connection, result: Result, delivery: AnyRow) -> bool:
    """Return whether the delivery waits for an attempt of this kind that no process is making."""
    is_persons = result.claim.kind is AttemptKind.MANUAL
    if delivery.status not in leases.MAY_BE_SENT:
        return False
    # A dismissed delivery keeps its earlier state, but not whose attempt was in flight.
    is_open = delivery.status in OPEN
    if is_open and is_persons != (delivery.prior_status is not None):
        return False
    lease = select(Lease.delivery_id).where(Lease.delivery_id == result.claim.delivery_id)
    return connection.execute(lease).one_or_none() is None
