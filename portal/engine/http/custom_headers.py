"""Check the custom headers of a webhook."""

import re
from collections.abc import Sequence

MAX_HEADERS = 20
MAX_NAME_LENGTH = 64
MAX_VALUE_LENGTH = 1000

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*\Z")
_VALUE = re.compile(r"[\x20-\x7e]*\Z")

# Owned by HTTP (RFC 9110, RFC 9112) or by the wire contract. A second one would contradict ours.
_OWNED_NAMES = frozenset(
    {
        "accept-encoding",
        "connection",
        "cookie",
        "date",
        "expect",
        "forwarded",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    }
)
_OWNED_PREFIXES = ("content-", "proxy-", "webhook-", "x-asset-webhook-", "x-forwarded-")


class HeaderError(ValueError):
    """A header that isn't allowed. The message is a plain sentence for the form."""


def refuse_header(name: str, value: str) -> str | None:
    """Return a plain sentence if this header isn't allowed, else None.

    The sentence never contains the value, which can be a secret.
    """
    return _refuse_name(name) or _refuse_value(name, value)


def check_headers(pairs: Sequence[tuple[str, str]]) -> None:
    """Check all custom headers of a webhook, when it is saved and before every attempt.

    Raises `HeaderError` for the first header that isn't allowed, for more than `MAX_HEADERS`, and
    for a duplicate name, ignoring case.
    """
    if len(pairs) > MAX_HEADERS:
        raise HeaderError(f"Enter at most {MAX_HEADERS} custom headers")
    seen: set[str] = set()
    for name, value in pairs:
        if sentence := refuse_header(name, value):
            raise HeaderError(sentence)
        if name.lower() in seen:
            raise HeaderError(f"Remove the duplicate header {name}")
        seen.add(name.lower())


def _refuse_name(name: str) -> str | None:
    if not name:
        return "Enter a header name such as X-Api-Key or remove the row"
    if len(name) > MAX_NAME_LENGTH or not _NAME.match(name):
        return (
            "Enter letters, digits, and hyphens, such as X-Api-Key, with at most "
            f"{MAX_NAME_LENGTH} characters"
        )
    lower = name.lower()
    if lower in _OWNED_NAMES or lower.startswith(_OWNED_PREFIXES):
        return f"Choose another header name. The portal sets {name}"
    return None


def _refuse_value(name: str, value: str) -> str | None:
    if not value:
        return f"Enter a value for {name} or remove the row"
    if len(value) > MAX_VALUE_LENGTH:
        return f"Enter at most {MAX_VALUE_LENGTH} characters as {name}’s value"
    if not _VALUE.match(value):
        return f"Remove line breaks and accented letters from {name}’s value"
    if value != value.strip():
        return f"Remove spaces before and after {name}’s value"
    return None
