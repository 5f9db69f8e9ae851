"""Send one e-mail by the server that SMTP_URL names, within `SECONDS`.

smtplib's own timeout is per read: an answer that drips or never ends would hold it for ever.
"""

import smtplib
import socket
import ssl
from collections.abc import Sequence
from contextlib import closing, suppress
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid, parseaddr
from time import monotonic
from typing import Any, Final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from portal.config.settings import Settings
from portal.lib.clock import utcnow

STEP_SECONDS: Final = 10.0  # to connect, and for each answer
SECONDS: Final = 20.0  # for everything


class MayHaveArrived(smtplib.SMTPException):
    """The server closed the connection without an answer to the message."""


class _Answers:
    """The server's answers by line, until the conversation's time is over.

    Read byte by byte: nothing that came before TLS is left in a buffer and read after it.
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
        """Leave the connection to the client."""


class InTime(smtplib.SMTP):
    """A conversation that begins in the open."""

    def __init__(self, host: str, port: int, **options: Any) -> None:
        self._ends_at = monotonic() + SECONDS
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


# smtplib's errors are of the first kind; an impossible host name is of the second.
MailError = (OSError, UnicodeError)
# Those about one message or its addresses: the next one may be taken.
MessageError = (
    smtplib.SMTPRecipientsRefused,
    smtplib.SMTPDataError,
    smtplib.SMTPNotSupportedError,  # letters in an address that the server does not know
    MayHaveArrived,
)


def send(settings: Settings, to: Sequence[str], subject: str, text: str) -> None:
    """Hand a message over. Raises one of `MailError` when the server does not take it.

    `smtp://user:password@host:587?from=portal@example.com` uses STARTTLS where it is offered and
    never sends a password without it; `smtps://` is TLS from the beginning.
    """
    url = urlsplit(settings.smtp_url)
    message = _mail(settings, url, to, subject, text)
    with closing(_signed_in(url)) as server:
        server.send_message(message)
        # It is taken, however the server says good-bye.
        with suppress(OSError):
            server.quit()


def _mail(
    settings: Settings, url: SplitResult, to: Sequence[str], subject: str, text: str
) -> EmailMessage:
    sender = parse_qs(url.query).get("from", [_own_address(settings)])[0]
    message = EmailMessage()
    message["Subject"] = " ".join(subject.split())
    message["From"] = sender
    message["To"] = ", ".join(to)
    # Without these two many servers take a message for spam (RFC 5322, section 3.6).
    message["Date"] = format_datetime(utcnow())
    message["Message-ID"] = make_msgid(domain=parseaddr(sender)[1].rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"  # no "I am on holiday" comes back (RFC 3834)
    message.set_content(text)
    return message


def _signed_in(url: SplitResult) -> smtplib.SMTP:
    host, context = url.hostname or "localhost", ssl.create_default_context()
    if url.scheme == "smtps":
        server: smtplib.SMTP = InTimeTLS(host, url.port or 465, context=context)
    else:
        server = InTime(host, url.port or 25)
    try:
        _secure(server, context, needs_tls=bool(url.password) and url.scheme == "smtp")
        if url.username:
            server.login(unquote(url.username), unquote(url.password or ""))
    except MailError:
        server.close()
        raise
    return server


def _secure(server: smtplib.SMTP, context: ssl.SSLContext, *, needs_tls: bool) -> None:
    server.ehlo()
    if server.has_extn("starttls"):
        server.starttls(context=context)
    elif needs_tls:
        raise smtplib.SMTPException("The server offers no TLS for the password.")


def _own_address(settings: Settings) -> str:
    return f"asset-register@{urlsplit(settings.base_url).hostname or 'localhost'}"
