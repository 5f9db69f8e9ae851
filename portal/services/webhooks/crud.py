"""Create, edit, and delete webhooks."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.engine.http.address_mask import masked_address
from portal.lib.clock import common_now
from portal.models.webhooks import OffReason, Webhook, WebhookEvent, WebhookKind, WebhookState
from portal.services import audit
from portal.services.core.permissions import Actor, require
from portal.services.core.queries import COUNT_LIMIT
from portal.services.core.refusals import Refusal, Stale
from portal.services.core.unit_of_work import keep_unique, notify, writing
from portal.services.outbox.conditions import lock_named
from portal.services.webhooks import turn_on_off, watches
from portal.services.webhooks.rows import (
    Facts,
    as_made,
    count_held,
    count_unsent,
    facts_of,
    lock_draft,
    lock_webhook,
    made_secret,
    replace_draft,
    set_values,
    taken_name,
    target_of,
)
from portal.services.webhooks.rules import WEBHOOK_FIELDS, SecretMode, WebhookValues, check
from portal.services.webhooks.secrets import check_place, erase_secret, set_headers, set_secret

MOST_OF_A_TOKEN: Final = 50
# A change of one of these may fix failures, so it causes an attempt at once.
FIXES: Final = frozenset(field.name for field in WEBHOOK_FIELDS if field.fixes)


@dataclass(frozen=True, slots=True)
class Edited:
    """The result of an edit.

    `asks_about_held`: it stays off until a person decides about its held deliveries.
    """

    is_changed: bool
    asks_about_held: bool


@dataclass(frozen=True, slots=True)
class Deleted:
    """A webhook's name, and the number of deliveries dismissed with it (`capped`).

    `is_done`: all are dismissed. Otherwise maintenance dismisses the rest.
    """

    name: str
    dismissed: int
    is_done: bool


def create(actor: Actor, values: WebhookValues, draft_id: UUID | None = None) -> UUID:
    """Create a webhook and return its public id. Raises `Refusal`.

    `draft_id`: the draft of the open form. Its tests move to the webhook.
    """
    check(values)
    with writing() as current:
        require(current, actor, "webhooks.edit")
        if actor.token_id is not None:
            _refuse_more(current, actor.token_id)
        lock_named(current, values.conditions)
        webhook = keep_unique(
            current,
            lambda: refuse_taken_name(current, values.name, None),
            lambda: _insert(current, actor, values),
        )
        _set_events(webhook, values)
        draft = lock_draft(current, actor, draft_id)
        set_secret(webhook, values, actor, made_secret(draft, values.secret_mode))
        set_headers(webhook, values.headers)
        replace_draft(current, draft, webhook)
        watches.start_for_owner(current, webhook)
        changes = as_made(webhook) | watches.set_owner(current, webhook, values.owner)
        target = target_of(webhook)
        audit.record(current, actor, "webhook.created", target=target, changes=changes)
        return webhook.public_id


def edit(
    actor: Actor,
    public_id: UUID,
    version: int | None,
    values: WebhookValues,
    draft_id: UUID | None = None,
) -> Edited:
    """Change a webhook that the person saw at `version`. Raises `Refusal`, `Stale`, `NotFound`.

    `draft_id`: the draft of the open form. Its tests move to the webhook.
    """
    with writing() as current:
        require(current, actor, "webhooks.edit")
        webhook = lock_webhook(current, public_id)
        check(values, is_inbox=webhook.kind == WebhookKind.INBOX)
        if version not in (None, webhook.version):
            raise Stale("Someone else changed this webhook after you opened the form.")
        lock_named(current, values.conditions)
        stays = check_place(webhook, values)
        before, address, was_secret = facts_of(webhook), webhook.url, webhook.url_is_secret
        keep_unique(
            current,
            lambda: refuse_taken_name(current, values.name, webhook.id),
            lambda: _store(current, webhook, values),
        )
        _set_events(webhook, values)
        draft = lock_draft(current, actor, draft_id)
        made = made_secret(draft, values.secret_mode)
        changes = _differences(before, webhook, values, actor, made, stays=stays)
        if webhook.url != address:
            changes["url"] = _moved(before, address, webhook, was_secret)
        changes |= watches.set_owner(current, webhook, values.owner)
        replace_draft(current, draft, webhook)
        asks = _switch(current, webhook, values)
        if (now_on := facts_of(webhook)["status"]) != before["status"]:
            changes["status"] = {"from": before["status"], "to": now_on}
        if changes.keys() & FIXES:
            turn_on_off.note_change(webhook)
            notify(current)
        if changes:
            webhook.version += 1
            webhook.updated_at = common_now()
            target = target_of(webhook)
            audit.record(current, actor, "webhook.changed", target=target, changes=changes)
        return Edited(bool(changes), asks)


def delete(actor: Actor, public_id: UUID) -> Deleted:
    """Delete a webhook, free its name, and dismiss its waiting deliveries.

    The row stays for the log, but secret and header values are erased.
    """
    with writing() as current:
        require(current, actor, "webhooks.edit")
        webhook = lock_webhook(current, public_id)
        webhook.deleted_at = common_now()
        watches.forget_webhook(current, webhook.id)
        erase_secret(webhook)
        webhook.headers_enc = None
        count = count_unsent(current, webhook.id)
        many = f"{COUNT_LIMIT}+" if count > COUNT_LIMIT else str(count)
        changes = {"deliveries_dismissed": {"from": None, "to": many}} if count else {}
        audit.record(
            current, actor, turn_on_off.DELETED, target=target_of(webhook), changes=changes
        )
        current.flush()
        dismissed = turn_on_off.hold_open(current, webhook.id)
        is_done = dismissed < turn_on_off.HOLD_BATCH or dismissed == count
        return Deleted(webhook.name, dismissed if is_done else count, is_done)


def _refuse_more(current: Session, token_id: int) -> None:
    """Refuse more webhooks of a program that never unsubscribes.

    Concurrent requests can exceed the limit by a few.
    """
    query = select(func.count()).where(Webhook.token_id == token_id, Webhook.deleted_at.is_(None))
    if current.execute(query).scalar_one() >= MOST_OF_A_TOKEN:
        raise Refusal(f"This token already has {MOST_OF_A_TOKEN} webhooks. Delete one first.")


def _insert(current: Session, actor: Actor, values: WebhookValues) -> Webhook:
    webhook = Webhook(owner_id=actor.user_id, token_id=actor.token_id)
    set_values(webhook, values)
    if not values.is_active:
        webhook.state, webhook.off_reason = WebhookState.OFF, OffReason.PERSON
        webhook.off_at = common_now()
    current.add(webhook)
    current.flush()
    return webhook


def _store(current: Session, webhook: Webhook, values: WebhookValues) -> None:
    set_values(webhook, values)
    current.flush()


def _set_events(webhook: Webhook, values: WebhookValues) -> None:
    """Replace the events, but keep the rows of those that stay. Order does not matter."""
    events = set(values.events)
    kept = [row for row in webhook.subscriptions if row.event in events]
    added = events - {row.event for row in kept}
    webhook.subscriptions = [*kept, *(WebhookEvent(event=event) for event in sorted(added))]


def _switch(current: Session, webhook: Webhook, values: WebhookValues) -> bool:
    """Turn it on or off as chosen. Return whether a person must decide about held deliveries."""
    is_active = webhook.state == WebhookState.ACTIVE
    if is_active and not values.is_active:
        turn_on_off.set_off(current, webhook, OffReason.PERSON)
    if is_active or not values.is_active:
        return False
    turn_on_off.hold_open(current, webhook.id, every=True)
    if count_held(current, webhook.id):
        return True
    turn_on_off.set_on(webhook)
    return False


def refuse_taken_name(current: Session, name: str, own_id: int | None) -> None:
    """Refuse a name that another saved webhook has."""
    taken = taken_name(current, name, own_id)
    if taken is not None:
        raise Refusal(
            f"A webhook called “{taken}” already exists. Enter another name", field="name"
        )


def _moved(before: Facts, address: str, webhook: Webhook, was_secret: bool) -> dict[str, str]:
    """Return the earlier and the present URL, masked if either is secret."""
    is_secret = was_secret or webhook.url_is_secret
    was = masked_address(address, is_secret=is_secret) if address else before["url"]
    return {"from": was, "to": masked_address(webhook.url, is_secret=is_secret)}


def _differences(
    before: Facts,
    webhook: Webhook,
    values: WebhookValues,
    actor: Actor,
    made: str | None,
    *,
    stays: bool,
) -> Facts:
    """Set secret and headers, and return the changes from `before`."""
    # The shown URL can change without the URL, and the URL without the shown one.
    after = facts_of(webhook)
    names = [name for name in before if before[name] != after[name] and name != "url"]
    changes = {name: {"from": before[name], "to": after[name]} for name in names}
    if set_secret(webhook, values, actor, made, stays=stays):
        new = "none" if values.secret_mode is SecretMode.NONE else "a new secret key"
        changes["secret_key"] = {"from": before["secret_key"], "to": new}
    if set_headers(webhook, values.headers, stays=stays):
        new = facts_of(webhook)["custom_headers"]
        changes["custom_headers"] = {"from": before["custom_headers"], "to": new}
    return changes
