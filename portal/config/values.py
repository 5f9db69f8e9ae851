"""Parse one setting's text into a value, or raise a sentence that asks for a change.

A sentence never repeats a text that can contain a password.
"""

import os
import pwd
import re
import socket
import ssl
from collections.abc import Mapping
from email.utils import parseaddr
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit
from zoneinfo import ZoneInfo, available_timezones

from redis import ConnectionPool
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from portal.lib.typed_values import is_email

LONGEST_NUMBER: Final = 10  # digits
LONGEST_MACHINE: Final = 80


class SettingsError(ValueError):
    """An invalid setting. The message is one sentence for the person who starts the portal."""


def number(environ: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    """Read a whole number from `low` to `high`."""
    text = environ.get(name, "").strip() or str(default)
    if not _is_number(text) or not low <= int(text) <= high:
        raise SettingsError(f"{name} must be a whole number from {low} to {high}, not “{text}”.")
    return int(text)


def flag(environ: Mapping[str, str], name: str) -> bool:
    """Read `1` or `0`. The default is `0`."""
    text = environ.get(name, "").strip() or "0"
    if text not in {"0", "1"}:
        raise SettingsError(f"{name} must be 1 or 0, not “{text}”.")
    return text == "1"


def one_of(environ: Mapping[str, str], name: str, default: str, choices: tuple[str, ...]) -> str:
    text = environ.get(name, "").strip() or default
    if text not in choices:
        raise SettingsError(f"{name} must be {' or '.join(choices)}, not “{text}”.")
    return text


def is_currency(text: str) -> bool:
    """Return whether the text has three capital letters like a currency code."""
    return len(text) == 3 and text.isascii() and text.isalpha() and text.isupper()


def currency(environ: Mapping[str, str], name: str, default: str) -> str:
    """Read the code of a currency (ISO 4217)."""
    text = environ.get(name, "").strip() or default
    if not is_currency(text):
        raise SettingsError(f"{name} must be 3 capital letters, such as “EUR”, not “{text}”.")
    return text


def durations(environ: Mapping[str, str], name: str, default: str) -> tuple[int, ...]:
    """Read the seconds before each attempt, separated by commas. The first is usually 0."""
    text = environ.get(name, "").strip() or default
    parts = [part.strip() for part in text.split(",")]
    if not all(_is_number(part) and int(part) <= 864_000 for part in parts):
        raise SettingsError(f"{name} must be seconds separated by commas, such as “0,5,300”.")
    return tuple(int(part) for part in parts)


def networks(
    environ: Mapping[str, str], name: str, default: tuple[IPv4Network | IPv6Network, ...]
) -> tuple[IPv4Network | IPv6Network, ...]:
    """Read networks separated by commas. An empty value overrides the default with none."""
    if name not in environ:
        return default
    parts = [part.strip() for part in environ[name].split(",") if part.strip()]
    try:
        return tuple(ip_network(part) for part in parts)
    except ValueError as error:
        raise SettingsError(
            f"{name} must be networks separated by commas, such as “10.1.0.0/16” ({error})."
        ) from None


def ports(environ: Mapping[str, str], name: str) -> tuple[int, ...]:
    """Read port numbers separated by commas. None means all ports."""
    parts = [part.strip() for part in environ.get(name, "").split(",") if part.strip()]
    if not all(_is_number(part) and 1 <= int(part) <= 65535 for part in parts):
        raise SettingsError(
            f"{name} must be ports from 1 to 65535 separated by commas, such as “443,8443”."
        )
    return tuple(int(part) for part in parts)


def choice_of_zone(environ: Mapping[str, str], name: str, default: str) -> ZoneInfo:
    """Read the name of a time zone, such as Europe/Vienna."""
    text = environ.get(name, "").strip() or default
    if text not in available_timezones():
        raise SettingsError(f"{name} must be a time zone such as Europe/Vienna, not “{text}”.")
    return ZoneInfo(text)


def certificates(environ: Mapping[str, str], name: str) -> str:
    """Return the absolute path of a PEM file with certificate authorities, empty if unset."""
    text = environ.get(name, "").strip()
    try:
        if text:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=text)
    except ssl.SSLError:  # the file is empty
        raise SettingsError(f"{name} must be a PEM file with certificates, not “{text}”.") from None
    except OSError as error:
        raise SettingsError(
            f"The user {_user()} can’t read the file “{text}” in {name} ({error.strerror})."
        ) from None
    return text and str(Path(text).resolve())


def token(environ: Mapping[str, str], name: str) -> str:
    """Read a bearer token (RFC 6750, 2.1), empty if unset. The error doesn't repeat it."""
    text = environ.get(name, "").strip()
    if text and not re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", text):
        raise SettingsError(f"{name} can contain only letters, digits, and . _ ~ + / -")
    return text


def machine_name(environ: Mapping[str, str], name: str) -> str:
    """Return this machine's name, by default its hostname."""
    text = environ.get(name, "").strip() or socket.gethostname()[:LONGEST_MACHINE]
    if len(text) > LONGEST_MACHINE or not text.isprintable():
        raise SettingsError(f"{name} must be one line with at most {LONGEST_MACHINE} characters.")
    return text


def folder(environ: Mapping[str, str], name: str, default: Path) -> Path:
    """Read a folder as an absolute path. It doesn't need to exist. `~` is this user's home."""
    text = environ.get(name, "").strip()
    try:
        return (Path(text).expanduser() if text else default).resolve()
    except RuntimeError:  # ~ of an unknown user
        raise SettingsError(f"{name} must be a folder, not “{text}”.") from None


def private_folder(path: Path, name: str) -> None:
    """Create the folder of the setting `name` for this user alone, unless it exists."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise SettingsError(
            f"{name} must be a folder that the portal can write to, not “{path}” "
            f"({error.strerror})."
        ) from None


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # in a container, the user can have no name
        return str(os.geteuid())


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER


# RFC 3966, 3: a global number with visual separators.
PHONE: Final = re.compile(r"\+[0-9][0-9().-]{2,30}")
IN_MEMORY: Final = ":memory:"
# User and password as SQLAlchemy reads them, then servers and database, then the query.
WHERE: Final = re.compile(r"([^:/]*(?::[^@]*)?@)?([^?]*)(?:\?(.*))?", re.DOTALL)
# One of several PostgreSQL servers, as libpq lists them.
SERVER: Final = re.compile(r"(?P<host>[^\s:\[\]]+)(:(?P<port>[0-9]{1,4}|[1-6][0-9]{4}))?")
POSTGRESQL_PORT: Final = "5432"
NO_DATABASE_URL: Final = (
    "DATABASE_URL must be a URL such as “postgresql://user:password@db.example.com:5432/portal”. "
    "Separate several servers with commas."
)


def web_address(environ: Mapping[str, str], name: str, default: str) -> str:
    """Read an HTTP or HTTPS URL, without a trailing slash."""
    text = environ.get(name, "").strip() or default
    parts = _split(text)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingsError(f"{name} must start with http:// or https://, not “{text}”.")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise SettingsError(f"{name} must be a URL such as “https://portal.example.com”.")
    return text.rstrip("/")


def database_url(environ: Mapping[str, str], instance_dir: Path) -> str:
    """Read `DATABASE_URL`. The default is SQLite in the instance folder.

    A relative path starts in the instance folder, not in the working directory.
    """
    text = environ.get("DATABASE_URL", "").strip() or "sqlite:///portal.sqlite"
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in {"sqlite", "postgres", "postgresql", "postgresql+psycopg"}:
        raise SettingsError("DATABASE_URL must start with sqlite:/// or postgresql://.")
    if scheme == "sqlite":
        return _sqlite_url(_parsed(text), instance_dir)
    url = f"postgresql+psycopg://{_listed(rest)}"
    _parsed(url)
    return url


def redis_url(environ: Mapping[str, str], default: str) -> str:
    """Read `REDIS_URL`. The default is the embedded Valkey's socket."""
    text = environ.get("REDIS_URL", "").strip() or default
    scheme = text.partition("://")[0]
    if scheme not in {"redis", "rediss", "unix"}:
        raise SettingsError("REDIS_URL must start with redis://, rediss://, or unix://.")
    parts = _split(text)
    if parts is None or not (parts.path if scheme == "unix" else parts.hostname) or _odd(text):
        raise SettingsError(
            "REDIS_URL must be a server such as “redis://127.0.0.1:6379/0” or a socket such as "
            "“unix:///run/valkey.sock”."
        )
    return text


def smtp_url(environ: Mapping[str, str]) -> str:
    """Read the URL of the mail server, empty if unset."""
    text = environ.get("SMTP_URL", "").strip()
    parts = _split(text)
    is_server = parts is not None and parts.scheme in {"smtp", "smtps"} and bool(parts.hostname)
    if text and not (parts and is_server and _may_send(parts)):
        raise SettingsError(
            "SMTP_URL must be a URL such as "
            "“smtp://user:password@mail.example.com:587?from=portal@example.com”. Percent-encode "
            "special characters in the password, such as / as %2F."
        )
    if parts and not (unquote(parts.username or "") + unquote(parts.password or "")).isascii():
        raise SettingsError("The user and password in SMTP_URL can contain only ASCII characters.")
    return text


def security_contact(environ: Mapping[str, str]) -> str:
    """Read the URL for vulnerability reports in security.txt (RFC 9116, 2.5.3), empty if unset."""
    text = environ.get("SECURITY_CONTACT", "").strip()
    scheme, _, rest = text.partition(":")
    if text and not (text.isascii() and text.isprintable() and _is_contact(scheme, rest)):
        raise SettingsError(
            "SECURITY_CONTACT must be one URL such as “mailto:security@example.com”, "
            "“https://example.com/report”, or “tel:+43-1-234567”."
        )
    return text


def _is_contact(scheme: str, rest: str) -> bool:
    if " " in rest:
        return False
    if scheme == "https":
        parts = _split(f"{scheme}:{rest}")
        return parts is not None and bool(parts.hostname) and "@" not in parts.netloc
    if scheme == "tel":
        return PHONE.fullmatch(rest) is not None
    return scheme == "mailto" and is_email(rest.partition("?")[0])


def _split(text: str) -> SplitResult | None:
    """Return the parts of a URL, or None if the text isn't one."""
    try:
        parts = urlsplit(text)
        is_whole = parts.port is None or parts.port > 0  # reading the port validates it
    except ValueError:
        return None
    return parts if is_whole and " " not in parts.netloc and text.isprintable() else None


def _parsed(text: str) -> URL:
    try:
        return make_url(text)
    except (ArgumentError, ValueError):
        raise SettingsError(NO_DATABASE_URL) from None


def _listed(rest: str) -> str:
    """Move several servers into the query, as SQLAlchemy needs them.

    `rest`: the text after `postgresql://`. Of several servers, the one that accepts changes is
    used unless the URL says otherwise.
    """
    user, place, query = WHERE.fullmatch(rest).groups(default="")  # type: ignore[union-attr]  # all fit
    listed, _, name = place.partition("/")
    if "," not in listed:
        return rest
    servers = [SERVER.fullmatch(server) for server in listed.split(",")]
    if not all(servers):
        raise SettingsError(NO_DATABASE_URL)
    hosts = ",".join(server["host"] for server in servers if server)
    ports = ",".join(server["port"] or POSTGRESQL_PORT for server in servers if server)
    words = [f"host={hosts}&port={ports}", *([query] if query else [])]
    if "target_session_attrs=" not in query:
        words.append("target_session_attrs=read-write")
    return f"{user}/{name}?{'&'.join(words)}"


def _sqlite_url(url: URL, instance_dir: Path) -> str:
    if url.host or not url.database or url.database == IN_MEMORY:
        raise SettingsError(
            "DATABASE_URL must name a file after sqlite:///, such as "
            "“sqlite:////srv/portal.sqlite”."
        )
    return url.set(database=str(instance_dir / url.database)).render_as_string()


def _odd(text: str) -> bool:
    """Return whether the Redis client rejects the URL's options."""
    try:
        ConnectionPool.from_url(text)
    except ValueError:
        return True
    return False


def _may_send(parts: SplitResult) -> bool:
    sender = parse_qs(parts.query).get("from")
    return sender is None or (sender[0].isprintable() and is_email(parseaddr(sender[0])[1]))
