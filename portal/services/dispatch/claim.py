"""Claiming: whoever holds a delivery's lease sends it, and nobody else does.

One short transaction looks for webhooks with something due, locks their rows, counts what is being
sent to each, and leases no more than its free places. The lease is also what a crash leaves.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any, TypeAlias
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
from portal.services.dispatch.claim_types import Claim, Leased, Locked, Target
from portal.services.dispatch.fairness import share_out
from portal.services.outbox import leases
from portal.services.outbox.due import TEST_PLACES, Claimable, find_wanted, most_at_once
from portal.services.webhooks.inbox.address import shown_url

Slot: TypeAlias = dict[str, Any]


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
    wanted: Sequence[Claimable] = share_out(look.wanted, places, kept)
    claims: list[Claim] = []
    while wanted and len(claims) < places:
        room = places - len(claims)
        # No more than it takes: another pump gets nothing of what is locked here.
        some = _as_many_as_fill(room, wanted)
        wanted = wanted[len(some) :]
        if locked := _lock(connection, some):
            _settle(connection, some, locked, look.now)
            claims += _lease(connection, some, locked, look.now, room)
    return claims


def rehearse(connection: Connection) -> None:
    """Claim nothing, by every statement of a claim: the first real one finds them all compiled."""
    now = database_now(connection)
    for is_alone in (True, False):
        find_wanted(connection, may_be_lost=is_alone)
    _lock(connection, [])
    nothing = {"webhook": 0, "priority": Priority.NORMAL, "places": 1, "cap": 1, "url": ""}
    given = {"token": uuid4(), "started": now}
    for is_head in (0, 1):
        _take(connection, [{**nothing, "is_head": is_head}], now, 1, given)


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


def _lease(
    connection: Connection,
    some: Sequence[Claimable],
    locked: dict[int, Locked],
    now: datetime,
    room: int,
) -> list[Claim]:
    """Lease what they may have now that nobody else can claim for them or turn them off."""
    slots: list[Slot] = []
    targets: dict[int, tuple[Target, str]] = {}
    for each in some:
        if webhook := locked.get(each.webhook_id):
            targets[webhook.id] = webhook.target, (url := shown_url(webhook))
            slots += ({**slot, "url": url} for slot in _slots(each, webhook, now))
    if not slots:
        return []
    started_at, token = utcnow(), uuid4()
    rows = _take(connection, slots, now, room, {"token": token, "started": started_at})
    bodies = {row.event_id: row.body for row in rows if row.body is not None}
    return [
        Claim(
            delivery_id=row.id,
            public_id=row.public_id,
            token=token,
            number=row.number,
            started_at=started_at,
            kind=(kind := AttemptKind(row.kind)),
            actor=row.actor,
            tries=row.tries + (kind is AttemptKind.SCHEDULED),
            event=row.event,
            occurred_at=row.occurred_at,
            body=bodies[row.event_id],
            webhook=targets[row.webhook][0],
            shown_url=targets[row.webhook][1],
        )
        for row in rows
    ]


def _slots(wanted: Claimable, webhook: Locked, now: datetime) -> Iterator[Slot]:
    """What a webhook may have of each priority, the first first; its places are counted again."""
    common = {"webhook": webhook.id, "is_head": 0}
    if wanted.test_places and webhook.deleted_at is None:
        yield {**common, "priority": Priority.TEST, "places": TEST_PLACES, "cap": TEST_PLACES}
    if webhook.deleted_at is not None or webhook.state != WebhookState.ACTIVE:
        return
    cap = most_at_once(throttled=webhook.throttled, in_order=webhook.in_order)
    is_paused = webhook.not_before is not None and webhook.not_before > now
    for priority in wanted.priorities if wanted.places else ():
        # In order, the normal one is the head of the queue, which probes at its own time.
        is_head = webhook.in_order and priority is Priority.NORMAL
        if priority is Priority.INTERACTIVE or is_head or not is_paused:
            slot = {"priority": priority, "places": wanted.places, "cap": cap}
            yield {**common, **slot, "is_head": int(is_head)}


def _take(
    connection: Connection, slots: Sequence[Slot], now: datetime, room: int, given: dict[str, Any]
) -> list[Leased]:
    """Lease and read the first rows of the slots, in their turn, at most `room`."""
    numbered = ({"place": place, **slot} for place, slot in enumerate(slots))
    until = now + timedelta(seconds=settings().lease_seconds)
    values = {"slots": as_json(numbered), "now": now, "until": until, "room": room, **given}
    with_heads = any(slot["is_head"] for slot in slots)
    if connection.dialect.name == "postgresql":
        found = connection.execute(claim_statements.lease_and_read(with_heads=with_heads), values)
    else:
        values["most"] = max((slot["places"] for slot in slots), default=0)
        leased = connection.execute(claim_statements.lease(with_heads=with_heads), values)
        ids = as_json(leased.scalars().all())
        found = connection.execute(claim_statements.read_leased(), {"ids": ids})
    return [Leased._make(row) for row in found.all()]
