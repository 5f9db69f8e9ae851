"""One request and what came of it: measured, bounded, and harmless to store."""

import re
from collections.abc import Hashable, Iterable
from datetime import datetime, timedelta
from io import BytesIO
from typing import NamedTuple

import requests
from requests.structures import CaseInsensitiveDict

from portal.engine.reasons import Reason
from portal.lib.typed_text import storable

MAX_TEXT = 16 * 1024
"""Characters of the answer's body that are kept as text."""
MAX_DETAIL = 500
MAX_KEPT_HEADERS = 100
MAX_KEPT_HEADER_NAME = 100
MAX_KEPT_HEADER_VALUE = 2048

_CHARSET = re.compile(r"charset=[\"']?([\w-]+)", re.IGNORECASE)
# Only these besides UTF-8: every other codec is either rare or open to abuse by what it decodes.
_LATIN = frozenset({"iso-8859-1", "latin-1", "latin1", "windows-1252", "us-ascii"})


class Phases(NamedTuple):
    """Seconds from the start of the request to the end of each phase; they never decrease.

    None: the phase was not reached, or there was none. A connection kept open from an earlier
    request has no lookup, connect or TLS phase, and plain http has no TLS phase. `first_byte`
    is there once a whole line of the answer came.

    `again` apart: when the request went out a second time, because the connection kept open from an
    earlier one had ended before an answer, or was to, if it got no further. The receiver may have
    read it twice. The other phases are then those of the second time.
    """

    name_lookup: float | None = None
    connect: float | None = None
    tls: float | None = None
    first_byte: float | None = None
    total: float | None = None
    again: float | None = None


class Exchange(NamedTuple):
    """One request that has ended, whichever way.

    `reason` is None exactly for success, a complete 2xx answer. `code` is there once the headers
    of an answer were complete, also when its body then took too long. `error` is there when no
    answer can be used; `response` when one can. `peer` is the connected address as `ip:port`.
    `text` and `response_headers` are cut to a size that can be stored; `truncated` says that the
    answer went on. `detail` is technical text of one line, without URL, header values or body.
    `is_unreached`: there was no connection to send it over, which may be the sender's own trouble.
    """

    key: Hashable
    request: requests.PreparedRequest
    reason: Reason | None
    code: int | None = None
    error: requests.RequestException | None = None
    phases: Phases = Phases()
    peer: str | None = None
    reused_connection: bool = False
    certificate_ends_at: datetime | None = None
    phrase: str = ""
    response_headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    truncated: bool = False
    detail: str = ""
    is_unreached: bool = False

    @property
    def text(self) -> str:
        """The body as at most `MAX_TEXT` characters that any database stores."""
        charset = _CHARSET.search(self.header("Content-Type") or "")
        latin = charset is not None and charset[1].lower() in _LATIN
        text = self.body.decode("cp1252" if latin else "utf-8", "replace")[:MAX_TEXT]
        return storable(text)

    @property
    def location(self) -> str | None:
        """Where a redirect points, as the receiver wrote it."""
        return self.header("Location")

    @property
    def response(self) -> requests.Response | None:
        """The answer in the vocabulary of requests, made anew each time; None if there is none."""
        if self.code is None or self.error is not None:
            return None
        response = requests.Response()
        response.status_code = self.code
        response.reason = self.phrase
        response.url = self.request.url or ""
        response.request = self.request
        response.headers = CaseInsensitiveDict(self.response_headers)
        response.raw = BytesIO(self.body)
        response.encoding = requests.utils.get_encoding_from_headers(response.headers)
        response.elapsed = timedelta(seconds=self.phases.total or 0.0)
        return response

    def header(self, name: str) -> str | None:
        """The first response header of that name, whatever its capitals."""
        wanted = name.lower()
        for own, value in self.response_headers:
            if own.lower() == wanted:
                return value
        return None


def one_line(text: str) -> str:
    """Technical text fit for a table cell: one line, bounded."""
    return storable(" ".join(text.split()))[:MAX_DETAIL]


class Head(NamedTuple):
    """The head of the final answer; `complete` once its blank line came."""

    complete: bool
    phrase: str
    headers: tuple[tuple[str, str], ...]


def read_head(lines: Iterable[bytes]) -> Head:
    """Read raw header lines: informational answers (1xx) are skipped, trailers are ignored."""
    # Latin-1 has no surrogates: of what cannot be stored, only NUL.
    text = b"".join(lines).decode("latin-1").replace("\0", "\ufffd").replace("\r\n", "\n")
    block, end, rest = text.partition("\n\n")
    while rest and block.partition(" ")[2].startswith("1"):
        block, end, rest = rest.partition("\n\n")
    status_line, *headers = block.split("\n")
    complete = bool(end) and not status_line.partition(" ")[2].startswith("1")
    return Head(complete, status_line.partition(" ")[2][4:100], tuple(_pairs(headers)))


def _pairs(lines: list[str]) -> Iterable[tuple[str, str]]:
    for line in lines[:MAX_KEPT_HEADERS]:
        name, colon, value = line.partition(":")
        if colon:
            yield name[:MAX_KEPT_HEADER_NAME], value.strip()[:MAX_KEPT_HEADER_VALUE]
