"""The two keys of an installation: where they come from, and which will do."""

import base64
import os
from pathlib import Path

import pytest

from portal.config.settings import KEYS_FILE, Keys, load_keys
from portal.config.values import SettingsError
from portal.engine.signing.signatures import check_secret
from portal.engine.signing.weak_keys import KNOWN, REPEATED, SEQUENCE


def encoded(key: str) -> str:
    """The key's letters as a Fernet key."""
    return base64.urlsafe_b64encode(key.encode()).decode()


FIRST = encoded("the first of the two, 32 letters")
SECOND = encoded("the second one is as long as it!")
GIVEN = {"SECRET_KEY": "5d1f0a9c3be87264", "ENCRYPTION_KEYS": FIRST}


def load(folder: Path, *, trial: bool = False, **environ: str) -> Keys:
    return load_keys(GIVEN | environ, folder, may_create=trial)


def test_sixteen_characters_are_enough_for_the_secret_key_and_fifteen_are_not(
    tmp_path: Path,
) -> None:
    assert load(tmp_path).secret_key == "5d1f0a9c3be87264"
    with pytest.raises(SettingsError, match="at least 16 characters"):
        load(tmp_path, SECRET_KEY="5d1f0a9c3be8726")


def test_a_key_that_can_be_guessed_is_refused_wherever_one_is_entered(tmp_path: Path) -> None:
    for guessed, reason in (
        ("x" * 32, REPEATED),
        ("ChangeMe-changeme-changeme-chang", REPEATED),
        ("Q7vL9tXe" * 4, REPEATED),
        ("0123456789abcdefghijklmnopqrstuv", SEQUENCE),
        ("ZYXWVUTSRQPONMLKJIHGFEDCBA987654", SEQUENCE),
        ("aaaabbbbccccddddaaaabbbbccccdddb", SEQUENCE),
        ("13579bdfhjlnprtvxz02468acegikmoq", SEQUENCE),
        ("please-change-this-secret-key-12", KNOWN),
        ("qwertyuiopasdfghjklzxcvbnm123456", KNOWN),
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", KNOWN),
    ):
        with pytest.raises(SettingsError, match="SECRET_KEY must be made by chance") as refused:
            load(tmp_path, SECRET_KEY=guessed)
        assert reason in str(refused.value), guessed
        assert guessed not in str(refused.value), guessed
        for keys in (encoded(guessed), f"{FIRST},{encoded(guessed)}"):
            with pytest.raises(
                SettingsError, match="ENCRYPTION_KEYS must be made by chance"
            ) as refused:
                load(tmp_path, ENCRYPTION_KEYS=keys)
            assert reason in str(refused.value)
        sentence = f"Use a secret key made by chance: {reason} can be guessed."
        for secret in (guessed, f"whsec_{encoded(guessed)}"):
            assert check_secret(secret) == sentence


def test_several_encryption_keys_keep_their_order_and_each_must_be_one(tmp_path: Path) -> None:
    found = load(tmp_path, ENCRYPTION_KEYS=f" {SECOND} ,{FIRST}")
    assert found.encryption_keys == (SECOND, FIRST)
    short = base64.urlsafe_b64encode(b"a" * 31).decode()
    for wrong in (f"{FIRST},", f"{FIRST},{short}", "ä" * 44, "a"):
        with pytest.raises(SettingsError, match="one or more Fernet keys"):
            load(tmp_path, ENCRYPTION_KEYS=wrong)


def test_what_the_environment_says_goes_before_what_is_kept(tmp_path: Path) -> None:
    kept = load_keys({}, tmp_path, may_create=True)
    assert load_keys({}, tmp_path, may_create=False) == kept
    assert load(tmp_path) == Keys(GIVEN["SECRET_KEY"], (FIRST,))
    partly = load_keys({"SECRET_KEY": GIVEN["SECRET_KEY"]}, tmp_path, may_create=False)
    assert partly == Keys(GIVEN["SECRET_KEY"], kept.encryption_keys)


def test_only_a_trial_makes_keys_and_each_installation_its_own(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        load_keys({}, tmp_path, may_create=False)
    assert os.listdir(tmp_path) == []
    one, other = (load_keys({}, tmp_path / name, may_create=True) for name in ("a", "b"))
    assert len({one.secret_key, other.secret_key}) == 2
    assert len({*one.encryption_keys, *other.encryption_keys}) == 2
    assert os.listdir(tmp_path / "a") == [KEYS_FILE]
    assert len(one.secret_key) >= 40


def test_of_two_first_starts_at_once_the_first_ones_keys_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = load_keys({}, tmp_path, may_create=True)
    # The other has looked before the file was there.
    monkeypatch.setattr(Path, "exists", lambda _: False)
    assert load_keys({}, tmp_path, may_create=True) == kept
    assert os.listdir(tmp_path) == [KEYS_FILE]
