"""Sealed secrets open for their own row, with the right keys, and for nothing else."""

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
    """The application, whose keys a test may change."""
    before = app.extensions["settings"]
    with writing() as current:
        current.execute(delete(KeyCheck))
    yield app
    app.extensions["settings"] = before


def use_keys(app: Flask, *keys: str) -> None:
    ours = app.extensions["settings"]
    app.extensions["settings"] = dataclasses.replace(ours, encryption_keys=keys)


@pytest.mark.usefixtures("app")
def test_what_was_sealed_opens_again() -> None:
    assert vault.open_secret(3, vault.seal_secret(3, "schlüssel:7")) == "schlüssel:7"
    pairs = [("Authorization", "Bearer a:b"), ("X-Other", "1")]
    assert vault.open_headers(3, vault.seal_headers(3, pairs)) == pairs


@pytest.mark.usefixtures("app")
def test_the_same_secret_never_looks_the_same() -> None:
    assert vault.seal_secret(3, "a secret") != vault.seal_secret(3, "a secret")


@pytest.mark.usefixtures("app")
def test_it_does_not_open_for_another_row_or_purpose_or_damaged() -> None:
    sealed = vault.seal_secret(3, "a secret")
    for opens in (
        lambda: vault.open_secret(31, sealed),
        lambda: vault.open_headers(3, sealed),
        lambda: vault.open_secret(3, sealed[:-4]),
    ):
        with pytest.raises(VaultError):
            opens()


@pytest.mark.usefixtures("app")
def test_what_was_typed_opens_for_its_person_alone() -> None:
    token = vault.seal_typed(5, "typed")
    assert vault.open_typed(5, token) == "typed"
    assert vault.open_typed(6, token) is None
    assert vault.open_typed(5, "no token") is None
    assert vault.open_typed(5, "ünsinn") is None


def test_an_old_key_still_opens_after_a_new_one_was_put_first(app_with_keys: Flask) -> None:
    sealed = vault.seal_secret(3, "a secret")
    old = app_with_keys.extensions["settings"].encryption_keys
    use_keys(app_with_keys, NEW_KEY, *old)
    assert vault.open_secret(3, sealed) == "a secret"
    newer = vault.seal_secret(3, "another")
    use_keys(app_with_keys, *old)
    with pytest.raises(VaultError):
        vault.open_secret(3, newer)


def test_a_wrong_key_refuses_to_start(app_with_keys: Flask) -> None:
    vault.check_keys()
    vault.check_keys()
    use_keys(app_with_keys, NEW_KEY)
    with pytest.raises(SettingsError, match="ENCRYPTION_KEYS can’t decrypt"):
        vault.check_keys()


def test_with_wrong_keys_nothing_is_stored_either(app_with_keys: Flask) -> None:
    """Who starts while the database is away, and every command, has not looked at the key check."""
    vault.check_keys()
    use_keys(app_with_keys, NEW_KEY)
    for seals in (
        lambda: vault.seal_secret(3, "a secret"),
        lambda: vault.seal_headers(3, [("X-Other", "1")]),
    ):
        with pytest.raises(WrongKeys, match="ENCRYPTION_KEYS can’t decrypt"):
            seals()
    assert vault.open_typed(5, vault.seal_typed(5, "typed")) == "typed", "it is not stored"


def test_what_is_stored_first_settles_which_keys_are_right(app_with_keys: Flask) -> None:
    with writing():
        vault.seal_secret(3, "a secret")
    use_keys(app_with_keys, NEW_KEY)
    with pytest.raises(SettingsError, match="ENCRYPTION_KEYS can’t decrypt"):
        vault.check_keys()


@pytest.mark.usefixtures("app")
def test_what_was_typed_opens_for_twelve_hours_and_what_is_stored_for_ever() -> None:
    with time_machine.travel(NOON, tick=False):
        typed, stored = vault.seal_typed(5, "typed"), vault.seal_secret(3, "a secret")
    with time_machine.travel(NOON + timedelta(hours=11, minutes=59), tick=False):
        assert vault.open_typed(5, typed) == "typed"
    with time_machine.travel(NOON + timedelta(hours=12, minutes=1), tick=False):
        assert vault.open_typed(5, typed) is None
    with time_machine.travel(NOON + timedelta(days=4000), tick=False):
        assert vault.open_secret(3, stored) == "a secret"


def test_sealed_anew_it_opens_for_the_same_row_and_needs_the_first_key_alone(
    app_with_keys: Flask,
) -> None:
    sealed = vault.seal_secret(3, "a secret")
    old = app_with_keys.extensions["settings"].encryption_keys
    assert vault.is_current(sealed)
    use_keys(app_with_keys, NEW_KEY, *old)
    assert not vault.is_current(sealed)
    anew = vault.seal_anew(sealed)
    assert vault.is_current(anew)
    use_keys(app_with_keys, NEW_KEY)
    assert vault.open_secret(3, anew) == "a secret"
    with pytest.raises(VaultError):
        vault.open_secret(4, anew)
    with pytest.raises(VaultError):
        vault.seal_anew(sealed)


def test_of_two_first_starts_both_take_the_key_check_of_the_first(app_with_keys: Flask) -> None:
    vault.check_keys()
    first = vault._stored_key_check()
    assert vault._new_key_check() == first
