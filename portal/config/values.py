"""How one setting's text becomes a value, or a sentence that says what to change."""

import os
import pwd
import re
import socket
import ssl
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

LONGEST_NUMBER: Final = 10  # digits
LONGEST_MACHINE: Final = 80


class SettingsError(ValueError):
    """A setting cannot be used; the message is one sentence for the person who starts us."""


def number(environ: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    """A whole number within `low` … `high`."""
    text = environ.get(name, "").strip() or str(default)
    if not _is_number(text) or not low <= int(text) <= high:
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
    if not all(_is_number(part) and int(part) <= 864_000 for part in parts):
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


def ports(environ: Mapping[str, str], name: str) -> tuple[int, ...]:
    """Port numbers separated by commas; none is all of them."""
    parts = [part.strip() for part in environ.get(name, "").split(",") if part.strip()]
    if not all(_is_number(part) and 1 <= int(part) <= 65535 for part in parts):
        raise SettingsError(
            f"{name} must be ports from 1 to 65535 separated by commas, as in “443,8443”."
        )
    return tuple(int(part) for part in parts)


def choice_of_zone(environ: Mapping[str, str], name: str, default: str) -> ZoneInfo:
    """The name of a time zone, as in Europe/Vienna."""
    text = environ.get(name, "").strip() or default
    if text not in available_timezones():
        raise SettingsError(f"{name} must be a time zone such as Europe/Vienna, not “{text}”.")
    return ZoneInfo(text)


def certificates(environ: Mapping[str, str], name: str) -> str:
    """A PEM file with certificate authorities; empty when there is none."""
    text = environ.get(name, "").strip()
    try:
        if text:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=text)
    except ssl.SSLError:  # nothing in it
        raise SettingsError(f"{name} must be a PEM file with certificates, not “{text}”.") from None
    except OSError as error:
        raise SettingsError(
            f"{name}, “{text}”, cannot be read by the user {_user()}: {error.strerror}."
        ) from None
    return text and str(Path(text).resolve())


def token(environ: Mapping[str, str], name: str) -> str:
    """What a machine brings in a header as a bearer token (RFC 6750, 2.1); empty when none is set.

    The sentence does not repeat it.
    """
    text = environ.get(name, "").strip()
    if text and not re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", text):
        raise SettingsError(f"{name} must be letters, digits and the signs . _ ~ + / - alone.")
    return text


def machine_name(environ: Mapping[str, str], name: str) -> str:
    """What this machine is called; by default its host's name."""
    text = environ.get(name, "").strip() or socket.gethostname()[:LONGEST_MACHINE]
    if len(text) > LONGEST_MACHINE or not text.isprintable():
        raise SettingsError(f"{name} must be at most {LONGEST_MACHINE} characters in one line.")
    return text


def folder(environ: Mapping[str, str], name: str, default: Path) -> Path:
    """A folder, absolute; it need not exist. `~` is this user's home."""
    text = environ.get(name, "").strip()
    try:
        return (Path(text).expanduser() if text else default).resolve()
    except RuntimeError:  # ~ of a user whom this machine does not know
        raise SettingsError(f"{name} must be a folder, not “{text}”.") from None


def private_folder(path: Path, name: str) -> None:
    """Make the folder that the setting `name` names, for this user alone; it may exist."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise SettingsError(
            f"{name} must be a folder that can be written to, not “{path}”: {error.strerror}."
        ) from None


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # in a container it may have no name
        return str(os.geteuid())


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER
