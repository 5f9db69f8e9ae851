"""Sealed secrets open only for their own row and with the right keys."""

import base64
import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import delete

from portal.config.settings import SettingsError
from portal.models.operations import KeyCheck
from portal.services.core import vault
from portal.services.core.unit_of_work import writing
from portal.services.core.vault import VaultError, WrongKeys

NOON = datetime(2026, 5, 3, 12, 0, tzinfo=UTC)
NEW_KEY = base64.urlsafe_b64encode(b"another key of thirty-two bytes!").decode()


@pytest.fixture
def app_with_keys(app: Flask) -> Iterator[Flask]:
    """Yield the application, whose keys a test can change."""
    before = app.extensions["settings"]
    with writing() as current:
        current.execute(delete(KeyCheck))
    yield app
    app.extensions["settings"] = before


def use_keys(app: Flask, *keys: str) -> None:
    ours = app.extensions["settings"]
    app.extensions["settings"] = dataclasses.replace(ours, encryption_keys=keys)


@pytest.mark.usefixtures("app")
def test_a_sealed_secret_opens_again() -> None:
    assert vault.open_secret(3, vault.seal_secret(3, "schlüssel:7")) == "schlüssel:7"
    pairs = [("Authorization", "Bearer a:b"), ("X-Other", "1")]
    assert vault.open_headers(3, vault.seal_headers(3, pairs)) == pairs


@pytest.mark.usefixtures("app")
def test_sealing_the_same_secret_twice_differs() -> None:
    assert vault.seal_secret(3, "a secret") != vault.seal_secret(3, "a secret")


@pytest.mark.usefixtures("app")
def test_a_secret_does_not_open_for_another_row_or_purpose_or_damaged() -> None:
    sealed = vault.seal_secret(3, "a secret")
    for opens in (
        lambda: vault.open_secret(31, sealed),
        lambda: vault.open_headers(3, sealed),
        lambda: vault.open_secret(3, sealed[:-4]),
    ):
        with pytest.raises(VaultError):
            opens()


@pytest.mark.usefixtures("app")
def test_typed_text_opens_only_for_its_person() -> None:
    token = vault.seal_typed(5, "typed")
    assert vault.open_typed(5, token) == "typed"
    assert vault.open_typed(6, token) is None
    assert vault.open_typed(5, "no token") is None
    assert vault.open_typed(5, "ünsinn") is None


def test_an_old_key_still_opens_after_a_new_key_was_put_first(app_with_keys: Flask) -> None:
    sealed = vault.seal_secret(3, "a secret")
    old = app_with_keys.extensions["settings"].encryption_keys
    use_keys(app_with_keys, NEW_KEY, *old)
    assert vault.open_secret(3, sealed) == "a secret"
    newer = vault.seal_secret(3, "another")
    use_keys(app_with_keys, *old)
    with pytest.raises(VaultError):
        vault.open_secret(3, newer)


def test_a_wrong_key_stops_the_start(app_with_keys: Flask) -> None:
    vault.check_keys()
    vault.check_keys()
    use_keys(app_with_keys, NEW_KEY)
    with pytest.raises(SettingsError, match="ENCRYPTION_KEYS can’t decrypt"):
        vault.check_keys()


def test_wrong_keys_seal_nothing(app_with_keys: Flask) -> None:
    """Cover commands, and a start without the database, which skip the key check."""
    vault.check_keys()
    use_keys(app_with_keys, NEW_KEY)
    for seals in (
        lambda: vault.seal_secret(3, "a secret"),
        lambda: vault.seal_headers(3, [("X-Other", "1")]),
    ):
        with pytest.raises(WrongKeys, match="ENCRYPTION_KEYS can’t decrypt"):
            seals()
    assert vault.open_typed(5, vault.seal_typed(5, "typed")) == "typed", "it is not stored"


def test_the_first_stored_secret_decides_which_keys_are_right(app_with_keys: Flask) -> None:
    with writing():
        vault.seal_secret(3, "a secret")
    use_keys(app_with_keys, NEW_KEY)
    with pytest.raises(SettingsError, match="ENCRYPTION_KEYS can’t decrypt"):
        vault.check_keys()


@pytest.mark.usefixtures("app")
def test_typed_text_opens_for_twelve_hours_and_secrets_forever() -> None:
    with time_machine.travel(NOON, tick=False):
        typed, stored = vault.seal_typed(5, "typed"), vault.seal_secret(3, "a secret")
    with time_machine.travel(NOON + timedelta(hours=11, minutes=59), tick=False):
        assert vault.open_typed(5, typed) == "typed"
    with time_machine.travel(NOON + timedelta(hours=12, minutes=1), tick=False):
        assert vault.open_typed(5, typed) is None
    with time_machine.travel(NOON + timedelta(days=4000), tick=False):
        assert vault.open_secret(3, stored) == "a secret"


def test_a_resealed_secret_opens_for_its_row_with_the_first_key_alone(
    app_with_keys: Flask,
) -> None:
    sealed = vault.seal_secret(3, "a secret")
    old = app_with_keys.extensions["settings"].encryption_keys
    assert vault.is_current(sealed)
    use_keys(app_with_keys, NEW_KEY, *old)
    assert not vault.is_current(sealed)
    resealed = vault.seal_anew(sealed)
    assert vault.is_current(resealed)
    use_keys(app_with_keys, NEW_KEY)
    assert vault.open_secret(3, resealed) == "a secret"
    with pytest.raises(VaultError):
        vault.open_secret(4, resealed)
    with pytest.raises(VaultError):
        vault.seal_anew(sealed)


def test_two_first_starts_share_the_key_check_of_the_first(app_with_keys: Flask) -> None:
    vault.check_keys()
    first = vault._stored_key_check()
    assert vault._new_key_check() == first
