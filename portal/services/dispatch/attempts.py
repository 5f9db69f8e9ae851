"""Storing attempts: once each, when they have ended, with what went out and what came back."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.sql.dml import Insert, ReturningInsert

from portal.models.deliveries import Attempt, AttemptBody, AttemptOutcome
from portal.services.core.rowset import as_json, insert_many, update_rows
from portal.services.dispatch.results import Result

# The columns that a result fills, and those that a lease knew already.
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
    "response_headers",
    "response_text",
    "is_truncated",
    "location",
    "detail",
)


def write_attempts(connection: Connection, ended: Sequence[tuple[Result, int]]) -> None:
    """Store an attempt of each of these results, of different deliveries, by these numbers."""
    rows = [
        {
            "delivery_id": result.claim.delivery_id,
            "number": number,
            "kind": result.claim.kind,
            "actor": result.claim.actor,
            "url": result.claim.shown_url,
            "started_at": result.claim.started_at,
            **end_of(result),
            "sender": result.sender,
        }
        for result, number in ended
    ]
    made = connection.execute(_insert_attempts(connection.dialect.name), {"rows": as_json(rows)})
    ids = {row[0]: row[1] for row in made.all()}
    write_bodies(connection, [(result, ids[result.claim.delivery_id]) for result, _ in ended])


def complete(connection: Connection, result: Result, attempt_id: int) -> None:
    """Say of a stored attempt that was taken for interrupted how it did end."""
    row = {"id": attempt_id, **end_of(result), "sender": result.sender}
    update_rows(connection, Attempt, [row])
    write_bodies(connection, [(result, attempt_id)])


def write_bodies(connection: Connection, ended: Iterable[tuple[Result, int]]) -> None:
    """Store what went out and came back with these attempts (their ids)."""
    rows = [{"attempt_id": attempt_id, **body_of(result)} for result, attempt_id in ended]
    connection.execute(_insert_bodies(connection.dialect.name), {"rows": as_json(rows)})


def end_of(result: Result) -> dict[str, Any]:
    """The values of `END`."""
    failed, arrived = AttemptOutcome.FAILED, AttemptOutcome.DELIVERED
    ended = AttemptOutcome.UNREACHED if result.sender else failed
    return {
        "outcome": ended if result.outcome.reason else arrived,
        "reason": result.outcome.reason,
        "code": result.outcome.code,
        "phases": result.phases,
        "peer": result.peer,
        "certificate_ends_at": result.certificate_ends_at,
        "finished_at": result.finished_at,
    }


def body_of(result: Result) -> dict[str, Any]:
    """The values of `BODY`."""
    return {
        "request_headers": result.request_headers,
        "response_headers": result.response_headers,
        "response_text": result.response_text,
        "is_truncated": result.is_truncated,
        "location": result.location,
        "detail": result.detail,
    }


@cache
def _insert_attempts(dialect: str) -> ReturningInsert[*tuple[Any, ...]]:
    made = insert_many(dialect, Attempt, (*BEGUN, *END, "sender"))
    return made.returning(Attempt.delivery_id, Attempt.id)


@cache
def _insert_bodies(dialect: str) -> Insert:
    return insert_many(dialect, AttemptBody, ("attempt_id", *BODY))
