"""After a new first key in ENCRYPTION_KEYS: seal everything stored with it. Resumable."""

from collections.abc import Callable
from contextlib import closing
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from portal.extensions import db
from portal.models.operations import Canary
from portal.models.webhooks import Webhook
from portal.services.core import vault
from portal.services.core.unit_of_work import session, writing

BATCH: Final = 25
SEALED: Final = ("secret_enc", "old_secret_enc", "headers_enc")


def count_stale() -> int:
    """How many rows are still sealed with another than the first key. Reads only."""
    current = session()
    webhooks = current.scalars(select(Webhook).order_by(Webhook.id))
    stale = sum(bool(_stale_columns(webhook)) for webhook in webhooks)
    canaries = current.scalars(select(Canary.sealed))
    return stale + sum(not vault.is_current(sealed) for sealed in canaries)


def rotate(say: Callable[[int], None]) -> int:
    """Seal anew what is not sealed with the first key; return how many rows that were.

    A batch a transaction, each row looked at again under its lock: ended half-way and begun again,
    it goes on where it was. `say` is called with the count so far. Raises `VaultError` when a
    ciphertext opens with none of the keys.
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
    return done + _rotate_canary()


def rebuild_file() -> str | None:
    """Rebuild SQLite's file, lest what older keys sealed stays in it; return why it did not work.

    Others wait meanwhile. Nothing is done on PostgreSQL.
    """
    if db.engine.dialect.name != "sqlite":
        return None
    session().rollback()
    sqlite: Any = db.engine.dialect.dbapi
    # VACUUM runs outside of any transaction, which ours would begin by themselves.
    with closing(db.engine.raw_connection()) as connection:
        try:
            connection.cursor().execute("VACUUM")
            left = connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite.Error as error:
            return str(error)
    return "somebody reads it" if left[0] else None


def _next(current: Session, last_id: int) -> list[Webhook]:
    wanted = select(Webhook).where(Webhook.id > last_id).order_by(Webhook.id).limit(BATCH)
    return list(current.scalars(wanted.with_for_update(key_share=True)))


def _seal_anew(webhook: Webhook) -> bool:
    columns = _stale_columns(webhook)
    for column in columns:
        setattr(webhook, column, vault.seal_anew(getattr(webhook, column)))
    return bool(columns)


def _stale_columns(webhook: Webhook) -> list[str]:
    sealed = {column: getattr(webhook, column) for column in SEALED}
    return [name for name, value in sealed.items() if value and not vault.is_current(value)]


def _rotate_canary() -> int:
    with writing() as current:
        sealed = current.scalars(select(Canary.sealed)).one_or_none()
        if sealed is None or vault.is_current(sealed):
            return 0
        current.execute(update(Canary).values(sealed=vault.seal_anew(sealed)))
        return 1
