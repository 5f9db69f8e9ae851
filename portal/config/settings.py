"""Read all settings once from the environment, check them, and freeze them.

`organization`, `timezone`, and `currency` come from the register unless the environment sets them
(`services/core/organization.py`).

An invalid value stops the start with one sentence (`SettingsError`). The environment overrides
`.env` in the project's folder.
"""

import base64
import hashlib
import os
import secrets
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from dotenv import dotenv_values

from portal.config.values import (
    SettingsError,
    certificates,
    choice_of_zone,
    currency,
    database_url,
    durations,
    flag,
    folder,
    machine_name,
    networks,
    number,
    one_of,
    ports,
    private_folder,
    redis_url,
    security_contact,
    smtp_url,
    token,
    web_address,
)
from portal.database.engine import CHOICES, FULL
from portal.engine.http.address_guard import is_this_machine
from portal.engine.retry_policy import SCHEDULE
from portal.engine.signing.weak_keys import weakness

__all__ = ["ROOT", "Settings", "SettingsError", "load_settings", "valkey_socket"]

ROOT: Final = Path(__file__).resolve().parents[2]
VERSION: Final = "0.1.0"

# A Unix socket's path has at most 108 bytes in Linux's sockaddr_un. Valkey needs some of them.
LONGEST_SOCKET_PATH: Final = 100
LOG_FORMATS: Final = ("json", "lines")
LOOPBACK: Final = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
NAME: Final = "Asset register"
ZONE: Final = "UTC"
CURRENCY: Final = "EUR"
RETRY_SCHEDULE: Final = ",".join(map(str, SCHEDULE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can differ between two installations. Times are in seconds.

    `fixed`: the organization's settings that the environment sets. No page can change them.
    """

    instance_dir: Path
    database_url: str
    database_options: str
    redis_url: str
    secret_key: str = field(repr=False)
    encryption_keys: tuple[str, ...] = field(repr=False)
    host: str
    port: int
    base_url: str
    local_trial: bool
    webhook_source: str
    webhook_timeout: int
    webhook_retry_schedule: tuple[int, ...]
    webhook_allowed_networks: tuple[IPv4Network | IPv6Network, ...]
    webhook_denied_networks: tuple[IPv4Network | IPv6Network, ...]
    webhook_allowed_ports: tuple[int, ...]
    webhook_max_in_flight: int
    worker_max_in_flight: int
    webhook_ca_bundle: str
    lease_margin: int
    maintenance_seconds: int
    retention_days: int
    backup_keep: int
    timezone: ZoneInfo
    currency: str
    smtp_url: str = field(repr=False)
    inbox_origin: str
    security_contact: str
    metrics_token: str = field(repr=False)
    api_requests_per_minute: int
    trusted_proxies: int
    session_idle_minutes: int
    session_days: int
    log_format: str
    command_name: str
    machine: str
    version: str = VERSION
    organization: str = NAME
    organization_version: int = 1
    fixed: frozenset[str] = frozenset()

    @property
    def lease_seconds(self) -> int:
        """Return the duration of a claim: the attempt's deadline plus a margin to record it."""
        return self.webhook_timeout + self.lease_margin

    def command(self, words: str) -> str:
        """Return one of our commands as people type it here, quoted for a sentence."""
        return f"“{self.command_name} {words}”"

    @property
    def linked_url(self) -> str | None:
        """Return `base_url`, or None if only this machine can open it."""
        return None if is_this_machine(urlsplit(self.base_url).hostname or "") else self.base_url

    @property
    def opens_this_machine(self) -> bool:
        """Return whether webhooks are allowed to reach loopback addresses of this machine."""
        return any(
            network.version == own.version and network.overlaps(own)
            for network in self.webhook_allowed_networks
            for own in LOOPBACK
        )

    @property
    def uses_embedded_valkey(self) -> bool:
        """Return whether Redis is the Valkey that `flask up` starts beside the portal."""
        return self.redis_url == f"unix://{valkey_socket(self.instance_dir)}"


# The environment can't set these.
OWN: Final = {"VERSION", "ORGANIZATION", "ORGANIZATION_VERSION", "FIXED"}
NAMES: Final = frozenset(setting.name.upper() for setting in fields(Settings)) - OWN


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read and check all settings.

    Raises `SettingsError` with one sentence for the first invalid value.
    """
    stored: dict[str, str] = {}
    if environ is None:
        stored = {k: v for k, v in dotenv_values(ROOT / ".env").items() if v is not None}
        environ = stored | dict(os.environ)
    refuse_unknown(NAMES, stored, environ)
    instance_dir = folder(environ, "INSTANCE_DIR", ROOT / "instance")
    local_trial = flag(environ, "LOCAL_TRIAL")
    port = number(environ, "PORT", 8000, 1, 65535)
    host = environ.get("HOST") or "127.0.0.1"
    keys: Keys = load_keys(environ, instance_dir, may_create=local_trial)
    return Settings(
        instance_dir=instance_dir,
        database_url=database_url(environ, instance_dir),
        database_options=one_of(environ, "DATABASE_OPTIONS", FULL, CHOICES),
        redis_url=redis_url(environ, f"unix://{valkey_socket(instance_dir)}"),
        secret_key=keys.secret_key,
        encryption_keys=keys.encryption_keys,
        host=host,
        port=port,
        base_url=web_address(environ, "BASE_URL", f"http://{_reachable(host)}:{port}"),
        local_trial=local_trial,
        webhook_source=environ.get("WEBHOOK_SOURCE") or "perfex_assets_module",
        webhook_timeout=number(environ, "WEBHOOK_TIMEOUT", 30, 1, 60),
        webhook_retry_schedule=durations(environ, "WEBHOOK_RETRY_SCHEDULE", RETRY_SCHEDULE),
        webhook_allowed_networks=networks(
            environ, "WEBHOOK_ALLOWED_NETWORKS", LOOPBACK if local_trial else ()
        ),
        webhook_denied_networks=networks(environ, "WEBHOOK_DENIED_NETWORKS", ()),
        webhook_allowed_ports=ports(environ, "WEBHOOK_ALLOWED_PORTS"),
        webhook_max_in_flight=number(environ, "WEBHOOK_MAX_IN_FLIGHT", 8, 1, 512),
        worker_max_in_flight=number(environ, "WORKER_MAX_IN_FLIGHT", 512, 1, 4096),
        webhook_ca_bundle=certificates(environ, "WEBHOOK_CA_BUNDLE"),
        lease_margin=number(environ, "LEASE_MARGIN", 60, 1, 600),
        maintenance_seconds=number(environ, "MAINTENANCE_SECONDS", 2, 1, 60),
        retention_days=number(environ, "RETENTION_DAYS", 30, 1, 3650),
        backup_keep=number(environ, "BACKUP_KEEP", 7, 0, 1000),
        timezone=choice_of_zone(environ, "TIMEZONE", ZONE),
        currency=currency(environ, "CURRENCY", CURRENCY),
        smtp_url=smtp_url(environ),
        inbox_origin=web_address(environ, "INBOX_ORIGIN", f"http://127.0.0.1:{port}"),
        security_contact=security_contact(environ),
        metrics_token=token(environ, "METRICS_TOKEN"),
        api_requests_per_minute=number(environ, "API_REQUESTS_PER_MINUTE", 600, 1, 60_000),
        trusted_proxies=number(environ, "TRUSTED_PROXIES", 0, 0, 10),
        session_idle_minutes=number(environ, "SESSION_IDLE_MINUTES", 720, 5, 1440),
        session_days=number(environ, "SESSION_DAYS", 14, 1, 90),
        log_format=one_of(environ, "LOG_FORMAT", "lines" if local_trial else "json", LOG_FORMATS),
        command_name=environ.get("COMMAND_NAME", "").strip() or ".venv/bin/flask --app wsgi",
        machine=machine_name(environ, "MACHINE"),
        fixed=frozenset(
            name for name in ("timezone", "currency") if environ.get(name.upper(), "").strip()
        ),
    )


def valkey_socket(instance_dir: Path) -> Path:
    """Return the embedded Valkey's socket, which is in the instance folder.

    If that path is too long for a socket address, the socket is in a private temporary folder. The
    folder's name contains a hash of the instance folder.
    """
    beside = instance_dir / "valkey.sock"
    if len(os.fsencode(beside)) <= LONGEST_SOCKET_PATH:
        return beside
    mark = hashlib.sha256(os.fsencode(instance_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"asset-webhooks-{os.getuid()}-{mark}" / "valkey.sock"


def _reachable(host: str) -> str:
    """Return the host for links. A listener on all addresses is reached as localhost."""
    if host in {"0.0.0.0", "::", ""}:  # noqa: S104 - compared, not bound
        return "localhost"
    return f"[{host}]" if ":" in host else host


# Only our variables have these prefixes. Other variables are ours only if they are in `.env`.
PREFIXES: Final = (
    "ENCRYPTION_",
    "INBOX_",
    "LEASE_",
    "RETENTION_",
    "MAINTENANCE_",
    "TRUSTED_",
    "WEBHOOK_",
    "WORKER_",
)
ALIKE: Final = 0.85  # of 1. WEBHOOK_SECRET, a receiver's variable, is 0.79 like WEBHOOK_SOURCE


def refuse_unknown(known: frozenset[str], in_file: Iterable[str], names: Iterable[str]) -> None:
    """Raise `SettingsError` for the first name that is almost one of `known`.

    `in_file`: the names in `.env`. `names`: all names, including the environment's.
    """
    ours = {name for name in names if name.upper().startswith(PREFIXES)}
    for name in sorted({*in_file, *ours} - known):
        if meant := get_close_matches(name.upper(), known, n=1, cutoff=ALIKE):
            raise SettingsError(f"Unknown setting {name}. Did you mean {meant[0]}?")


KEYS_FILE = "keys.env"


@dataclass(frozen=True, slots=True)
class Keys:
    """The portal's keys. Of the Fernet keys, the first one encrypts and all decrypt."""

    secret_key: str
    encryption_keys: tuple[str, ...]


def load_keys(environ: Mapping[str, str], instance_dir: Path, *, may_create: bool) -> Keys:
    """Return the keys from the environment, else from the instance folder, else (trial) new ones.

    Raises `SettingsError` for a missing or invalid key.
    """
    path = instance_dir / KEYS_FILE
    if may_create and not path.exists():
        _create(path)
    kept = {name: value or "" for name, value in dotenv_values(path).items()}
    secret_key = environ.get("SECRET_KEY") or kept.get("SECRET_KEY", "")
    encryption = environ.get("ENCRYPTION_KEYS") or kept.get("ENCRYPTION_KEYS", "")
    if len(secret_key) < 16:
        raise SettingsError(
            "SECRET_KEY must be set to at least 16 characters that only this portal knows."
        )
    _refuse_weak("SECRET_KEY", secret_key)
    return Keys(secret_key, tuple(_fernet_key(part) for part in encryption.split(",")))


def _fernet_key(text: str) -> str:
    key = text.strip()
    try:
        raw = base64.urlsafe_b64decode(key)
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise SettingsError(
            "ENCRYPTION_KEYS must be one or more Fernet keys (32 bytes, URL-safe base64), "
            "separated by commas."
        )
    _refuse_weak("ENCRYPTION_KEYS", key, raw.decode("latin-1"))
    return key


def _refuse_weak(setting: str, *forms: str) -> None:
    if reason := weakness(*forms):
        raise SettingsError(f"{setting} must be random. Others can guess {reason}.")


def _create(path: Path) -> None:
    private_folder(path.parent, "INSTANCE_DIR")
    lines = (
        f"SECRET_KEY={secrets.token_urlsafe(32)}\n"
        f"ENCRYPTION_KEYS={base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()}\n"
    )
    # Link a finished file into place, so that concurrent first starts agree on one pair of keys.
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(lines)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
