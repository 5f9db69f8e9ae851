"""A request while it comes in: stricter than waitress reads it, and never longer than its time."""

import re
from io import BytesIO
from time import monotonic
from typing import Any, Final

from waitress.parser import HTTPRequestParser, ParsingError
from waitress.utilities import BadRequest, RequestEntityTooLarge

# What anybody may take, and what each 64 KB of a body add to it.
PATIENCE: Final = 30.0
BYTES_A_SECOND: Final = 64 * 1024
MOST_FIELDS: Final = 100
# Waitress sets no end to the line before a chunk, to what follows the last one, and to chunks of
# a byte each, on which it spends a hundred times as long.
LONGEST_CHUNK_LINE: Final = 8 * 1024
MOST_FRAMING: Final = 64 * 1024

_FIRST_LINE: Final = re.compile(rb"[!-~]+ [!-~]+ HTTP/1\.[01]")
_CODINGS: Final = re.compile(rb"^transfer-encoding:[ \t]*([^\r]*?)[ \t]*\r$", re.I | re.M)
_HOST: Final = re.compile(rb"^host:", re.I | re.M)
# A field that goes on in the next line; and what takes waitress's pattern seconds, at 32 KB.
_STRANGE_SPACE: Final = re.compile(rb"\r\n[ \t]|[ \t]{200}")


class IncomingRequest(HTTPRequestParser):  # type: ignore[misc]  # waitress publishes no types
    """What waitress's loop collects of one request before a thread takes it.

    Raises nothing: what cannot be read as one request in one way alone is answered with 400.
    """

    error: Any = None
    path = ""  # waitress logs it, also of a request that could not be read

    def __init__(self, adj: Any) -> None:
        super().__init__(adj)
        self.began = monotonic()

    @property
    def kept(self) -> int:
        """How many bytes of its body we hold."""
        return 0 if self.body_rcv is None or self._is_too_long else len(self.body_rcv.buf)

    @property
    def is_late(self) -> bool:
        """Whether it has taken longer than `PATIENCE`, and what the length of its body adds."""
        length = self.body_bytes_received if self.chunked else self.content_length
        longest = min(length, self.adj.max_request_body_size)
        return bool(monotonic() > self.began + PATIENCE + longest / BYTES_A_SECOND)

    def received(self, data: bytes) -> int:
        """Take what has come; returns how many bytes of it were this request's."""
        used: int = super().received(data)
        if isinstance(self.error, RequestEntityTooLarge):
            self._drop_body()
        elif self.chunked and self._is_mostly_framing():
            self.error, self.completed = BadRequest("The chunks are not sensible"), True
        if self.completed:
            # Waitress would ask for a body that is here already, and wait for it.
            self.expect_continue = False
            if self.adj.is_ending:
                self.headers["CONNECTION"] = "close"
        return used

    def parse_header(self, header_plus: bytes) -> None:
        """Read the head. Raises `ParsingError`, and waitress's for other codings."""
        if header_plus.count(b"\r\n") > MOST_FIELDS + 2 or _STRANGE_SPACE.search(header_plus):
            raise ParsingError("Too many header fields, or one in several lines")
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # an address, or a number, that Python refuses
            raise ParsingError("Malformed request") from error
        if not _FIRST_LINE.fullmatch(self.first_line):
            raise ParsingError("Malformed first line")
        # Waitress would serve it as the path with one.
        if self.path[:1] != "/" or self.path[:2] == "//":
            raise ParsingError("The path does not begin with one slash")
        hosts = len(_HOST.findall(header_plus))
        if hosts > 1 or (hosts == 0 and self.version == "1.1"):
            raise ParsingError("Not one host")
        # Where its body ends must not depend on who reads it.
        codings = [each.lower() for each in _CODINGS.findall(header_plus)]
        has_both = self.version != "1.1" or "CONTENT_LENGTH" in self.headers
        if codings and (codings != [b"chunked"] or has_both):
            raise ParsingError("The length of the body is not clear")

    @property
    def _is_too_long(self) -> bool:
        """Of one that has a body."""
        return isinstance(self.body_rcv.buf, Dropped)

    def _drop_body(self) -> None:
        """Read the rest and keep none of it: who still sends would not see the answer.

        The application learns the length, and says in its own words that it is too much.
        """
        body = self.body_rcv
        if not self._is_too_long:
            body.buf.close()
            body.buf = Dropped()
        if self.chunked:
            self.headers["CONTENT_LENGTH"] = str(self.body_bytes_received)
        self.error = body.error
        self.completed = bool(body.error or body.completed)

    def _is_mostly_framing(self) -> bool:
        body = self.body_rcv
        framing = self.body_bytes_received - len(body.buf)
        longest = max(len(body.control_line), len(body.trailer))
        return longest > LONGEST_CHUNK_LINE or framing > MOST_FRAMING + len(body.buf)


class Dropped:
    """In place of waitress's buffer for a body that nobody will read: it stays empty."""

    def append(self, data: bytes) -> None:
        """Leave it."""

    def getfile(self) -> BytesIO:
        """Nothing to read."""
        return BytesIO()

    def close(self) -> None:
        """Nothing to let go of."""
