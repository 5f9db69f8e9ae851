"""Is this a URL that a webhook may have?"""

import re
from functools import lru_cache
from ipaddress import IPv6Address
from urllib.parse import SplitResult, quote, urlsplit

import idna

MAX_URL_LENGTH = 2048
"""Characters, after normalising."""

_MISTYPED = "Check the server name in the address for typing mistakes."
_HOST_NAME = re.compile(r"(?=.{1,253}\.?\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?\Z")
_NOT_IN_A_URL = re.compile(r"[\x00-\x20\x7f-\xa0\\]")


class AddressError(ValueError):
    """The URL cannot be used; the message is a plain sentence for the form."""


@lru_cache(maxsize=4096)
def check_url(url: str) -> str:
    """Return the URL as we send it: lower-case scheme and host, the host in its ASCII form.

    Checked when a webhook is saved and again at every send. Where the host leads is not judged
    here but by `AddressGuard`, on the connected address. Raises `AddressError`.
    """
    if len(url) > MAX_URL_LENGTH:
        raise AddressError(f"Enter an address of at most {MAX_URL_LENGTH} characters.")
    url = url.strip(" \t\r\n")
    if _NOT_IN_A_URL.search(url):
        raise AddressError("Remove spaces and backslashes from the address.")
    parts = _split(url)
    rest = _ascii(parts.path or "/") + (f"?{_ascii(parts.query)}" if parts.query else "")
    normal = f"{parts.scheme}://{_host(parts)}{_port(parts)}{rest}"
    if len(normal) > MAX_URL_LENGTH:
        raise AddressError(f"Enter an address of at most {MAX_URL_LENGTH} characters.")
    return normal


def host_of(url: str) -> str:
    """The host as people should read it, without port; empty when the URL has none."""
    try:
        return urlsplit(url.strip()).hostname or ""
    except ValueError:
        return ""


def is_named(url: str) -> bool:
    """Return whether the host is a name, which may lead elsewhere next time, and no address in
    figures, however they are written."""
    host = host_of(url)
    last = host.rstrip(".").rpartition(".")[2]
    return not (":" in host or last.isdigit() or last.startswith("0x"))


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise AddressError(_MISTYPED) from error
    if parts.scheme not in ("http", "https") or not url[len(parts.scheme) :].startswith("://"):
        raise AddressError("Enter an address that begins with https:// or http://.")
    if "@" in parts.netloc:
        raise AddressError(
            "Remove the user name and password from the address. Send them as a custom header."
        )
    if "#" in url:
        raise AddressError("Remove the # and everything after it from the address.")
    return parts


def _host(parts: SplitResult) -> str:
    host = parts.hostname
    if not host:
        raise AddressError("Add the name of the server after ://, such as example.com.")
    if ":" in host and "%" not in host:
        return f"[{_in_brackets(host)}]"
    name = host if host.isascii() else _idna(host)
    if not _HOST_NAME.match(name):
        raise AddressError(_MISTYPED)
    return name


def _in_brackets(host: str) -> str:
    """Python takes addresses of later versions too, with any characters; libcurl takes none."""
    try:
        IPv6Address(host)
    except ValueError as error:
        raise AddressError(_MISTYPED) from error
    return host


def _idna(host: str) -> str:
    try:
        return idna.encode(host, uts46=True).decode("ascii").lower()
    except UnicodeError as error:
        raise AddressError(_MISTYPED) from error


def _port(parts: SplitResult) -> str:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port is None:
        return ""
    if port == 0:
        raise AddressError("Enter a port between 1 and 65535, or leave it out.")
    return f":{port}"


def _ascii(text: str) -> str:
    """The text with what is not ASCII percent-encoded, and nothing else touched."""
    return (
        text
        if text.isascii()
        else "".join(c if c.isascii() else quote(c, errors="replace") for c in text)
    )
