"""Clean up deliveries of turned-off webhooks, resume those of recovered receivers, and reclaim the
leases of dead processes.

An event that was being stored while its webhook was turned off can leave such a delivery.
"""

import logging
import random
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from functools import partial
from time import monotonic
from typing import Final, TypeAlias
from uuid import UUID

from sqlalchemy import Connection, Select, bindparam, delete, exists, or_, select, union, update

from portal.database.engine import AnyRow, database_now
from portal.lib.clock import utcnow
from portal.models.deliveries import Attempt, AttemptOutcome, Delivery, DeliveryStatus, Lease
from portal.models.webhooks import Webhook, WebhookState
from portal.services import tasks as task_leases
from portal.services.core import heartbeats
from portal.services.core.unit_of_work import session, writing
from portal.services.dispatch.claim import Claim
from portal.services.outbox import leases
from portal.services.outbox.claimable import with_open_rows
from portal.services.webhooks import turn_on_off
from portal.services.webhooks.held_deliveries import SPREAD, waiting_for_later

log = logging.getLogger(__name__)

PATIENCE: Final = 0.5  # seconds during which deliveries wait, so the next run does the rest
SPREAD_A_STEP: Final = 500

Free: TypeAlias = Callable[[Connection], set[UUID]]


def maintain() -> int:
    """Hold or stop unwanted open deliveries, spread resumed ones, and turn expired leases into
    attempts.

    Return the number of changed deliveries. Tests are not touched. Nothing is written without need,
    and large amounts take several transactions.
    """
    reclaim_ended(_in_a_transaction)
    connection = session().connection()
    if is_any_silent(connection):
        _in_a_transaction(reclaim_silent)
        connection = session().connection()
    if not (_any_ended(connection) or find_unwanted(connection) or _any_reopened(connection)):
        return 0
    until = monotonic() + PATIENCE
    with writing() as current:
        touched = interrupt_ended(current.connection()) + resume_recovered(current.connection())
        touched += (held := hold_unwanted(current.connection()))
    while held >= turn_on_off.HOLD_BATCH and monotonic() < until:
        with writing() as current:
            touched += (held := hold_unwanted(current.connection()))
    return touched


def maintain_on(connection: Connection, without: Collection[int] = ()) -> int:
    """Do one round in the caller's writing transaction. Return how many deliveries it held or
    stopped.

    `without`: webhooks with unrecorded results. Their leases may have expired, and requests that
    have arrived would be sent again.
    """
    interrupt_ended(connection, without)
    resume_recovered(connection)
    return hold_unwanted(connection)


def reclaim_ended(write: Callable[[Free], set[UUID] | None]) -> None:
    """End the leases of processes that died on this machine, so that their deliveries go again.

    `write` runs the work in a transaction and returns None if it cannot now. A lock file is removed
    only once nothing was left to reclaim, because the database may finish a dead process's last
    work a moment later.
    """
    with heartbeats.ended_processes() as over:
        ids = [process.id for process in over]
        freed = write(partial(reclaim, over=ids)) if ids else None
        for process in over:
            if freed is not None and process.id not in freed:
                heartbeats.remove_lock(process)


def is_any_silent(connection: Connection) -> bool:
    """Return whether a process on any machine holds leases but has sent no heartbeat for a while.
    It has died, or is suspended or cut off and may return with results.

    Reclaim these in a separate transaction, because recording locks webhooks and waits for leases.
    """
    return connection.execute(_silent(database_now(connection)).limit(1)).first() is not None


def reclaim_silent(connection: Connection) -> set[UUID]:
    """End the leases of silent processes and return their runs.

    The statements that end leases check for silence themselves. A process that has woken up records
    a heartbeat with its claims, and is sending these.
    """
    return reclaim(connection, _silent(database_now(connection)))


def _silent(now: datetime) -> Select[UUID | None]:
    held = select(Lease.run).where(Lease.run.is_not(None), Lease.until > now)
    return heartbeats.silent_among(union(held, task_leases.held_by(now)), now)


def reclaim(connection: Connection, over: task_leases.Processes) -> set[UUID]:
    """End the leases of these runs and return the runs that had leases.

    Rows and tokens stay. The attempts count as interrupted, but a later response still counts.
    """
    now = database_now(connection)
    theirs = update(Lease).where(Lease.run.in_(over), Lease.until > now).values(until=now)
    freed = set(connection.execute(theirs.returning(Lease.run)).scalars())
    freed |= set(task_leases.end_leases(connection, over, now))
    if freed:
        log.warning("A process died or stopped responding. Its deliveries are due again.")
    return {run for run in freed if run}


def _in_a_transaction(work: Free) -> set[UUID]:
    with writing() as current:
        return work(current.connection())


def interrupt_ended(connection: Connection, without: Collection[int] = ()) -> int:
    """Turn expired leases into attempts, even where nobody can claim. Return their number."""
    now = database_now(connection)
    ended = select(Lease.webhook_id).where(Lease.until <= now).distinct()
    query = select(Webhook.id).where(Webhook.id.in_(ended)).order_by(Webhook.id)
    if without:
        query = query.where(Webhook.id.not_in(without))
    locked = query.with_for_update(key_share=True, skip_locked=True)
    ids = connection.execute(locked).scalars().all()
    return leases.settle_ended(connection, ids, now) if ids else 0


def hold_unwanted(connection: Connection) -> int:
    """Hold or stop some unwanted deliveries. With `HOLD_BATCH` or more, there may be more of
    them."""
    return sum(
        turn_on_off.hold_open(connection, webhook_id) for webhook_id in find_unwanted(connection)
    )


def _any_ended(connection: Connection) -> bool:
    ended = select(Lease.delivery_id).where(Lease.until <= database_now(connection)).limit(1)
    return connection.execute(ended).first() is not None


def _any_reopened(connection: Connection) -> bool:
    return connection.execute(_reopened().limit(1)).first() is not None


def _reopened() -> Select[int]:
    return select(Webhook.id).where(Webhook.reopened_at.is_not(None))


def resume_recovered(connection: Connection) -> int:
    """Make waiting retries of newly reopened webhooks due within a minute.

    Each round moves at most `SPREAD_A_STEP` rows per webhook, so a backlog is spread over several.
    """
    now = database_now(connection)
    # Webhooks are locked before their deliveries, as everywhere. The next round takes webhooks in
    # use.
    reopened = _reopened().order_by(Webhook.id).with_for_update(key_share=True, skip_locked=True)
    moved = 0
    for webhook_id in connection.execute(reopened).scalars().all():
        ids = connection.execute(_retrying_later(webhook_id, now)).scalars().all()
        if ids:
            due = [{"delivery": id_, "due_at": now + SPREAD * random.random()} for id_ in ids]  # noqa: S311 - spreads load
            statement = update(Delivery).where(Delivery.id == bindparam("delivery"))
            connection.execute(statement, due)
        if len(ids) < SPREAD_A_STEP:
            done = update(Webhook).where(Webhook.id == webhook_id).values(reopened_at=None)
            connection.execute(done)
        moved += len(ids)
    return moved


def _retrying_later(webhook_id: int, now: datetime) -> Select[int]:
    return (
        select(Delivery.id)
        .where(*waiting_for_later(webhook_id, now))
        .limit(SPREAD_A_STEP)
        .with_for_update(skip_locked=True)
    )


def find_unwanted(connection: Connection) -> list[int]:
    """Return inactive webhooks with open deliveries and deleted webhooks with held ones. Reads
    only."""
    walk = with_open_rows(connection.dialect.name).cte()
    rows = connection.execute(
        select(Webhook.id)
        .join(walk, walk.c.id == Webhook.id)
        .where(or_(Webhook.state != WebhookState.ACTIVE, Webhook.deleted_at.is_not(None)))
    )
    held = exists().where(
        Delivery.webhook_id == Webhook.id, Delivery.status == DeliveryStatus.ON_HOLD
    )
    of_deleted = connection.execute(select(Webhook.id).where(Webhook.deleted_at.is_not(None), held))
    return sorted({*rows.scalars(), *of_deleted.scalars()})


def release(connection: Connection, sent: Sequence[Claim], unsent: Sequence[Claim] = ()) -> bool:
    """Release leases at a warm shutdown. Their deliveries are due at once and nothing is counted.

    Requests in `sent` may have arrived, so each leaves an interrupted attempt. Its `finished_at`
    tells it from attempts that a crash cut off. `unsent` claims leave nothing. Return True, because
    None means that the database refused.
    """
    taken = {row.delivery_id for row in _take(connection, unsent)}
    freed = _take(connection, sent)
    if freed:
        leases.write_interrupted(connection, freed, utcnow())
    taken |= {row.delivery_id for row in freed}
    for claim in (*sent, *unsent):
        if claim.delivery_id not in taken:
            _end(connection, claim)
    return True


def release_unknown(connection: Connection, run: UUID, held: Collection[UUID]) -> None:
    """Remove leases of this run whose tokens it does not hold, and make their deliveries due at
    once.

    They were committed but the answer was lost, so nothing was sent under them. Nothing is counted.
    """
    mine = delete(Lease).where(Lease.run == run)
    deleted = connection.execute(mine.where(Lease.token.not_in(held)) if held else mine)
    if deleted.rowcount:
        log.warning("The confirmation of a claim was lost. Released: %s", deleted.rowcount)


def interrupt(connection: Connection, run: UUID) -> bool:
    """End the leases of this run after its dispatcher failed. Its requests may have arrived. Return
    True, as `release` does."""
    now = database_now(connection)
    mine = update(Lease).where(Lease.run == run, Lease.until > now)
    connection.execute(mine.values(until=now))
    return True


def _take(connection: Connection, claims: Sequence[Claim]) -> Sequence[AnyRow]:
    return leases.take(connection, [(claim.delivery_id, claim.token) for claim in claims])


def _end(connection: Connection, claim: Claim) -> None:
    """Mark the stored attempt as finished. Its lease expired before the release, and nobody is
    sending it."""
    connection.execute(
        update(Attempt)
        .where(
            Attempt.delivery_id == claim.delivery_id,
            Attempt.started_at == claim.started_at,
            Attempt.outcome == AttemptOutcome.INTERRUPTED,
            Attempt.finished_at.is_(None),
        )
        .values(finished_at=utcnow())
    )
