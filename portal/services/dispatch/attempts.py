"""Storing attempts: once each, when they have ended, with what went out and what came back."""

from collections.abc import Iterable, Sequence, Set
from functools import cache
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, Uuid, and_, delete, insert, select
from sqlalchemy.sql.dml import Delete, Insert, ReturningInsert

from portal.models.deliveries import Attempt, AttemptBody, AttemptOutcome, Delivery, Lease
from portal.services.core.rowset import Rowset, as_json, given_ids, insert_many, update_rows
from portal.services.dispatch.results import Result
from portal.services.outbox.leases import next_number

_END: Final = (
    "outcome",
    "reason",
    "code",
    "phases",
    "peer",
    "certificate_ends_at",
    "finished_at",
)
_BEGUN: Final = ("delivery_id", "number", "kind", "actor", "url", "started_at")
_BODY: Final = (
    "attempt_id",
    "request_headers",
    "response_headers",
    "response_text",
    "is_truncated",
    "location",
    "detail",
)


def end_leased(connection: Connection, results: Sequence[Result]) -> Set[int]:
    """End the leases that are still the ones that were sent under: each becomes its attempt.

    Of different deliveries, whose webhooks are locked. Returns the deliveries whose it was.
    """
    dialect = connection.dialect.name
    rows = [
        {"delivery_id": each.claim.delivery_id, "token": each.claim.token, **_end_of(each)}
        for each in results
    ]
    made = connection.execute(_end_leases(dialect), {"rows": as_json(rows)}).all()
    ids = {row[0]: row[1] for row in made}
    if ids:
        connection.execute(_remove_leases(dialect), {"ids": as_json(ids)})
        ended = [each for each in results if each.claim.delivery_id in ids]
        _write_bodies(connection, [(each, ids[each.claim.delivery_id]) for each in ended])
    return ids.keys()


def write(connection: Connection, ended: Sequence[tuple[Result, int]]) -> None:
    """Store an attempt of each of these results, of different deliveries, by these numbers."""
    rows = [
        {
            "delivery_id": result.claim.delivery_id,
            "number": number,
            "kind": result.claim.kind,
            "actor": result.claim.actor,
            "url": result.claim.shown_url,
            "started_at": result.claim.started_at,
            **_end_of(result),
        }
        for result, number in ended
    ]
    made = connection.execute(_insert_attempts(connection.dialect.name), {"rows": as_json(rows)})
    ids = {row[0]: row[1] for row in made.all()}
    _write_bodies(connection, [(result, ids[result.claim.delivery_id]) for result, _ in ended])


def complete(connection: Connection, result: Result, attempt_id: int) -> None:
    """Say of a stored attempt that was taken for interrupted how it did end."""
    update_rows(connection, Attempt, [{"id": attempt_id, **_end_of(result)}])
    _write_bodies(connection, [(result, attempt_id)])


def _end_of(result: Result) -> dict[str, Any]:
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


def _write_bodies(connection: Connection, ended: Iterable[tuple[Result, int]]) -> None:
    rows = [
        {
            "attempt_id": attempt_id,
            "request_headers": result.request_headers,
            "response_headers": result.response_headers,
            "response_text": result.response_text,
            "is_truncated": result.is_truncated,
            "location": result.location,
            "detail": result.detail,
        }
        for result, attempt_id in ended
    ]
    connection.execute(_insert_bodies(connection.dialect.name), {"rows": as_json(rows)})


@cache
def _insert_attempts(dialect: str) -> ReturningInsert[*tuple[Any, ...]]:
    made = insert_many(dialect, Attempt, (*_BEGUN, *_END))
    return made.returning(Attempt.delivery_id, Attempt.id)


@cache
def _end_leases(dialect: str) -> ReturningInsert[*tuple[Any, ...]]:
    table = Attempt.__table__
    types = {name: table.c[name].type for name in _END}
    given = Rowset(dialect, delivery_id=BigInteger(), token=Uuid(), **types)
    values: dict[str, Any] = {name: given[name] for name in _END}
    values |= {name: getattr(Lease, name) for name in _BEGUN if name != "number"}
    values["number"] = next_number(Lease.number)
    is_same = and_(Lease.delivery_id == given["delivery_id"], Lease.token == given["token"])
    rows = (
        select(*values.values())
        .select_from(given.source)
        .join(Lease, is_same)
        .join(Delivery, Delivery.id == Lease.delivery_id)
    )
    made = insert(Attempt).from_select(list(values), rows)
    return made.returning(Attempt.delivery_id, Attempt.id)


@cache
def _remove_leases(dialect: str) -> Delete:
    return delete(Lease).where(Lease.delivery_id.in_(given_ids(dialect)))


@cache
def _insert_bodies(dialect: str) -> Insert:
    return insert_many(dialect, AttemptBody, _BODY)
