"""Test before saving, by storing a form as a draft and sending a sample the usual way."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from portal.engine.http.address_mask import masked_address
from portal.lib.clock import common_now
from portal.models.deliveries import Delivery
from portal.models.webhooks import Webhook, WebhookKind, WebhookState
from portal.services import audit
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import NotFound, Refusal
from portal.services.core.unit_of_work import keep_unique, session, writing
from portal.services.outbox.conditions import lock_named
from portal.services.webhooks.crud import refuse_taken_name
from portal.services.webhooks.rows import (
    HEADERS,
    SECRET,
    UndecryptableSecrets,
    find_webhook,
    form_of,
    lock_draft,
    made_secret,
    open_secret,
    options_of,
    own_draft,
    set_values,
    shown_url,
    stored_headers,
    target_of,
    undecryptable_parts,
)
from portal.services.webhooks.rules import SecretMode, WebhookValues, check
from portal.services.webhooks.sample_deliveries import event_to_test, queue_test, running_test
from portal.services.webhooks.secrets import (
    check_place,
    copy_secrets,
    set_headers,
    set_secret,
)

TESTED: Final = "webhook.tested_before_saving"
NOT_KEPT: Final = "This test has expired. We keep tests for 24 hours or until you save."


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A form as last tested. `edits`: the webhook that it changes, as seen at `version`.

    `tests`: public ids of its deliveries, newest first. `to`: the product of the form.
    """

    public_id: UUID
    edits: UUID | None
    version: int
    values: WebhookValues = field(repr=False)
    secret_hint: str
    event: str
    tests: Sequence[UUID]
    to: str


def send_test(
    actor: Actor,
    draft_id: UUID,
    values: WebhookValues,
    event: str,
    *,
    edits: UUID | None = None,
    version: int = 0,
    to: str = "",
) -> bool:
    """Store a form and send a sample with it. Return False while the last test has not ended.

    `draft_id`: of the open form, so testing again changes its draft. Raises `Refusal` for values
    that could not be saved either.
    """
    chosen = event_to_test(event)
    with writing() as current:
        require(current, actor, "webhooks.edit")
        edited = find_webhook(current, edits) if edits else None
        check(values, is_inbox=edited is not None and edited.kind == WebhookKind.INBOX)
        refuse_taken_name(current, values.name, edited.id if edited else None)
        lock_named(current, values.conditions)
        draft = _find_or_make(current, actor, draft_id, values)
        _fill(draft, edited, values, actor)
        draft.draft_form = _form(values, chosen, version, to)
        return _send(current, draft, chosen, actor, edited)


def send_again(actor: Actor, draft_id: UUID) -> bool:
    """Send the sample of a form again. Raises `NotFound`."""
    with writing() as current:
        require(current, actor, "webhooks.edit")
        draft = lock_draft(current, actor, draft_id)
        if draft is None:
            raise NotFound(NOT_KEPT)
        draft.updated_at = common_now()
        event = event_to_test(form_of(draft)["event"])
        edited = current.scalars(
            select(Webhook).where(Webhook.public_id == draft.draft_of)
        ).one_or_none()
        return _send(current, draft, event, actor, edited)


def find(actor: Actor, draft_id: UUID) -> Draft:
    """Return the person's draft. Raises `NotFound`."""
    current = session()
    draft = current.scalars(own_draft(actor, draft_id)).one_or_none()
    if draft is None:
        raise NotFound(NOT_KEPT)
    form = form_of(draft)
    tests = select(Delivery.public_id).where(Delivery.webhook_id == draft.id)
    return Draft(
        public_id=draft.public_id,
        edits=draft.draft_of,
        version=form["version"],
        values=_values(draft, form),
        secret_hint=draft.secret_hint,
        event=form["event"],
        tests=current.scalars(tests.order_by(Delivery.id.desc())).all(),
        to=form.get("to", ""),
    )


def _find_or_make(current: Session, actor: Actor, draft_id: UUID, values: WebhookValues) -> Webhook:
    """Lock and return the form's draft, which is created if there is none."""

    def look() -> None:
        is_taken = exists().where(Webhook.public_id == draft_id)
        if current.scalar(select(is_taken)) and not lock_draft(current, actor, draft_id):
            raise Refusal("This form has expired. Open it again.")

    def store() -> Webhook:
        if draft := lock_draft(current, actor, draft_id):
            return draft
        draft = Webhook(public_id=draft_id, name=values.name, state=WebhookState.DRAFT)
        draft.owner_id = actor.user_id
        current.add(draft)
        current.flush()
        return draft

    return keep_unique(current, look, store)


def _fill(draft: Webhook, edited: Webhook | None, values: WebhookValues, actor: Actor) -> None:
    """Make the draft sign and send like the saved webhook would. Keep a generated secret."""
    made = made_secret(draft, values.secret_mode)
    set_values(draft, values)
    draft.version += 1
    draft.draft_of = edited.public_id if edited else None
    draft.updated_at = common_now()
    stays = edited is not None and check_place(edited, values)
    _refuse_undecryptable(edited if stays else None, values)
    copy_secrets(edited if stays else None, draft)
    set_secret(draft, values, actor, made)
    set_headers(draft, values.headers)


def _refuse_undecryptable(edited: Webhook | None, values: WebhookValues) -> None:
    """Refuse a test that would leave out undecryptable parts and seem to succeed."""
    replaced = {SECRET: values.secret_mode is not SecretMode.KEEP, HEADERS: bool(values.headers)}
    parts = undecryptable_parts(edited) if edited else []
    if missing := [part for part in parts if not replaced[part]]:
        raise UndecryptableSecrets(missing)


def _form(values: WebhookValues, event: str, version: int, to: str) -> dict[str, Any]:
    return {
        "events": list(values.events),
        "secret_mode": str(values.secret_mode),
        "active": values.is_active,
        "owner": str(values.owner or ""),
        "version": version,
        "event": str(event),
        "to": to,
    }


def _values(draft: Webhook, form: dict[str, Any]) -> WebhookValues:
    mode = SecretMode(form["secret_mode"])
    sealed = draft.secret_enc if mode is SecretMode.OWN else None
    return WebhookValues(
        **options_of(draft),
        url=draft.url,
        events=tuple(form["events"]),
        secret_mode=mode,
        secret=open_secret(draft.id, sealed) or "",
        headers=stored_headers(draft),
        is_active=form["active"],
        owner=UUID(form["owner"]) if form.get("owner") else None,
    )


def _send(
    current: Session, draft: Webhook, event: Any, actor: Actor, edited: Webhook | None
) -> bool:
    """Send the sample, and record its URL in the history of the edited webhook."""
    if running_test(current, draft.id) is not None:
        return False
    queue_test(current, draft, event, actor)
    target = target_of(edited) if edited else ("draft", draft.public_id, draft.name)
    is_secret = draft.url_is_secret or (edited is not None and edited.url_is_secret)
    shown = masked_address(draft.url, is_secret=is_secret) if draft.url else shown_url(draft)
    changes = {"url": {"from": None, "to": shown}}
    audit.record(current, actor, TESTED, target=target, changes=changes)
    return True
