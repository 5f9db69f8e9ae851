"""Stored secrets, sealed with the installation's keys and opened only for their own row.

Every ciphertext is a Fernet token (`ENCRYPTION_KEYS`: the first seals, all open). Its plaintext
begins with its purpose and its row's id, so that ciphertexts cannot be swapped between rows or
columns. A key check is sealed on the first start. With a wrong key, it refuses the start and any
storing. Storing checks as well, because a command, or a process that started while the database was
away, has not checked before.
"""

import json
from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import inspect, select
from sqlalchemy.orm import Session

from portal.config.values import SettingsError
from portal.engine.signing.signatures import hint
from portal.extensions import settings
from portal.models.operations import KeyCheck
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import insert_or_ignore, session, writing

DOTS: Final = "••••"
TYPED_SECONDS: Final = 12 * 60 * 60
KEY_CHECK_ID: Final = 1
KEY_CHECK_TEXT: Final = "This portal’s keys can decrypt this text."
OTHER_KEYS: Final = (
    "ENCRYPTION_KEYS can’t decrypt the secrets in the database. Set the encryption keys "
    "that this portal used before."
)


class Purpose(StrEnum):
    """Purposes of a ciphertext. A replaced secret keeps its purpose while it overlaps."""

    SIGNING = "signing"
    HEADERS = "headers"
    TYPED = "typed"
    KEY_CHECK = "key check"


class VaultError(Exception):
    """A ciphertext does not open, because of other keys, another row, or damage. Reveals nothing of
    it."""


class WrongKeys(Refusal):
    """Refusal to store a secret with keys that do not open the stored ones."""

    status = 503

    def __init__(self) -> None:
        super().__init__(OTHER_KEYS)


def seal_secret(webhook_id: int, secret: str) -> bytes:
    """Encrypt a webhook's secret key for storage. Raise `WrongKeys`."""
    refuse_other_keys()
    return _seal(Purpose.SIGNING, webhook_id, secret)


def open_secret(webhook_id: int, sealed: bytes) -> str:
    """Decrypt a webhook's secret key. Raise `VaultError`."""
    return _open(Purpose.SIGNING, webhook_id, sealed)


def seal_headers(webhook_id: int, pairs: Sequence[tuple[str, str]]) -> bytes:
    """Encrypt a webhook's custom headers, in their order, for storage. Raise `WrongKeys`."""
    refuse_other_keys()
    return _seal(Purpose.HEADERS, webhook_id, json.dumps([list(pair) for pair in pairs]))


def open_headers(webhook_id: int, sealed: bytes) -> list[tuple[str, str]]:
    """Decrypt a webhook's custom headers. Raise `VaultError`."""
    pairs = json.loads(_open(Purpose.HEADERS, webhook_id, sealed))
    return [(name, value) for name, value in pairs]


def seal_typed(user_id: int, text: str) -> str:
    """Encrypt typed text of a form that returns to the person, so that it is neither lost nor
    printed. It opens for this person alone, for `TYPED_SECONDS`."""
    return _seal(Purpose.TYPED, user_id, text).decode()


def open_typed(user_id: int, token: str) -> str | None:
    """Decrypt text from `seal_typed`. Return None if it is too old or another person's."""
    try:
        return _open(Purpose.TYPED, user_id, token.encode(), ttl=TYPED_SECONDS)
    except VaultError:
        return None


def is_current(sealed: bytes) -> bool:
    """Return whether it is sealed with the first key."""
    try:
        _cipher(settings().encryption_keys[:1]).decrypt(sealed)
    except InvalidToken:
        return False
    return True


def seal_anew(sealed: bytes) -> bytes:
    """Reseal it with the first key. Raise `VaultError`."""
    try:
        return _cipher(settings().encryption_keys).rotate(sealed)
    except InvalidToken:
        raise VaultError("This portal’s encryption keys can’t decrypt a stored secret.") from None


def masked(secret: str) -> str:
    """Return a stored secret for display, such as "•••• 4f2a". A short one shows only the dots."""
    return f"{DOTS} {hint(secret)}".rstrip()


def check_keys() -> None:
    """Refuse to start with keys that do not open the stored secrets. Seal a key check the first
    time.

    Needs an application context. Raise `SettingsError`. A database that has not been migrated yet
    has nothing to protect.
    """
    current = session()
    if not inspect(current.connection()).has_table(KeyCheck.__tablename__):
        current.rollback()
        return
    stored = _stored_key_check()
    current.rollback()
    if not _opens(stored or _new_key_check()):
        raise SettingsError(OTHER_KEYS)


def refuse_other_keys() -> None:
    """Raise `WrongKeys` unless our keys open the stored secrets. Call this in the transaction that
    stores."""
    if not _opens(_stored_key_check() or _new_key_check()):
        raise WrongKeys


def why_undecryptable() -> str | None:
    """Return a sentence if our keys do not open the stored secrets, else None."""
    sealed = _stored_key_check()
    return None if sealed is None or _opens(sealed) else OTHER_KEYS


def _opens(sealed: bytes) -> bool:
    try:
        _open(Purpose.KEY_CHECK, KEY_CHECK_ID, sealed)
    except VaultError:
        return False
    return True


def _stored_key_check() -> bytes | None:
    return session().execute(select(KeyCheck.sealed).where(KeyCheck.id == KEY_CHECK_ID)).scalar()


def _new_key_check() -> bytes:
    """Seal a key check. If two processes start at once, the first wins and both check its row."""
    with writing() as current:
        values = {
            "id": KEY_CHECK_ID,
            "sealed": _seal(Purpose.KEY_CHECK, KEY_CHECK_ID, KEY_CHECK_TEXT),
        }
        make = insert_or_ignore(current.connection())
        current.execute(make(KeyCheck).values(values).on_conflict_do_nothing())
        return current.execute(
            select(KeyCheck.sealed).where(KeyCheck.id == KEY_CHECK_ID)
        ).scalar_one()


def renew_key_check(current: Session) -> None:
    """Reseal the key check with our keys, regardless of its former keys. In the caller's
    transaction."""
    values = {"id": KEY_CHECK_ID, "sealed": _seal(Purpose.KEY_CHECK, KEY_CHECK_ID, KEY_CHECK_TEXT)}
    row = insert_or_ignore(current.connection())(KeyCheck).values(values)
    renewed = {"sealed": row.excluded.sealed}
    current.execute(row.on_conflict_do_update(index_elements=[KeyCheck.id], set_=renewed))


@lru_cache(maxsize=8)
def _cipher(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def _seal(purpose: Purpose, row_id: int, text: str) -> bytes:
    return _cipher(settings().encryption_keys).encrypt(_mark(purpose, row_id) + text.encode())


def _open(purpose: Purpose, row_id: int, sealed: bytes, ttl: int | None = None) -> str:
    try:
        plain = _cipher(settings().encryption_keys).decrypt(sealed, ttl=ttl)
    except InvalidToken:
        raise VaultError("This portal’s encryption keys can’t decrypt a stored secret.") from None
    mark = _mark(purpose, row_id)
    if not plain.startswith(mark):
        raise VaultError("A stored secret belongs to another row.")
    return plain[len(mark) :].decode()


def _mark(purpose: Purpose, row_id: int) -> bytes:
    return f"{purpose}:{row_id}:".encode()
