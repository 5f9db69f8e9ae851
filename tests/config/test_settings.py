"""Tests of settings: defaults, accepted values, and one sentence for each refusal."""

import base64
import os
import pwd
from ipaddress import ip_network
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy.engine import make_url

from portal.config.settings import (
    KEYS_FILE,
    Keys,
    Settings,
    SettingsError,
    load_keys,
    load_settings,
)
from portal.config.values import certificates, private_folder
from portal.engine.signing.signatures import check_secret
from portal.engine.signing.weak_keys import KNOWN, REPEATED, SEQUENCE
from tests.conftest import ENVIRONMENT


def load(tmp_path: Path, **environment: str) -> Settings:
    keys = {name: ENVIRONMENT[name] for name in ("SECRET_KEY", "ENCRYPTION_KEYS")}
    return load_settings({**keys, "INSTANCE_DIR": str(tmp_path), **environment})


def test_every_setting_but_the_keys_has_a_default(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings.database_url == f"sqlite:///{tmp_path}/portal.sqlite"
    assert settings.uses_embedded_valkey
    assert settings.port == 8000
    assert settings.webhook_allowed_networks == ()
    assert (settings.webhook_denied_networks, settings.webhook_allowed_ports) == ((), ())
    assert sum(settings.webhook_retry_schedule) == 75 * 3600 + 35 * 60 + 5


BAD_VALUES: Final[list[tuple[str, str, str]]] = [
    ("PORT", "abc", "PORT must be a whole number from 1 to 65535"),
    ("PORT", "70000", "not “70000”"),
    ("WEBHOOK_TIMEOUT", "0", "WEBHOOK_TIMEOUT must be a whole number from 1 to 60"),
    ("SESSION_IDLE_MINUTES", "4", "SESSION_IDLE_MINUTES must be a whole number from 5 to 1440"),
    ("SESSION_IDLE_MINUTES", "1441", "not “1441”"),
    ("SESSION_DAYS", "0", "SESSION_DAYS must be a whole number from 1 to 90, not “0”"),
    ("SESSION_DAYS", "91", "SESSION_DAYS must be a whole number from 1 to 90"),
    ("TIMEZONE", "Vienna", "TIMEZONE must be a time zone"),
    ("DATABASE_URL", "mysql://db", "DATABASE_URL must start with"),
    ("REDIS_URL", "http://redis", "REDIS_URL must start with"),
    ("BASE_URL", "portal.example.com", "BASE_URL must start with"),
    ("WEBHOOK_ALLOWED_NETWORKS", "10.1.0.0/33", "WEBHOOK_ALLOWED_NETWORKS must be networks"),
    ("WEBHOOK_DENIED_NETWORKS", "10.1.0.7/16", "WEBHOOK_DENIED_NETWORKS must be networks"),
    ("WEBHOOK_ALLOWED_PORTS", "443;80", "WEBHOOK_ALLOWED_PORTS must be ports from 1 to 65535"),
    ("WEBHOOK_ALLOWED_PORTS", "0", "WEBHOOK_ALLOWED_PORTS must be ports"),
    ("WEBHOOK_ALLOWED_PORTS", "65536", "WEBHOOK_ALLOWED_PORTS must be ports"),
    ("WEBHOOK_RETRY_SCHEDULE", "5;10", "WEBHOOK_RETRY_SCHEDULE must be seconds"),
    ("SECRET_KEY", "short", "SECRET_KEY must be set to at least 16 characters"),
    ("ENCRYPTION_KEYS", "nonsense", "ENCRYPTION_KEYS must be one or more Fernet keys"),
    ("LOCAL_TRIAL", "yes", "LOCAL_TRIAL must be 1 or 0"),
    ("PORT", "9" * 5000, "PORT must be a whole number"),
    ("BASE_URL", "http://[::1", "BASE_URL must start with"),
    ("BASE_URL", "https://portal.example.com:443443", "BASE_URL must start with"),
    ("BASE_URL", "https://portal.example.com?a=b", "BASE_URL must be a URL"),
    ("INBOX_ORIGIN", "http://[::1", "INBOX_ORIGIN must start with"),
    ("INSTANCE_DIR", "~nobody-of-this-name/portal", "INSTANCE_DIR must be a folder"),
    ("DATABASE_URL", "sqlite://", "DATABASE_URL must name a file"),
    ("DATABASE_URL", "sqlite:///:memory:", "DATABASE_URL must name a file"),
    ("DATABASE_URL", "postgresql://u:hush@db:port/x", "DATABASE_URL must be a URL"),
    ("REDIS_URL", "redis://:hush@db:port", "REDIS_URL must be a server"),
    ("REDIS_URL", "redis:///0", "REDIS_URL must be a server"),
    ("REDIS_URL", "unix:///run/valkey.sock?db=hush", "REDIS_URL must be a server"),
    ("SMTP_URL", "mail.example.com", "SMTP_URL must be a URL"),
    ("SMTP_URL", "smtp://u:hush/x@mail", "SMTP_URL must be a URL"),
    ("SMTP_URL", "smtp://mail?from=us", "SMTP_URL must be a URL"),
    ("SMTP_URL", "smtp://mail?from=us@example.com%0ABcc:hush@example.com", "SMTP_URL must be"),
    ("SMTP_URL", "smtp://u:h%C3%BCsh@mail", "SMTP_URL can contain only ASCII"),
    ("SECURITY_CONTACT", "security@example.com", "SECURITY_CONTACT must be one URL"),
    ("SECURITY_CONTACT", "http://example.com/report", "SECURITY_CONTACT must be one URL"),
    ("SECURITY_CONTACT", "https://", "SECURITY_CONTACT must be one URL"),
    ("SECURITY_CONTACT", "https://u:p@example.com/", "SECURITY_CONTACT must be one URL"),
    ("SECURITY_CONTACT", "https://exämple.com/", "SECURITY_CONTACT must be one URL"),
    ("SECURITY_CONTACT", "mailto:nobody", "SECURITY_CONTACT must be one URL"),
    ("SECURITY_CONTACT", "mailto:a@b.c\nExpires: never", "SECURITY_CONTACT must be one"),
    ("SECURITY_CONTACT", "mailto:a@b.c mailto:d@e.f", "SECURITY_CONTACT must be one URL"),
    ("SECURITY_CONTACT", "tel:112", "SECURITY_CONTACT must be one URL"),
    ("METRICS_TOKEN", "hush hüsh", "METRICS_TOKEN can contain only letters"),
    ("WEBHOOK_CA_BUNDLE", "/nowhere/ca.pem", "(No such file or directory)."),
    ("WEBHOOK_CA_BUNDLE", __file__, "WEBHOOK_CA_BUNDLE must be a PEM file"),
]


def test_a_bad_value_is_refused_in_one_sentence(tmp_path: Path) -> None:
    for name, value, words in BAD_VALUES:
        with pytest.raises(SettingsError) as refused:
            load(tmp_path, **{name: value})
        assert words in str(refused.value)
        assert "\n" not in str(refused.value)
        assert "hush" not in str(refused.value)


def test_a_misspelled_setting_stops_the_start(tmp_path: Path) -> None:
    for name, meant in (
        ("RETENTION_DAY", "RETENTION_DAYS"),
        ("WEBHOOK_TIME_OUT", "WEBHOOK_TIMEOUT"),
        ("WORKER_MAX_INFLIGHT", "WORKER_MAX_IN_FLIGHT"),
        ("webhook_source", "WEBHOOK_SOURCE"),
        ("ENCRYPTION_KEY", "ENCRYPTION_KEYS"),
    ):
        with pytest.raises(SettingsError) as refused:
            load(tmp_path, **{name: "hush"})
        assert str(refused.value) == f"Unknown setting {name}. Did you mean {meant}?", name


def test_variables_of_other_programs_are_ignored(tmp_path: Path) -> None:
    others = {"WEBHOOK_SECRET": "a", "WEBHOOK_URL": "b", "DATABASE_URI": "c", "PORTS": "d"}
    assert load(tmp_path, **others).port == 8000


def test_spelling_is_checked_more_strictly_in_the_env_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.config.settings.ROOT", tmp_path)
    monkeypatch.setenv("PORTS", "another program's")
    file = tmp_path / ".env"
    keys = "".join(f"{name}={ENVIRONMENT[name]}\n" for name in ("SECRET_KEY", "ENCRYPTION_KEYS"))
    file.write_text(f"{keys}PORT=8123\nPOSTGRES_PASSWORD=x\n")
    assert load_settings().port == 8123
    file.write_text(f"{keys}DATABASE_URI=x\n")
    with pytest.raises(SettingsError, match="Did you mean DATABASE_URL"):
        load_settings()


def test_every_process_finds_the_same_sqlite_file(tmp_path: Path) -> None:
    relative = load(tmp_path, DATABASE_URL="sqlite:///other.sqlite")
    assert relative.database_url == f"sqlite:///{tmp_path}/other.sqlite"
    absolute = load(tmp_path, DATABASE_URL="sqlite:////srv/portal.sqlite")
    assert absolute.database_url == "sqlite:////srv/portal.sqlite"
    odd = load(tmp_path, INSTANCE_DIR=f"{tmp_path}/100%25 ours")
    assert make_url(odd.database_url).database == f"{tmp_path}/100%25 ours/portal.sqlite"


def test_an_unreadable_ca_bundle_is_reported(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.touch(mode=0)
    before, other = os.geteuid(), os.geteuid() or 65534  # root can read everything
    os.seteuid(other)
    try:
        with pytest.raises(SettingsError) as refused:
            certificates({"WEBHOOK_CA_BUNDLE": str(bundle)}, "WEBHOOK_CA_BUNDLE")
    finally:
        os.seteuid(before)
    user = pwd.getpwuid(other).pw_name
    message = (
        f"The user {user} can’t read the file “{bundle}” in WEBHOOK_CA_BUNDLE (Permission denied)."
    )
    assert str(refused.value) == message


def test_a_local_trial_creates_its_keys_once_and_keeps_them_private(tmp_path: Path) -> None:
    environment = {"INSTANCE_DIR": str(tmp_path), "LOCAL_TRIAL": "1"}
    first, second = load_settings(environment), load_settings(environment)
    assert first.secret_key == second.secret_key
    assert first.encryption_keys == second.encryption_keys
    assert (tmp_path / "keys.env").stat().st_mode & 0o777 == 0o600


def test_a_new_instance_folder_is_private_and_an_existing_one_is_unchanged(
    tmp_path: Path,
) -> None:
    created, existing = tmp_path / "new" / "ours", tmp_path / "theirs"
    existing.mkdir(mode=0o750)
    for folder, mode in ((created, 0o700), (existing, 0o750)):
        private_folder(folder, "INSTANCE_DIR")
        assert folder.stat().st_mode & 0o777 == mode


def test_keys_are_required_outside_a_local_trial(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="SECRET_KEY"):
        load_settings({"INSTANCE_DIR": str(tmp_path)})


def test_a_local_trial_reaches_this_machine_unless_networks_are_set(tmp_path: Path) -> None:
    trial = load(tmp_path, LOCAL_TRIAL="1")
    assert ip_network("127.0.0.0/8") in trial.webhook_allowed_networks
    assert trial.opens_this_machine
    for named in ("", "10.1.0.0/16"):
        settings = load(tmp_path, LOCAL_TRIAL="1", WEBHOOK_ALLOWED_NETWORKS=named)
        assert ip_network("127.0.0.0/8") not in settings.webhook_allowed_networks
        assert not settings.opens_this_machine
    for named in ("127.0.0.1/32", "10.1.0.0/16, ::/0"):
        assert load(tmp_path, WEBHOOK_ALLOWED_NETWORKS=named).opens_this_machine


def test_denied_networks_and_allowed_ports_are_read(tmp_path: Path) -> None:
    settings = load(
        tmp_path, WEBHOOK_DENIED_NETWORKS="198.18.5.0/24, ::/64", WEBHOOK_ALLOWED_PORTS="443, 8443"
    )
    denied = (ip_network("198.18.5.0/24"), ip_network("::/64"))
    assert (settings.webhook_denied_networks, settings.webhook_allowed_ports) == (
        denied,
        (443, 8443),
    )


def test_a_long_instance_path_gets_a_socket_that_fits(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 60) / ("y" * 60)
    settings = load(tmp_path, INSTANCE_DIR=str(deep))
    assert len(settings.redis_url.removeprefix("unix://")) <= 100
    assert settings.uses_embedded_valkey


def encoded(key: str) -> str:
    """Encode the characters of the key as a Fernet key."""
    return base64.urlsafe_b64encode(key.encode()).decode()


FIRST = encoded("the first of the two, 32 letters")


SECOND = encoded("the second one is as long as it!")


GIVEN = {"SECRET_KEY": "5d1f0a9c3be87264", "ENCRYPTION_KEYS": FIRST}


def read_keys(folder: Path, *, trial: bool = False, **environ: str) -> Keys:
    return load_keys(GIVEN | environ, folder, may_create=trial)


def test_the_secret_key_needs_sixteen_characters(
    tmp_path: Path,
) -> None:
    assert read_keys(tmp_path).secret_key == "5d1f0a9c3be87264"
    with pytest.raises(SettingsError, match="at least 16 characters"):
        read_keys(tmp_path, SECRET_KEY="5d1f0a9c3be8726")


def test_a_guessable_key_is_refused_in_every_place(tmp_path: Path) -> None:
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
        with pytest.raises(SettingsError, match="SECRET_KEY must be random") as refused:
            read_keys(tmp_path, SECRET_KEY=guessed)
        assert reason in str(refused.value), guessed
        assert guessed not in str(refused.value), guessed
        for keys in (encoded(guessed), f"{FIRST},{encoded(guessed)}"):
            with pytest.raises(SettingsError, match="ENCRYPTION_KEYS must be random") as refused:
                read_keys(tmp_path, ENCRYPTION_KEYS=keys)
            assert reason in str(refused.value)
        sentence = f"Enter a random secret key. Others can guess {reason}"
        for secret in (guessed, f"whsec_{encoded(guessed)}"):
            assert check_secret(secret) == sentence


def test_several_encryption_keys_keep_their_order_and_must_be_valid(tmp_path: Path) -> None:
    keys = read_keys(tmp_path, ENCRYPTION_KEYS=f" {SECOND} ,{FIRST}")
    assert keys.encryption_keys == (SECOND, FIRST)
    short = base64.urlsafe_b64encode(b"a" * 31).decode()
    for wrong in (f"{FIRST},", f"{FIRST},{short}", "ä" * 44, "a"):
        with pytest.raises(SettingsError, match="one or more Fernet keys"):
            read_keys(tmp_path, ENCRYPTION_KEYS=wrong)


def test_keys_in_the_environment_override_stored_keys(tmp_path: Path) -> None:
    kept = load_keys({}, tmp_path, may_create=True)
    assert load_keys({}, tmp_path, may_create=False) == kept
    assert read_keys(tmp_path) == Keys(GIVEN["SECRET_KEY"], (FIRST,))
    partly = load_keys({"SECRET_KEY": GIVEN["SECRET_KEY"]}, tmp_path, may_create=False)
    assert partly == Keys(GIVEN["SECRET_KEY"], kept.encryption_keys)


def test_only_a_trial_creates_keys_and_they_are_unique(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        load_keys({}, tmp_path, may_create=False)
    assert os.listdir(tmp_path) == []
    one, other = (load_keys({}, tmp_path / name, may_create=True) for name in ("a", "b"))
    assert len({one.secret_key, other.secret_key}) == 2
    assert len({*one.encryption_keys, *other.encryption_keys}) == 2
    assert os.listdir(tmp_path / "a") == [KEYS_FILE]
    assert len(one.secret_key) >= 40


def test_concurrent_first_starts_keep_the_first_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = load_keys({}, tmp_path, may_create=True)
    # The other process checked before the file existed.
    monkeypatch.setattr(Path, "exists", lambda _: False)
    assert load_keys({}, tmp_path, may_create=True) == kept
    assert os.listdir(tmp_path) == [KEYS_FILE]
