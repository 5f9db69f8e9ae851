"""Send one email through the server in SMTP_URL, within `SECONDS`.

smtplib's own timeout is per read, so a slow or endless response would block it forever.
"""

import re
import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from email.headerregistry import Address, BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import default
from email.utils import format_datetime, formataddr, parseaddr
from enum import StrEnum
from time import monotonic
from typing import Any, Final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit
from uuid import UUID

from portal.config.settings import Settings
from portal.lib.clock import utcnow

STEP_SECONDS: Final = 10.0  # to connect, and for each response
SECONDS: Final = 20.0  # for everything


LONGEST_WORDS: Final = 300


class Step(StrEnum):
    """Our text, then the steps of an SMTP session in their order."""

    TEXT = "text"
    CONNECT = "connect"
    TLS = "tls"
    SIGN_IN = "sign_in"
    SENDER = "sender"
    RECIPIENT = "recipient"
    MESSAGE = "message"


# A failure here concerns every email. The other steps concern one message or its address.
OF_SERVER: Final = frozenset({Step.CONNECT, Step.TLS, Step.SIGN_IN, Step.SENDER})


# step → sentence before the server's own words
FAILED_AT: Final = {
    Step.TEXT: "We couldn’t write the email",
    Step.CONNECT: "We couldn’t connect to the mail server",
    Step.TLS: "We couldn’t encrypt the connection to the mail server (TLS)",
    Step.SIGN_IN: "We couldn’t sign in to the mail server",
    Step.SENDER: "The mail server refused the sender",
    Step.RECIPIENT: "The mail server refused the recipient",
    Step.MESSAGE: "The mail server refused the message",
}


REMEDIES: Final = {
    Step.TEXT: "Check this server’s log.",
    Step.CONNECT: "Check the host and port in SMTP_URL and whether this server can reach them.",
    Step.TLS: "Check the port in SMTP_URL. For a private certificate authority, set SSL_CERT_FILE.",
    Step.SIGN_IN: "Check the user and password in SMTP_URL.",
    Step.SENDER: "Check the sender (from) in SMTP_URL.",
    Step.RECIPIENT: "Check the recipient’s email address.",
    Step.MESSAGE: "Check the mail server’s log.",
}


class OneLine(UnstructuredHeader, BaseHeader):
    """A header with a URL, never folded.

    A longer one would be sent as an encoded word, in which no mail program looks for a URL.
    """

    def fold(self, *, policy: Any) -> str:
        return f"{self.name}: {self}{policy.linesep}"


HEADERS: Final = HeaderRegistry()
HEADERS.map_to_type("list-unsubscribe", OneLine)
POLICY: Final = default.clone(header_factory=HEADERS)


class MailFailed(Exception):
    """The server didn't accept the message.

    `words` are the server's or the system's, with “…” for the recipient and secrets.
    `may_have_arrived` means that the server closed the connection without a response to it.
    """

    def __init__(self, step: Step, words: str, *, may_have_arrived: bool = False) -> None:
        super().__init__(f"{step}: {words}")
        self.step, self.words, self.may_have_arrived = step, words, may_have_arrived


@dataclass(frozen=True, slots=True)
class Letter:
    """Subject and text of an email. The text can contain a secret link.

    `unsubscribe` is a URL, also in the text. A POST to it ends such emails.
    """

    subject: str
    text: str = field(repr=False)
    unsubscribe: str = field(default="", repr=False)


class MayHaveArrived(smtplib.SMTPException):
    """The server closed the connection without a response to the message."""


class _Answers:
    """The server's responses by line, until the session's time is over.

    Reads byte by byte, so that no data from before TLS stays in a buffer and is read after it.
    """

    def __init__(self, connection: socket.socket, ends_at: float) -> None:
        self._connection, self._ends_at = connection, ends_at

    def readline(self, limit: int) -> bytes:
        """Return the next line, at most `limit` bytes of it. Raises `TimeoutError`."""
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
        """Do nothing, because the client closes the connection."""


class InTime(smtplib.SMTP):
    """An SMTP session with a time limit, which begins unencrypted. `step` is its progress."""

    step = Step.SENDER

    def __init__(self, host: str, port: int, **options: Any) -> None:
        self._ends_at = monotonic() + SECONDS
        super().__init__(host, port, timeout=STEP_SECONDS, **options)

    def getreply(self) -> tuple[int, bytes]:
        """See `smtplib.SMTP.getreply`."""
        if self.file is None and self.sock is not None:
            self.file = _Answers(self.sock, self._ends_at)
        return super().getreply()

    def rcpt(self, *args: Any, **kwargs: Any) -> tuple[int, bytes]:
        """See `smtplib.SMTP.rcpt`."""
        self.step = Step.RECIPIENT
        return super().rcpt(*args, **kwargs)

    def data(self, msg: Any) -> tuple[int, bytes]:
        """See `smtplib.SMTP.data`. Raises `MayHaveArrived`."""
        self.step = Step.MESSAGE
        try:
            return super().data(msg)
        except smtplib.SMTPServerDisconnected as error:
            raise MayHaveArrived(str(error)) from error


class InTimeTLS(InTime, smtplib.SMTP_SSL):
    """An SMTP session with TLS from the beginning. Takes `context`."""


# Long parts of a link, of which the last is secret.
_SECRET_PART: Final = re.compile(r"(?<=[/=])[\w-]{16,}")


def send(settings: Settings, to: str, letter: Letter, number: UUID) -> None:
    """Send a message. Raises `MailFailed` if the server doesn't accept it.

    `number` stays the same when a message is sent again. `smtp://user:password@host:587?from=
    portal@example.com` uses STARTTLS if offered, and never sends a password without it. `smtps://`
    uses TLS from the beginning.
    """
    url = urlsplit(settings.smtp_url)
    with _hiding(to, unquote(url.password or ""), *_SECRET_PART.findall(letter.text)):
        # For an odd address, `email` raises errors of many kinds, also when the message is sent.
        with _at(Step.RECIPIENT):
            message = _mail(settings, url, to, letter, number)
        with closing(_signed_in(url)) as server:
            try:
                server.send_message(message)
            except Exception as error:
                raise _failure(server.step, error) from error
            # The message is accepted even if QUIT fails.
            with suppress(OSError):
                server.quit()


@contextmanager
def _hiding(*texts: str) -> Iterator[None]:
    try:
        yield
    except MailFailed as error:
        for text in filter(None, texts):
            error.words = re.sub(re.escape(text), "…", error.words, flags=re.IGNORECASE)
        error.words = error.words[:LONGEST_WORDS]
        error.args = (f"{error.step}: {error.words}",)
        raise


@contextmanager
def _at(step: Step) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise _failure(step, error) from error


def _failure(step: Step, error: Exception) -> MailFailed:
    if isinstance(error, ssl.SSLError):
        step = Step.TLS
    elif isinstance(error, smtplib.SMTPNotSupportedError) and step is Step.SENDER:
        step = Step.RECIPIENT  # the server doesn't support such letters in an address
    text = " ".join(_said(error).split())
    words = "".join(char for char in text if char.isprintable()) or type(error).__name__
    return MailFailed(step, words, may_have_arrived=isinstance(error, MayHaveArrived))


def _said(error: Exception) -> str:
    match error:
        case smtplib.SMTPRecipientsRefused():
            return _answer(*next(iter(error.recipients.values())))
        case smtplib.SMTPResponseException():
            return _answer(error.smtp_code, error.smtp_error)
        case ssl.SSLCertVerificationError():
            return error.verify_message
        case ssl.SSLError():
            return (error.reason or "").replace("_", " ").lower()
        case OSError(strerror=str(words)):
            return words
        case _:
            return str(error)


def _answer(code: int, said: bytes | str) -> str:
    return f"{code} {said.decode(errors='replace') if isinstance(said, bytes) else said}"


def _mail(
    settings: Settings, url: SplitResult, to: str, letter: Letter, number: UUID
) -> EmailMessage:
    sender = parse_qs(url.query).get("from", [_own_address(settings)])[0]
    message = EmailMessage(POLICY)
    message["Subject"] = " ".join(letter.subject.split())
    name, address = parseaddr(sender)
    is_named = bool(name) or not address.isascii()
    message["From"] = sender if is_named else formataddr((settings.organization, address))
    message["To"] = Address(addr_spec=to)  # exactly one address
    if message["To"].addresses[0].addr_spec != to:  # an encoded word in it was decoded
        raise ValueError("The address has an encoded word.")
    # Without these two, many servers treat a message as spam (RFC 5322, section 3.6).
    message["Date"] = format_datetime(utcnow())
    message["Message-ID"] = f"<{number}@{address.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # prevents automatic replies (RFC 3834)
    if letter.unsubscribe:  # mail programs show a button for these two (RFC 8058)
        message["List-Unsubscribe"] = f"<{letter.unsubscribe}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    # By default, it encodes some texts as base64 and others as 8bit.
    message.set_content(letter.text, cte="quoted-printable")
    return message


def _signed_in(url: SplitResult) -> InTime:
    host, context = url.hostname or "localhost", ssl.create_default_context()
    with _at(Step.CONNECT):
        if url.scheme == "smtps":
            server: InTime = InTimeTLS(host, url.port or 465, context=context)
        else:
            server = InTime(host, url.port or 25)
    try:
        with _at(Step.CONNECT):
            server.ehlo_or_helo_if_needed()
        with _at(Step.TLS):
            _secure(server, context, needs_tls=bool(url.password) and url.scheme == "smtp")
        with _at(Step.SIGN_IN):
            if url.username:
                server.login(unquote(url.username), unquote(url.password or ""))
    except MailFailed:
        server.close()
        raise
    return server


def _secure(server: smtplib.SMTP, context: ssl.SSLContext, *, needs_tls: bool) -> None:
    if server.has_extn("starttls"):
        server.starttls(context=context)
    elif needs_tls:
        raise smtplib.SMTPException("The server offers no TLS for the password.")


def _own_address(settings: Settings) -> str:
    return f"asset-register@{urlsplit(settings.base_url).hostname or 'localhost'}"
