"""Clean up deliveries whose webhook was turned off, resume those whose receiver has recovered, and
reclaim the leases of processes that have died.

An event that was being stored while its webhook was turned off can leave one behind.
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

PATIENCE: Final = 0.5  # seconds, for deliveries wait meanwhile; the rest is done next time
SPREAD_A_STEP: Final = 500

Free: TypeAlias = Callable[[Connection], set[UUID]]


def maintain() -> int:
    """Hold or stop what is open, not being sent, and not wanted; spread what may go again; make
    attempts of leases that ran out.

    Returns how many deliveries it touched. Tests are not touched. Writes only when there is
    something to put right, in several transactions when it is much.
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
    """One round of it in the caller's writing transaction; return how many it held or stopped.

    `without`: webhooks of which the caller still has results to be recorded. Their leases may have
    run out, and what has arrived would go again.
    """
    interrupt_ended(connection, without)
    resume_recovered(connection)
    return hold_unwanted(connection)


def reclaim_ended(write: Callable[[Free], set[UUID] | None]) -> None:
    """End the leases of those on this machine who died with them; what they sent may go again.

    `write` runs it in a transaction; None: not now. A mark goes once there was nothing left to be
    freed: what a database was still doing when its process died may come a moment later.
    """
    with heartbeats.ended_processes() as over:
        ids = [each.id for each in over]
        freed = write(partial(reclaim, over=ids)) if ids else None
        for each in over:
            if freed is not None and each.id not in freed:
                heartbeats.remove_lock(each)


def is_any_silent(connection: Connection) -> bool:
    """Return whether somebody holds leases, on any machine, of whom nobody has heard for a while:
    they have died, or are asleep or cut off, and may still come back with answers.

    Free them in a transaction of its own: whoever records has webhooks locked and waits for leases.
    """
    return connection.execute(_silent(database_now(connection)).limit(1)).first() is not None


def reclaim_silent(connection: Connection) -> set[UUID]:
    """End the leases of those of whom nobody has heard up to this moment. Returns whose they were.

    Who was silent is asked by the statements that end them: whoever has woken up signs with what it
    claims, and is sending that.
    """
    return reclaim(connection, _silent(database_now(connection)))


def _silent(now: datetime) -> Select[UUID | None]:
    held = select(Lease.run).where(Lease.run.is_not(None), Lease.until > now)
    return heartbeats.silent_among(union(held, task_leases.held_by(now)), now)


def reclaim(connection: Connection, over: task_leases.Processes) -> set[UUID]:
    """End the leases of these runs. Returns whose they were.

    Rows and tokens stay: they are counted as interrupted, and an answer that comes yet is one.
    """
    now = database_now(connection)
    theirs = update(Lease).where(Lease.run.in_(over), Lease.until > now).values(until=now)
    freed = set(connection.execute(theirs.returning(Lease.run)).scalars())
    freed |= set(task_leases.end_leases(connection, over, now))
    if freed:
        log.warning("A process died or fell silent at its work. Its deliveries are due again.")
    return {each for each in freed if each}


def _in_a_transaction(work: Free) -> set[UUID]:
    with writing() as current:
        return work(current.connection())


def interrupt_ended(connection: Connection, without: Collection[int] = ()) -> int:
    """Turn leases that ran out into attempts, also where nobody may claim; return how many."""
    now = database_now(connection)
    ended = select(Lease.webhook_id).where(Lease.until <= now).distinct()
    wanted = select(Webhook.id).where(Webhook.id.in_(ended)).order_by(Webhook.id)
    if without:
        wanted = wanted.where(Webhook.id.not_in(without))
    locked = wanted.with_for_update(key_share=True, skip_locked=True)
    ids = connection.execute(locked).scalars().all()
    return leases.settle_ended(connection, ids, now) if ids else 0


def hold_unwanted(connection: Connection) -> int:
    """Hold or stop some of what is not wanted; `HOLD_BATCH` or more: there may be more of it."""
    return sum(turn_on_off.hold_open(connection, each) for each in find_unwanted(connection))


def _any_ended(connection: Connection) -> bool:
    ended = select(Lease.delivery_id).where(Lease.until <= database_now(connection)).limit(1)
    return connection.execute(ended).first() is not None


def _any_reopened(connection: Connection) -> bool:
    return connection.execute(_reopened().limit(1)).first() is not None


def _reopened() -> Select[int]:
    return select(Webhook.id).where(Webhook.reopened_at.is_not(None))


def resume_recovered(connection: Connection) -> int:
    """Make what waits for a retry due within a minute, for webhooks that have just reopened.

    `SPREAD_A_STEP` rows of each at a time: a backlog is spread over several rounds.
    """
    now = database_now(connection)
    # Locked before their deliveries, as everywhere; one in use is left to the next round.
    reopened = _reopened().order_by(Webhook.id).with_for_update(key_share=True, skip_locked=True)
    moved = 0
    for webhook_id in connection.execute(reopened).scalars().all():
        ids = connection.execute(_retrying_later(webhook_id, now)).scalars().all()
        if ids:
            due = [{"delivery": each, "due_at": now + SPREAD * random.random()} for each in ids]  # noqa: S311 - spreads load
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
    """The webhooks that are not active and have open deliveries, or deleted and have held ones.

    Reads only.
    """
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
    """Give back leases at a warm shutdown: due at once, counted as nothing.

    What was `sent` may have arrived: of it remains an attempt that was interrupted, and
    `finished_at` tells it from those that a crash cut off. Of the `unsent` remains nothing. True,
    so that it can be told from a database that did not take it.
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
    """Remove the leases of this run whose tokens it does not hold: they were committed, and it was
    never told, so nothing was sent under them. They are due at once and counted as nothing."""
    mine = delete(Lease).where(Lease.run == run)
    given = connection.execute(mine.where(Lease.token.not_in(held)) if held else mine)
    if given.rowcount:
        log.warning("The answer to a claim was lost. Given back: %s", given.rowcount)


def interrupt(connection: Connection, run: UUID) -> bool:
    """End the leases of this run, whose dispatcher failed: what it sent may have arrived. True, as
    `release`."""
    now = database_now(connection)
    mine = update(Lease).where(Lease.run == run, Lease.until > now)
    connection.execute(mine.values(until=now))
    return True


def _take(connection: Connection, claims: Sequence[Claim]) -> Sequence[AnyRow]:
    return leases.take(connection, [(each.delivery_id, each.token) for each in claims])


def _end(connection: Connection, claim: Claim) -> None:
    """It ran out before it was given back: its attempt has been stored, and nobody is at it."""
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
