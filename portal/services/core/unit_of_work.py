"""The unit of work, which is one writing transaction with its clock and the actor checked
inside."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final, TypeVar
from uuid import UUID

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.database.engine import database_now
from portal.extensions import db
from portal.lib.clock import common_now, frozen_at
from portal.models.operations import Submission
from portal.queue.notifier import notify_after_commit
from portal.services.core.refusals import Refusal

T = TypeVar("T")

WRITING = "writing"
NOW = "now"


def session() -> Session:
    """Return the session of the current application context."""
    current: Session = db.session()
    return current


@contextmanager
def writing() -> Iterator[Session]:
    """Run everything inside in one transaction, which commits at the end or not at all.

    It ends the open read transaction first, so that all checks read again under the writing one.
    Inside another `writing()` it joins the outer one.
    """
    current = session()
    if current.info.get(WRITING):
        yield current
        return
    current.rollback()
    current.connection(execution_options={"writing": True})
    current.info[WRITING] = True
    try:
        yield current
        current.commit()
    except BaseException:
        current.rollback()
        raise
    finally:
        current.info.pop(WRITING, None)


def database_time(current: Session) -> datetime:
    """Return the database's clock, read once per transaction. Due times are judged by it."""
    if (moment := frozen_at()) is not None:
        return moment
    connection = current.connection()
    transaction, now = current.info.get(NOW, (None, None))
    if transaction is not current.get_transaction() or now is None:
        now = database_now(connection)
        current.info[NOW] = (current.get_transaction(), now)
    read_at: datetime = now
    return read_at


def notify(current: Session) -> None:
    """Notify the senders after the outermost commit."""
    notify_after_commit(current)


def insert_or_ignore(connection: Connection) -> Callable[..., postgresql.Insert | sqlite.Insert]:
    """Return this database's `INSERT` that supports ON CONFLICT DO NOTHING."""
    return sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert


class KeyTaken(Refusal):
    """Refusal of a program's key that was used with another request before."""

    status = 422

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was already used with a different request. Use a new one."
        )


def once_only(
    owner: str,
    once: UUID,
    verb: Callable[[], T],
    path: Callable[[T], str],
    fingerprint: str | None = None,
) -> str:
    """Run `verb` the first time this form is sent. Return the path of its result every time.

    The row is unique by (owner, once). A second submission waits for the first, then finds its
    path. A refusal rolls everything back, so the form keeps its token. Raise `KeyTaken` if the
    first one had another `fingerprint`.
    """
    with writing() as current:
        make = insert_or_ignore(current.connection())
        statement = make(Submission).values(
            owner=owner,
            once=once,
            result_path="",
            fingerprint=fingerprint,
            created_at=common_now(),
        )
        made = current.execute(statement.on_conflict_do_nothing().returning(Submission.id))
        row_id = made.scalar_one_or_none()
        if row_id is None:
            earlier = select(Submission.result_path, Submission.fingerprint).where(
                Submission.owner == owner, Submission.once == once
            )
            result_path, known = current.execute(earlier).one()
            if known != fingerprint:
                raise KeyTaken
            return str(result_path)
        result_path = path(verb())
        current.execute(
            update(Submission).where(Submission.id == row_id).values(result_path=result_path)
        )
        return result_path


__all__ = ["database_time", "insert_or_ignore", "notify", "once_only", "session", "writing"]

ROUNDS: Final = 5


def keep_unique(current: Session, look: Callable[[], None], store: Callable[[], T]) -> T:
    """Have `look` refuse taken values, then have `store` write. Repeat if a rival committed in
    between.

    The unique indexes decide. The loser looks again and now sees the winner's row.
    """
    for _ in range(ROUNDS):
        look()
        try:
            with current.begin_nested():
                return store()
        except IntegrityError:
            continue
    raise Refusal("Not saved. Several people are saving this right now. Try again.")
