"""smtplib's clients with an end: a server may be slow, silent or endless, and still we are back.

smtplib's own timeout is per read, so that an answer which drips or never ends holds it for ever.
"""

import smtplib
import socket
from time import monotonic
from typing import Any, Final

STEP_SECONDS: Final = 10.0  # to connect, and for each answer
SMTP_SECONDS: Final = 20.0  # for everything


class MayHaveArrived(smtplib.SMTPException):
    """The server hung up, or said nothing, when it had been given the message."""


class _Answers:
    """What the server says, line by line, until the conversation's time is over.

    Byte by byte: nothing that came before TLS is left in a buffer and read after it.
    """

    def __init__(self, connection: socket.socket, ends_at: float) -> None:
        self._connection, self._ends_at = connection, ends_at

    def readline(self, limit: int) -> bytes:
        """The next line, at most `limit` bytes of it. Raises `TimeoutError`."""
        line = bytearray()
        while len(line) < limit and not line.endswith(b"\n"):
            left = self._ends_at - monotonic()
            if left <= 0:
                raise TimeoutError("the mail server took too long")
            self._connection.settimeout(min(left, STEP_SECONDS))
            byte = self._connection.recv(1)
            if not byte:
                break
            line += byte
        return bytes(line)

    def close(self) -> None:
        """Nothing to close: the connection is the client's."""


class InTime(smtplib.SMTP):
    """A conversation that begins in the open."""

    def __init__(self, host: str, port: int, **options: Any) -> None:
        self._ends_at = monotonic() + SMTP_SECONDS
        super().__init__(host, port, timeout=STEP_SECONDS, **options)

    def getreply(self) -> tuple[int, bytes]:
        """See `smtplib.SMTP.getreply`."""
        if self.file is None and self.sock is not None:
            self.file = _Answers(self.sock, self._ends_at)
        return super().getreply()

    def data(self, msg: Any) -> tuple[int, bytes]:
        """See `smtplib.SMTP.data`. Raises `MayHaveArrived`."""
        try:
            return super().data(msg)
        except smtplib.SMTPServerDisconnected as error:
            raise MayHaveArrived(str(error)) from error


class InTimeTLS(InTime, smtplib.SMTP_SSL):
    """TLS from the beginning. Takes `context`."""
