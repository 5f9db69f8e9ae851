"""Background work on many rows, each with enough rows for several chunks.

Each function runs in an empty database and returns its result.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

from flask import current_app
from sqlalchemy import func, select, update

from jobs import tasks as job
from jobs.deliver import deliver_due
from portal.engine.events.catalogue import EventName
from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.models.assignments import Staff
from portal.models.deliveries import Delivery, Event, Rollup
from portal.models.operations import Submission
from portal.models.people import Link, SignInThrottle
from portal.models.planning import Reservation
from portal.models.tasks import Task
from portal.models.webhooks import InboxMessage, Webhook
from portal.services.actions.planning import reservations
from portal.services.core.unit_of_work import session, writing
from portal.services.deliveries import dismissals
from portal.services.dispatch import maintenance
from portal.services.operations import retention
from portal.services.task_kinds import KINDS
from portal.services.webhooks import crud, held_deliveries, keys, turn_on_off
from portal.services.webhooks.held_deliveries import HeldDecision, Rest
from portal.services.webhooks.turn_on_off import HeldChoice
from tests.services.core.keyset_walk import every, of_two_assets, store
from tests.support.deliveries import make_attempt, make_delivery
from tests.support.factories import make_user, make_webhook, publish
from tests.support.receiver import Receiver

MANY = 3
OLD = timedelta(days=40)
NEW_KEY = "bmV3IGtleSBvZiB0aGVzZSB0ZXN0cyBhbmQgbm9uZSA="
# Small tables, of which one run removes at most a chunk.
A_CHUNK_EACH_TIME = (retention.DRAFTS, retention.WEBHOOKS)


def letting_go() -> Any:
    """Prune `MANY` old rows of each kind, and keep some recent ones."""
    then = utcnow() - OLD
    hook = make_webhook(events=[EventName.DELETED])
    with writing() as current:
        unheard = update(Event).where(Event.id.in_([publish(asset_id=n) for n in range(MANY)]))
        current.execute(unheard.values(occurred_at=then))
    for number in range(2 * MANY):
        at = then if number < MANY else utcnow()
        born = {"created_at": at, "occurred_at": at}
        ended = make_delivery(hook, status="delivered", finished_at=at, **born)
        make_attempt(ended)
        make_delivery(hook, status="on_hold", **born)
        gone = make_webhook(deleted_at=then, name=f"Gone {number}")
        if number % 2:
            make_delivery(gone, status="dismissed")
        draft = make_webhook(state="draft", updated_at=at, created_at=at)
        make_delivery(draft, priority=0, occurred_at=at)
        make_webhook(old_secret_enc=b"sealed", old_until=at + timedelta(hours=1))
        made = {"created_at": at}
        store(
            Submission(owner="user:1", once=uuid4(), **made),
            Link(kind="invite", token_hash=f"{number}", role="admin", expires_at=at, **made),
            SignInThrottle(key=f"email:{number}", last_failed_at=at),
            Task(kind="bulk", due_at=at, finished_at=at, state="done", actor_kind="system",
                 actor_name="Asset register", origin="system"),
            InboxMessage(webhook_id=hook.id, received_at=at, headers=[], body=b"{}", legacy="good",
                         standard="good"),
            Rollup(hour=(at - timedelta(hours=number)).replace(minute=0, second=0, microsecond=0),
                   webhook_id=hook.id, delivered=1),
        )  # fmt: skip
    publish(asset_id=99)
    expected = retention.count()
    assert {name: n for name, n in expected.items() if n < MANY} == {}
    first = retention.prune()
    whole = {name: n for name, n in first.items() if name not in A_CHUNK_EACH_TIME}
    assert whole == {name: expected[name] for name in whole}
    # The old rows of small tables are gone after one run, too. The recent ones stay.
    small = (Submission, Link, SignInThrottle, Task, InboxMessage)
    assert {kind: _how_many(kind) for kind in small} == dict.fromkeys(small, MANY)
    for _ in range(2 * MANY):
        done = retention.prune()
        first = {name: n + done[name] for name, n in first.items()}
        if not any(done.values()):
            return first
    raise AssertionError("there is no end of letting go")


def off_and_on_again() -> Any:
    """Turn a webhook with a long queue off and on, and send its held deliveries."""
    admin = make_user(name="Ana").actor
    with Receiver() as receiver:
        hook, other = make_webhook(receiver.url), make_webhook(receiver.url + "other")
        for number in range(3 * MANY):
            publish(asset_id=number)
        turn_on_off.turn_off(admin, hook.public_id)
        _maintain_until_all_rests()
        statuses = _statuses_of(hook.id)
        assert set(statuses) == {"on_hold"}
        turn_on_off.turn_on(admin, hook.public_id, HeldChoice.SEND)
        deliver_due()
        got = sorted(
            (request.path, request.header("X-Asset-Webhook-Id")) for request in receiver.received
        )
        assert len(got) == len(set(got)) == 2 * 3 * MANY
    return statuses, _statuses_of(hook.id), _statuses_of(other.id)


def on_again_in_the_middle() -> Any:
    """Turn on before maintenance has finished, dismiss all deliveries, then restore them."""
    admin, hook = make_user(name="Ana").actor, make_webhook()
    for number in range(3 * MANY):
        publish(asset_id=number)
    turn_on_off.turn_off(admin, hook.public_id)
    _, done = dismissals.turn_on(admin, hook.public_id)
    job.work(KINDS)
    statuses = _statuses_of(hook.id)
    assert set(statuses) == {"dismissed"}
    assert done.act is not None
    dismissals.restore_act(admin, done.act)
    job.work(KINDS)
    assert set(_statuses_of(hook.id)) == {"queued"}
    return statuses


def deleted() -> Any:
    """Delete a webhook with a long queue, which dismisses all its deliveries."""
    admin, hook = make_user(name="Ana").actor, make_webhook()
    for number in range(3 * MANY):
        publish(asset_id=number)
    crud.delete(admin, hook.public_id)
    _maintain_until_all_rests()
    statuses = _statuses_of(hook.id)
    assert set(statuses) == {"dismissed"}
    return statuses


def chosen_one_by_one() -> Any:
    """Send some of the held deliveries and dismiss the rest."""
    admin, hook = make_user(name="Ana").actor, make_webhook(state="off")
    made = [make_delivery(hook, status="on_hold") for _ in range(3 * MANY)]
    seen = held_deliveries.count_seen(hook.public_id)
    choice = HeldDecision(send=set(made[::2]), rest=Rest.DISMISS, seen=seen)
    decided, done = dismissals.decide(admin, hook.public_id, choice)
    job.work(KINDS)
    statuses = _statuses_of(hook.id)
    assert statuses == [("queued", "dismissed")[n % 2] for n in range(3 * MANY)]
    return decided.sent, done.changed, statuses


def spread() -> Any:
    """Spread the waiting retries of two recovered webhooks over a minute."""
    later, soon = utcnow() + timedelta(hours=5), utcnow() + timedelta(minutes=2)
    hooks = [make_webhook(reopened_at=utcnow()) for _ in range(2)]
    for number in range(4 * MANY):
        make_delivery(hooks[number % 2], status="retrying", due_at=later)
    make_delivery(make_webhook(), status="retrying", due_at=later)
    moved = _maintain_until_all_rests()
    due = [row.due_at < soon for row in every(Delivery)]
    assert due == [True] * 4 * MANY + [False]
    return moved, [row.reopened_at for row in every(Webhook)]


def a_new_key() -> Any:
    """Reseal everything with a new key."""
    for number in range(3 * MANY):
        make_webhook(secret=f"the secret {number} of it")
    extensions = current_app.extensions
    before = settings()
    extensions["settings"] = replace(before, encryption_keys=(NEW_KEY, *before.encryption_keys))
    try:
        progress: list[int] = []
        counted = keys.count_stale()
        # The key check comes last and counts only in the total.
        assert keys.rotate(progress.append) == counted == 3 * MANY + 1
        assert progress[-1] == 3 * MANY
        return keys.count_stale()
    finally:
        extensions["settings"] = before


def reservations_that_run_out() -> Any:
    """Expire uncollected reservations over several runs. Some have not ended yet."""
    one, _ = of_two_assets()
    ana, now = Staff(name="Ana", email="ana@example.com"), utcnow()
    store(ana)
    for number in range(2 * MANY):
        starts = now - timedelta(days=2 + number)
        ends = starts + timedelta(hours=1 if number % 2 else 999)
        store(Reservation(asset_id=one, staff_id=ana.id, starts_at=starts, ends_at=ends))
    most = reservations.EXPIRED_A_RUN
    closed = sum(reservations.expire_due(now, most) for _ in range(2 * MANY))
    assert closed == MANY
    return closed


def recording() -> Any:
    """Record results that arrive at once in several batches."""
    with Receiver() as receiver:
        hooks = [make_webhook(receiver.url) for _ in range(3)]
        for number in range(MANY):
            publish(asset_id=number)
        deliver_due()
        assert len(receiver.received) == 3 * MANY
    return [_statuses_of(hook.id) for hook in hooks]


def _how_many(kind: type[Any]) -> int:
    session().rollback()
    return session().execute(select(func.count()).select_from(kind)).scalar_one()


def _maintain_until_all_rests() -> int:
    touched = 0
    for _ in range(12 * MANY):
        changed = maintenance.maintain()
        touched += changed
        if not changed:
            return touched
    raise AssertionError("maintenance comes to no end")


def _statuses_of(hook_id: int) -> list[str]:
    session().rollback()
    query = select(Delivery.status).where(Delivery.webhook_id == hook_id).order_by(Delivery.id)
    return list(session().scalars(query))
