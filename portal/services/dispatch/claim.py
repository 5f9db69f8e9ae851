"""Claiming: whoever holds a delivery's lease sends it, and nobody else does.

One short transaction looks for webhooks with something due, locks their rows, counts what is being
sent to each, and leases no more than its free places. The lease is also what a crash leaves.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from uuid import uuid4

from sqlalchemy import Connection

from portal.database.engine import database_now
from portal.engine.retry_policy import AttemptKind
from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.models.deliveries import Priority
from portal.models.webhooks import WebhookState
from portal.services.core.rowset import as_json
from portal.services.core.runs import own_run
from portal.services.dispatch import claim_statements
from portal.services.dispatch.claim_types import (
    Claim,
    DueDelivery,
    Leased,
    Locked,
    Portion,
    StoredEvent,
    Terms,
)
from portal.services.dispatch.fairness import share_out
from portal.services.outbox import leases
from portal.services.outbox.division import Division, own_division
from portal.services.outbox.due import TEST_PLACES, Claimable, find_wanted, most_at_once
from portal.services.outbox.reach import OwnReach, own_reach
from portal.services.webhooks.inbox.address import shown_url


def claim(
    connection: Connection,
    places: int,
    kept: int = 0,
    *,
    without: Collection[int] = (),
    is_alone: bool = False,
    reach: OwnReach = own_reach,
    division: Division = own_division,
) -> list[Claim]:
    """Claim up to `places` deliveries. `connection` is in a writing transaction.

    `kept`: so many of the places are for webhooks to which nothing is being sent (`fairness`).
    `without`: webhooks of which results are still to be recorded: what has arrived would go again.
    `is_alone`: the transaction does nothing else. Then it need not wait for the disk: a lease that
    a crash of the database takes with it is a message sent twice.
    `reach`: what this machine leaves to others, because it could not connect there; `division`:
    what this process does, because it is theirs.
    """
    look = find_wanted(connection, may_be_lost=is_alone)
    allowed = [each for each in reach.choose(look.wanted) if each.webhook_id not in without]
    wanted: Sequence[Claimable] = share_out(division.choose(allowed), places, kept)
    if look.now is None:
        return []
    most = settings().webhook_max_in_flight
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
        if portions:
            claims += _lease(connection, portions, room, locked, look.now)
    return claims


def rehearse(connection: Connection) -> None:
    """Claim nothing, by every statement of a claim: the first real one finds them all compiled."""
    now = database_now(connection)
    for is_alone in (True, False):
        find_wanted(connection, may_be_lost=is_alone)
    _lock(connection, [])
    portion = Portion(0, Priority.NORMAL, places=1, cap=1, is_head=False)
    _lease(connection, [portion, portion._replace(is_head=True)], 2, {}, now)
    _lease_rows(connection, [], _terms(now), {})


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


def _lease(
    connection: Connection,
    portions: Sequence[Portion],
    room: int,
    locked: Mapping[int, Locked],
    now: datetime,
) -> list[Claim]:
    """Lease of each webhook as many as are free: tests in their own place, then by priority,
    longest due first. At most `room`."""
    terms = _terms(now)
    addresses = {each.webhook: "" for each in portions} | {
        id_: shown_url(webhook.target) for id_, webhook in locked.items()
    }
    heads = {each.webhook for each in portions if each.is_head}
    usual: list[Portion] = []
    behind: list[Portion] = []
    for each in portions:
        if not each.is_head:
            # What is sent again in bulk goes behind the head of its queue.
            is_behind = each.priority is Priority.BULK and each.webhook in heads
            (behind if is_behind else usual).append(each)
    leased = _lease_usual(connection, usual, room, terms, addresses)
    if heads and (left := room - len(leased)):
        values = {"ids": as_json(heads), "now": now}
        found = connection.execute(claim_statements.due_heads(connection.dialect.name), values)
        rows = [DueDelivery._make(row) for row in found.all()]
        leased += _lease_rows(connection, rows[:left], terms, addresses)
    busy = {row.webhook_id for row, _ in leased if row.priority != Priority.TEST}
    idle = [each for each in behind if each.webhook not in busy]
    leased += _lease_usual(connection, idle, room - len(leased), terms, addresses)
    targets = {id_: locked[id_].target for id_ in {row.webhook_id for row, _ in leased}}
    return [
        Claim(
            delivery_id=row.id,
            public_id=row.public_id,
            token=terms.token,
            number=row.attempts + 1,
            started_at=terms.started,
            kind=(kind := row.kind),
            actor=row.requested_by,
            tries=row.tries + (kind is AttemptKind.SCHEDULED),
            event=row.event,
            occurred_at=event.occurred_at,
            body=event.body,
            webhook=targets[row.webhook_id],
            shown_url=addresses[row.webhook_id],
        )
        for row, event in leased
    ]


def _lease_usual(
    connection: Connection,
    portions: Sequence[Portion],
    room: int,
    terms: Terms,
    addresses: Mapping[int, str],
) -> list[Leased]:
    """Whatever is no head of a queue."""
    if not portions or not room:
        return []
    if connection.dialect.name == "sqlite":
        taken = _pick(connection, portions, terms.now)[:room]
        return _lease_rows(connection, taken, terms, addresses)
    return _lease_at_once(connection, portions, room, terms, addresses)


def _terms(now: datetime) -> Terms:
    """For a lease from this moment on."""
    until = now + timedelta(seconds=settings().lease_seconds)
    return Terms(now, uuid4(), until, own_run(), utcnow())


def _lease_at_once(
    connection: Connection,
    portions: Sequence[Portion],
    room: int,
    terms: Terms,
    addresses: Mapping[int, str],
) -> list[Leased]:
    """PostgreSQL."""
    rows = as_json(
        {
            "webhook": each.webhook,
            "priority": each.priority,
            "places": each.places,
            "cap": each.cap,
            "turn": turn,
            "url": addresses[each.webhook],
        }
        for turn, each in enumerate(portions)
    )
    values = {"rows": rows, "room": room, "now": terms.now, **terms.given}
    found = connection.execute(claim_statements.lease_rows(), values).all()
    # Many deliveries often share one event, whose body has come once.
    events = {row.event_id: StoredEvent(row.event_id, row[-2], row[-1]) for row in found if row[-1]}
    return [(DueDelivery._make(row[:-2]), events[row.event_id]) for row in found]


def _pick(connection: Connection, portions: Sequence[Portion], now: datetime) -> list[DueDelivery]:
    """SQLite: what may be leased, in the order of the portions."""
    found: dict[Portion, list[DueDelivery]] = {}
    by_key = {(each.webhook, each.priority): each for each in portions}
    rows = as_json(
        {"webhook": each.webhook, "priority": each.priority, "places": each.places}
        for each in portions
    )
    values = {"rows": rows, "now": now, "most": max(each.places for each in portions)}
    for row in connection.execute(claim_statements.due_rows(), values).all():
        due = DueDelivery._make(row)
        found.setdefault(by_key[due.webhook_id, Priority(due.priority)], []).append(due)
    taken: list[DueDelivery] = []
    so_far: Counter[tuple[int, bool]] = Counter()
    for portion in portions:
        for due in found.get(portion, ()):
            counted = (portion.webhook, portion.priority is Priority.TEST)
            if so_far[counted] < due.free:
                so_far[counted] += 1
                taken.append(due)
    return taken


def _lease_rows(
    connection: Connection,
    taken: Sequence[DueDelivery],
    terms: Terms,
    addresses: Mapping[int, str],
) -> list[Leased]:
    """Lease these, and read their events, of which many often share one."""
    dialect = connection.dialect.name
    rows = as_json(
        {
            "id": row.id,
            "webhook": row.webhook_id,
            "number": row.attempts + 1,
            "kind": row.kind,
            "actor": row.requested_by,
            "url": addresses[row.webhook_id],
        }
        for row in taken
    )
    connection.execute(claim_statements.make_leases(dialect), {"rows": rows, **terms.given})
    ids = {"ids": as_json({row.event_id for row in taken})}
    found = connection.execute(claim_statements.event_bodies(dialect), ids)
    events = {row[0]: StoredEvent._make(row) for row in found.all()}
    return [(row, events[row.event_id]) for row in taken]
