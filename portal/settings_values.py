"""How one setting's text becomes a value, or a sentence that says what to change."""

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones


class SettingsError(ValueError):
    """A setting cannot be used; the message is one sentence for the person who starts us."""


def number(environ: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    """A whole number within `low` … `high`."""
    text = environ.get(name, "").strip() or str(default)
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise SettingsError(f"{name} must be a whole number from {low} to {high}, not “{text}”.")
    return int(text)


def flag(environ: Mapping[str, str], name: str) -> bool:
    """`1` or `0`; absent is `0`."""
    text = environ.get(name, "").strip() or "0"
    if text not in {"0", "1"}:
        raise SettingsError(f"{name} must be 1 or 0, not “{text}”.")
    return text == "1"


def one_of(environ: Mapping[str, str], name: str, default: str, choices: tuple[str, ...]) -> str:
    """One of a few words."""
    text = environ.get(name, "").strip() or default
    if text not in choices:
        raise SettingsError(f"{name} must be {' or '.join(choices)}, not “{text}”.")
    return text


def currency(environ: Mapping[str, str], name: str, default: str) -> str:
    """The three capital letters of a currency (ISO 4217)."""
    text = environ.get(name, "").strip() or default
    if len(text) != 3 or not (text.isascii() and text.isalpha() and text.isupper()):
        raise SettingsError(f"{name} must be three capital letters, as in “EUR”, not “{text}”.")
    return text


def durations(environ: Mapping[str, str], name: str, default: str) -> tuple[int, ...]:
    """Seconds before each attempt, separated by commas; the first is usually 0."""
    text = environ.get(name, "").strip() or default
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) <= 864_000 for part in parts):
        raise SettingsError(f"{name} must be seconds separated by commas, as in “0,5,300”.")
    return tuple(int(part) for part in parts)


def networks(
    environ: Mapping[str, str], name: str, default: tuple[IPv4Network | IPv6Network, ...]
) -> tuple[IPv4Network | IPv6Network, ...]:
    """Networks separated by commas. Set but empty means none, whatever the default is."""
    if name not in environ:
        return default
    parts = [part.strip() for part in environ[name].split(",") if part.strip()]
    try:
        return tuple(ip_network(part) for part in parts)
    except ValueError as error:
        raise SettingsError(
            f"{name} must be networks separated by commas, as in “10.1.0.0/16”: {error}."
        ) from None


def choice_of_zone(environ: Mapping[str, str], name: str, default: str) -> ZoneInfo:
    """The name of a time zone, as in Europe/Vienna."""
    text = environ.get(name, "").strip() or default
    if text not in available_timezones():
        raise SettingsError(f"{name} must be a time zone such as Europe/Vienna, not “{text}”.")
    return ZoneInfo(text)


def web_address(environ: Mapping[str, str], name: str, default: str) -> str:
    """An http or https address without a slash at its end."""
    text = environ.get(name, "").strip() or default
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingsError(f"{name} must start with http:// or https://, not “{text}”.")
    return text.rstrip("/")


def database_url(environ: Mapping[str, str], instance_dir: Path) -> str:
    """SQLite in the instance folder unless `DATABASE_URL` names a database."""
    text = environ.get("DATABASE_URL", "").strip() or f"sqlite:///{instance_dir}/portal.sqlite"
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in {"sqlite", "postgres", "postgresql", "postgresql+psycopg"}:
        raise SettingsError("DATABASE_URL must start with sqlite:/// or postgresql://.")
    return text if scheme == "sqlite" else f"postgresql+psycopg://{rest}"


def redis_url(environ: Mapping[str, str], default: str) -> str:
    """The embedded Valkey's socket unless `REDIS_URL` names a server."""
    text = environ.get("REDIS_URL", "").strip() or default
    if text.partition("://")[0] not in {"redis", "rediss", "unix"}:
        raise SettingsError("REDIS_URL must start with redis://, rediss:// or unix://.")
    return text


def private_folder(path: Path, name: str) -> None:
    """Make the folder that the setting `name` names, for this user alone; it may exist."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise SettingsError(
            f"{name} must be a folder that can be written to, not “{path}”: {error.strerror}."
        ) from None
