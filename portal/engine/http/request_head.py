"""The header lines of a request, exactly as they go out."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from portal.engine.http.custom_headers import HeaderError

# What HTTP/1.1 itself needs (RFC 9112): a second one would let the receiver misread the request.
_OURS = frozenset({"host", "transfer-encoding", "connection", "expect", "te", "upgrade"})

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")


def header_lines(headers: Mapping[str, str]) -> list[str]:
    """The lines for libcurl, in the order given; libcurl adds Host before and Content-Length after.

    Nothing else is added: no Accept, no Expect, no User-Agent, no Accept-Encoding. Which names an
    admin may use is decided in `custom_headers.py`; this last look judges by
    the rules of HTTP alone.
    Raises `HeaderError`, whose message never has a value in it.
    """
    beginnings, switches = _checked_names(tuple(headers))
    values = headers.values()
    text = "".join(values)
    # For ASCII, printable means 0x20 to 0x7e: no line break can add a header.
    if not (text.isascii() and text.isprintable()):
        raise HeaderError("A header value has characters that may not be sent")
    # libcurl reads "Name:" as "leave it out" and "Name;" as "send it empty".
    lines = [
        beginning + value if value.strip() else beginning.replace(": ", ";")
        for beginning, value in zip(beginnings, values, strict=True)
    ]
    return lines + switches


@lru_cache(maxsize=1024)
def _checked_names(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Check a set of names; return how their lines begin, and lines that keep libcurl from adding
    headers of its own accord."""
    for name in names:
        if not _NAME.match(name):
            raise HeaderError("A header name has characters that HTTP does not allow")
        if name.lower() in _OURS:
            raise HeaderError(f"The header {name} may not be set by hand")
    lower = {name.lower() for name in names}
    if len(lower) < len(names):
        raise HeaderError("A header is there twice, with other capitals")
    switches = ["Expect:"] if "accept" in lower else ["Accept:", "Expect:"]
    return [f"{name}: " for name in names], switches
