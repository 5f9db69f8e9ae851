"""Key rotation re-encrypts everything, even after an interruption, so that the old key can go."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete, event, select

from portal.database.engine import sqlite_module
from portal.extensions import db
from portal.models.operations import KeyCheck
from portal.models.webhooks import Webhook
from portal.services.core import vault
from portal.services.core.unit_of_work import session, writing
from portal.services.webhooks import keys as webhook_keys
from tests.services.webhooks.other_keys import NEW_KEY, Keys
from tests.support.database.empty_database import path_of
from tests.support.factories import make_webhook


@pytest.fixture
def keys(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Keys:
    """Return the installation's keys for a test to change."""
    return Keys(app, monkeypatch)


def secret_of(webhook_id: int) -> str:
    session().rollback()
    webhook = session().get_one(Webhook, webhook_id)
    return vault.open_secret(webhook.id, webhook.secret_enc or b"")


def test_an_interrupted_rotation_continues_where_it_stopped(keys: Keys) -> None:
    hooks = [make_webhook(secret=f"the secret {n} of it") for n in range(30)]
    keys.become(NEW_KEY, *keys.old)

    class Killed(Exception):
        pass

    def kill(_count: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        webhook_keys.rotate(kill)
    left = 30 - webhook_keys.BATCH + 1  # plus the key check
    assert webhook_keys.count_stale() == left
    assert webhook_keys.rotate(lambda _: None) == left
    assert secret_of(hooks[0].id) == "the secret 0 of it"


def test_a_new_webhook_uses_the_new_key_at_once(keys: Keys) -> None:
    keys.become(NEW_KEY, *keys.old)
    hook = make_webhook(secret="the secret of it")
    with writing() as current:
        assert vault.is_current(current.get_one(Webhook, hook.id).secret_enc or b"")


def test_a_rotation_seals_everything_again_and_reports_its_progress(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_keys, "BATCH", 2)
    vault.check_keys()
    pairs = [("X-Site", "north")]
    bare, headed, replaced, both = (make_webhook() for _ in range(4))
    with writing() as current:
        rows = {webhook.id: webhook for webhook in current.scalars(select(Webhook))}
        for hook in (headed, both):
            rows[hook.id].headers_enc = vault.seal_headers(hook.id, pairs)
        for hook in (replaced, both):
            rows[hook.id].old_secret_enc = vault.seal_secret(hook.id, "the one before it")
    keys.become(NEW_KEY, *keys.old)
    assert webhook_keys.count_stale() == 4
    progress: list[int] = []
    assert webhook_keys.rotate(progress.append) == 4
    assert progress == [1, 3, 3]
    assert webhook_keys.count_stale() == 0
    keys.become(NEW_KEY)
    session().rollback()
    rows = {webhook.id: webhook for webhook in session().scalars(select(Webhook))}
    assert rows[bare.id].headers_enc is None
    for hook in (headed, both):
        assert vault.open_headers(hook.id, rows[hook.id].headers_enc or b"") == pairs
    for hook in (replaced, both):
        old = rows[hook.id].old_secret_enc or b""
        assert vault.open_secret(hook.id, old) == "the one before it"


def test_a_rotation_without_a_key_check_seals_none(keys: Keys) -> None:
    keys.become(NEW_KEY, *keys.old)
    with writing() as current:
        current.execute(delete(KeyCheck))
    assert (webhook_keys.count_stale(), webhook_keys.rotate(lambda _: None)) == (0, 0)


@contextmanager
def read_by_another(path: Path) -> Iterator[None]:
    """Read SQLite's file in another connection, and make ours wait for locks only briefly."""
    event.listen(db.engine, "checkout", wait_for_nobody)
    with closing(sqlite_module.connect(path)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM webhooks").fetchall()
        yield
    event.remove(db.engine, "checkout", wait_for_nobody)


def wait_for_nobody(connection: Any, *_: object) -> None:
    connection.execute("PRAGMA busy_timeout=50")


def test_old_ciphertext_leaves_the_file_unless_another_program_reads_it(
    app: Flask, keys: Keys
) -> None:
    if db.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL has no file of ours.")
    vault.check_keys()
    for number in range(30):
        make_webhook(secret=f"the secret {number} of it")
    sealed = [each for each in session().scalars(select(Webhook.secret_enc)) if each]
    path = path_of(db.engine.url)

    def left() -> bool:
        held = b"".join(Path(f"{path}{part}").read_bytes() for part in ("", "-wal"))
        return any(each in held for each in sealed)

    keys.become(NEW_KEY, *keys.old)
    with read_by_another(path):
        answer = app.test_cli_runner().invoke(args=["rotate-keys"])
        assert (answer.exit_code, left()) == (1, True)
        assert "Re-encrypted 31 rows." in answer.output
        assert "Stop the portal and run this again." in answer.output
    answer = app.test_cli_runner().invoke(args=["rotate-keys"])
    assert (answer.exit_code, left(), answer.output) == (0, False, "Re-encrypted 0 rows.\n")
