"""Claiming: whoever holds a delivery's lease sends it, and nobody else does.

One short transaction looks for webhooks with something due, locks their rows, counts what is being
sent to each, and leases no more than its free places. The lease is also what a crash leaves.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any, NamedTuple
from uuid import uuid4

from sqlalchemy import Connection

from portal.database.engine import database_now
from portal.engine.retry_policy import AttemptKind
from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.models.deliveries import Priority
from portal.models.webhooks import WebhookState
from portal.services.core.rowset import as_json
from portal.services.dispatch import claim_statements
from portal.services.dispatch.claim_types import Claim, DueDelivery, Locked, StoredEvent
from portal.services.dispatch.fairness import share_out
from portal.services.outbox import leases
from portal.services.outbox.due import TEST_PLACES, Claimable, find_wanted, most_at_once
from portal.services.webhooks.inbox.address import shown_url


class Portion(NamedTuple):
    """What a webhook may have of one priority. `cap`: what all pumps together may have."""

    webhook: int
    priority: Priority
    places: int
    cap: int
    is_head: bool


def claim(
    connection: Connection, places: int, kept: int = 0, *, is_alone: bool = False
) -> list[Claim]:
    """Claim up to `places` deliveries. `connection` is in a writing transaction.

    `kept`: so many of the places are for webhooks to which nothing is being sent (`fairness`).
    `is_alone`: the transaction does nothing else. Then it need not wait for the disk: a lease that
    a crash of the database takes with it is a message sent twice.
    """
    look = find_wanted(connection, may_be_lost=is_alone)
    if look.now is None:
        return []
    most = settings().webhook_max_in_flight
    wanted: Sequence[Claimable] = share_out(look.wanted, places, kept)
    claims: list[Claim] = []
    while wanted and len(claims) < places:
        room = places - len(claims)
        # No more than it takes: another pump gets nothing of what is locked here.
        some = _as_many_as_fill(room, wanted)
        wanted = wanted[len(some) :]
        locked = _lock(connection, some)
        _settle(connection, some, locked, look.now)
        portions = [
            portion
            for each in some
            if (webhook := locked.get(each.webhook_id))
            for portion in _portions(each, webhook, most, look.now)
        ]
        if portions and (taken := _pick(connection, portions, room, look.now)):
            claims += _lease(connection, taken, locked, look.now)
    return claims


def rehearse(connection: Connection) -> None:
    """Claim nothing, by every statement of a claim: the first real one finds them all compiled."""
    now = database_now(connection)
    for is_alone in (True, False):
        find_wanted(connection, may_be_lost=is_alone)
    _lock(connection, [])
    portion = Portion(0, Priority.NORMAL, places=1, cap=1, is_head=False)
    _pick(connection, [portion, portion._replace(is_head=True)], 1, now)
    _lease(connection, [], {}, now)


def _as_many_as_fill(room: int, wanted: Sequence[Claimable]) -> Sequence[Claimable]:
    """The first of them that could take up all the room there is."""
    total = accumulate(each.places + each.test_places for each in wanted)
    return wanted[: next((n for n, sum_ in enumerate(total, 1) if sum_ >= room), len(wanted))]


def _lock(connection: Connection, some: Sequence[Claimable]) -> dict[int, Locked]:
    """Lock the webhooks that no other pump is claiming for."""
    statement = claim_statements.locked_webhooks(connection.dialect.name)
    found = connection.execute(statement, {"ids": as_json(each.webhook_id for each in some)})
    return {row[0]: Locked._make(row) for row in found.all()}


def _settle(
    connection: Connection, some: Sequence[Claimable], locked: dict[int, Locked], now: datetime
) -> None:
    """What ran out becomes an attempt first; what has tries left is due again."""
    ended = [each.webhook_id for each in some if each.ended and each.webhook_id in locked]
    if ended:
        leases.settle_ended(connection, ended, now)


def _portions(wanted: Claimable, webhook: Locked, most: int, now: datetime) -> Iterator[Portion]:
    """What a webhook may have of each priority now that nobody else can claim for it or turn it
    off: the tests first, then whoever goes first."""
    if wanted.test_places and webhook.deleted_at is None:
        yield Portion(webhook.id, Priority.TEST, wanted.test_places, TEST_PLACES, is_head=False)
    if webhook.deleted_at is not None or webhook.state != WebhookState.ACTIVE:
        return
    cap = most_at_once(most, throttled=webhook.throttled, in_order=webhook.in_order)
    is_paused = webhook.not_before is not None and webhook.not_before > now
    for priority in wanted.priorities if wanted.places else ():
        # In order, the normal one is the head of the queue, which probes at its own time.
        is_head = webhook.in_order and priority is Priority.NORMAL
        if priority is Priority.INTERACTIVE or is_head or not is_paused:
            yield Portion(webhook.id, priority, min(wanted.places, cap), cap, is_head)


def _pick(
    connection: Connection, portions: Sequence[Portion], room: int, now: datetime
) -> list[DueDelivery]:
    """Of each webhook as many as are free: tests in their own place, then by priority, longest due
    first. At most `room`."""
    dialect = connection.dialect.name
    found: dict[Portion, list[DueDelivery]] = {}
    usual = {(each.webhook, each.priority): each for each in portions if not each.is_head}
    if usual:
        rows = as_json(
            {"webhook": each.webhook, "priority": each.priority, "places": each.places}
            | {"cap": each.cap}
            for each in usual.values()
        )
        values = {"rows": rows, "now": now, "most": max(each.places for each in usual.values())}
        for row in connection.execute(claim_statements.due_rows(dialect), values).all():
            due = DueDelivery._make(row)
            found.setdefault(usual[due.webhook_id, Priority(due.priority)], []).append(due)
    heads = {each.webhook: each for each in portions if each.is_head}
    if heads:
        values = {"ids": as_json(heads), "now": now}
        for row in connection.execute(claim_statements.due_heads(dialect), values).all():
            due = DueDelivery._make(row)
            found[heads[due.webhook_id]] = [due]
    taken: list[DueDelivery] = []
    so_far: Counter[tuple[int, bool]] = Counter()
    for portion in portions:
        for due in found.get(portion, ()):
            counted = (portion.webhook, portion.priority is Priority.TEST)
            if so_far[counted] < due.free:
                so_far[counted] += 1
                taken.append(due)
    return taken[:room]


def _lease(
    connection: Connection,
    taken: Sequence[DueDelivery],
    webhooks: Mapping[int, Locked],
    now: datetime,
) -> list[Claim]:
    targets = {id_: webhooks[id_].target for id_ in {row.webhook_id for row in taken}}
    urls = {id_: shown_url(target) for id_, target in targets.items()}
    started_at, token = utcnow(), uuid4()
    rows = as_json(
        {
            "id": row.id,
            "webhook": row.webhook_id,
            "number": row.attempts + 1,
            "kind": row.kind,
            "actor": row.requested_by,
            "url": urls[row.webhook_id],
        }
        for row in taken
    )
    until = now + timedelta(seconds=settings().lease_seconds)
    values = {"rows": rows, "token": token, "until": until, "started": started_at}
    events = _events(connection, {row.event_id for row in taken}, values)
    return [
        Claim(
            delivery_id=row.id,
            public_id=row.public_id,
            token=token,
            number=row.attempts + 1,
            started_at=started_at,
            kind=(kind := row.kind),
            actor=row.requested_by,
            tries=row.tries + (kind is AttemptKind.SCHEDULED),
            event=row.event,
            occurred_at=events[row.event_id].occurred_at,
            body=events[row.event_id].body,
            webhook=targets[row.webhook_id],
            shown_url=urls[row.webhook_id],
        )
        for row in taken
    ]


def _events(
    connection: Connection, ids: Iterable[int], leases: dict[str, Any]
) -> dict[int, StoredEvent]:
    """Make the leases, and read the events apart from the deliveries, since many of these often
    share one body."""
    dialect, values = connection.dialect.name, {"ids": as_json(ids)}
    if dialect == "sqlite":
        connection.execute(claim_statements.make_leases(dialect), leases)
    else:
        values |= leases
    found = connection.execute(claim_statements.event_bodies(dialect), values)
    return {row[0]: StoredEvent._make(row) for row in found.all()}
