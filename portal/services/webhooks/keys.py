"""Seal all secrets with the newest key, and turn off webhooks with secrets that no key opens."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from portal.extensions import db
from portal.lib.durations import in_words
from portal.models.operations import KeyCheck
from portal.models.webhooks import OffReason, Webhook, WebhookState
from portal.services import audit
from portal.services.core import heartbeats, vault
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import database_time, session, writing
from portal.services.webhooks.rows import (
    HEADERS,
    SECRET,
    is_shown,
    lock_webhook,
    open_secret,
    target_of,
    undecryptable_parts,
)
from portal.services.webhooks.secrets import erase_secret
from portal.services.webhooks.turn_on_off import set_off

CAUSE: Final = "Its {parts} can’t be decrypted with this portal’s encryption keys"
KEYS: Final = ("keys", 1, "Encryption keys")
BATCH: Final = 25
SEALED: Final = ("secret_enc", "old_secret_enc", "headers_enc")


@dataclass(frozen=True, slots=True)
class UndecryptableWebhook:
    """A webhook with `parts` ("secret key", "custom headers") that can't be decrypted."""

    name: str
    parts: Sequence[str]


@dataclass(frozen=True, slots=True)
class LostKeys:
    """The secrets that can't be decrypted.

    `key_check`: the row with which a start checks the keys can't be decrypted either.
    """

    webhooks: Sequence[UndecryptableWebhook]
    key_check: bool

    @property
    def is_empty(self) -> bool:
        """Return whether everything can be decrypted."""
        return not (self.webhooks or self.key_check)


def lost_keys() -> LostKeys:
    """Try to decrypt everything that is stored sealed. Reads only."""
    current = session()
    parts_of = [(webhook.name, undecryptable_parts(webhook)) for webhook in current.scalars(_all())]
    webhooks = [UndecryptableWebhook(name, parts) for name, parts in parts_of if parts]
    return LostKeys(webhooks, vault.why_undecryptable() is not None)


def undecryptable_names() -> list[str]:
    """Return the names of webhooks with an undecryptable part, sorted. Reads only."""
    return sorted(webhook.name for webhook in lost_keys().webhooks)


def lost_names() -> list[str]:
    """Return the names of webhooks turned off because of lost keys, sorted. Reads only."""
    is_lost = (Webhook.state == WebhookState.OFF, Webhook.off_reason == OffReason.LOST_KEY)
    names = select(Webhook.name).where(*is_shown(), *is_lost).order_by(Webhook.name)
    return list(session().scalars(names))


def forget(actor: Actor) -> LostKeys:
    """Turn off every webhook with an undecryptable part. Return everything undecryptable.

    From then on, a start checks for the present keys. Raises `Refusal` while a process of the
    portal is alive, because it may have the lost keys and would seal with them.
    """
    with writing() as current:
        _refuse_while_alive(current)
        lost = lost_keys()
        for webhook in current.scalars(_all().with_for_update(key_share=True)):
            if parts := undecryptable_parts(webhook):
                _turn_off(current, actor, webhook, parts)
        if lost.key_check:
            vault.renew_key_check(current)
            audit.record(current, actor, "keys.forgotten", target=KEYS)
        return lost


def erase_undecryptable(actor: Actor, public_id: UUID) -> list[str]:
    """Erase the undecryptable parts of one webhook. Return their names."""
    with writing() as current:
        require(current, actor, "webhooks.secret")
        webhook = lock_webhook(current, public_id)
        parts = undecryptable_parts(webhook)
        if SECRET in parts and open_secret(webhook.id, webhook.secret_enc) is None:
            erase_secret(webhook)
        elif SECRET in parts:  # only the replaced one
            webhook.old_secret_enc = webhook.old_until = None
        if HEADERS in parts:
            webhook.headers_enc = None
        if parts:
            webhook.version += 1
            changes = {part.replace(" ", "_"): {"from": "closed", "to": "none"} for part in parts}
            target = target_of(webhook)
            audit.record(current, actor, "webhook.secrets_erased", target=target, changes=changes)
        return parts


def _all() -> Select[Webhook]:
    return select(Webhook).where(*is_shown()).order_by(Webhook.id)


def _turn_off(current: Session, actor: Actor, webhook: Webhook, parts: Sequence[str]) -> None:
    """Turn off a webhook. One that is already off keeps its reason.

    Neither can be turned on before all parts can be decrypted.
    """
    if webhook.state != WebhookState.ACTIVE:
        return
    set_off(current, webhook, OffReason.LOST_KEY)
    changes = {
        "status": {"from": "Active", "to": "Off"},
        "cause": {"from": None, "to": CAUSE.format(parts=" and ".join(parts))},
    }
    target = target_of(webhook)
    audit.record(current, actor, "webhook.turned_off", target=target, changes=changes)


def _refuse_while_alive(current: Session) -> None:
    now = database_time(current)
    alive = [
        process
        for process in heartbeats.processes()
        if process.is_alive and process.name != process.kind
    ]
    if alive:
        seen = in_words((now - alive[0].seen_at).total_seconds())
        process = f"{alive[0].kind} on {alive[0].host} (process {alive[0].pid})"
        killed = in_words(heartbeats.SILENT_AFTER.total_seconds())
        raise Refusal(
            f"Stop every portal process first. We last saw {process} {seen} ago. A killed "
            f"process counts as running for {killed}."
        )


def count_stale() -> int:
    """Count rows that are not sealed with the first key. Reads only."""
    current = session()
    webhooks = current.scalars(select(Webhook).order_by(Webhook.id))
    stale = sum(bool(_stale_columns(webhook)) for webhook in webhooks)
    key_checks = current.scalars(select(KeyCheck.sealed))
    return stale + sum(not vault.is_current(sealed) for sealed in key_checks)


def rotate(say: Callable[[int], None]) -> int:
    """Seal again, with the first key, all that other keys sealed. Return the number of rows.

    Each batch is one transaction, after which `say` gets the count so far. Raises `VaultError` if
    none of the keys opens a ciphertext.
    """
    done, last_id = 0, 0
    while True:
        with writing() as current:
            webhooks = _next(current, last_id)
            done += sum(_seal_anew(webhook) for webhook in webhooks)
        say(done)
        if len(webhooks) < BATCH:
            break
        last_id = webhooks[-1].id
    return done + _rotate_key_check()


def rebuild_file() -> str | None:
    """Rebuild SQLite's file, which still contains data sealed with older keys. Return any error.

    Blocks other transactions. Does nothing on PostgreSQL.
    """
    if db.engine.dialect.name != "sqlite":
        return None
    session().rollback()
    sqlite: Any = db.engine.dialect.dbapi
    # VACUUM runs outside of transactions, but our connections begin one by themselves.
    with closing(db.engine.raw_connection()) as connection:
        try:
            connection.cursor().execute("VACUUM")
            left = connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite.Error as error:
            return str(error)
    return "it’s in use" if left[0] else None


def _next(current: Session, last_id: int) -> list[Webhook]:
    batch = select(Webhook).where(Webhook.id > last_id).order_by(Webhook.id).limit(BATCH)
    return list(current.scalars(batch.with_for_update(key_share=True)))


def _seal_anew(webhook: Webhook) -> bool:
    columns = _stale_columns(webhook)
    for column in columns:
        setattr(webhook, column, vault.seal_anew(getattr(webhook, column)))
    return bool(columns)


def _stale_columns(webhook: Webhook) -> list[str]:
    sealed = {column: getattr(webhook, column) for column in SEALED}
    return [name for name, value in sealed.items() if value and not vault.is_current(value)]


def _rotate_key_check() -> int:
    with writing() as current:
        sealed = current.scalars(select(KeyCheck.sealed)).one_or_none()
        if sealed is None or vault.is_current(sealed):
            return 0
        current.execute(update(KeyCheck).values(sealed=vault.seal_anew(sealed)))
        return 1
