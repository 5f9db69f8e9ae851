"""Send one e-mail by the server that SMTP_URL names, within `SECONDS`.

smtplib's own timeout is per read: an answer that drips or never ends would hold it for ever.
"""

import re
import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from email.errors import HeaderParseError
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

STEP_SECONDS: Final = 10.0  # to connect, and for each answer
SECONDS: Final = 20.0  # for everything


LONGEST_WORDS: Final = 300


class Step(StrEnum):
    """The steps of a conversation, in their order."""

    CONNECT = "connect"
    TLS = "tls"
    SIGN_IN = "sign_in"
    SENDER = "sender"
    RECIPIENT = "recipient"
    MESSAGE = "message"


# A failure here concerns every email. The other steps concern one message or its address.
OF_SERVER: Final = frozenset({Step.CONNECT, Step.TLS, Step.SIGN_IN, Step.SENDER})


# step → how it is told, before the words of the server
FAILED_AT: Final = {
    Step.CONNECT: "We couldn’t connect to the mail server",
    Step.TLS: "We couldn’t encrypt the connection to the mail server (TLS)",
    Step.SIGN_IN: "We couldn’t sign in to the mail server",
    Step.SENDER: "The mail server refused the sender",
    Step.RECIPIENT: "The mail server refused the recipient",
    Step.MESSAGE: "The mail server refused the message",
}


REMEDIES: Final = {
    Step.CONNECT: "Check the host and port in SMTP_URL and whether this server can reach them.",
    Step.TLS: "Check the port in SMTP_URL. For a private certificate authority, set SSL_CERT_FILE.",
    Step.SIGN_IN: "Check the user and password in SMTP_URL.",
    Step.SENDER: "Check the sender (from) in SMTP_URL.",
    Step.RECIPIENT: "Check the recipient’s email address.",
    Step.MESSAGE: "Check the mail server’s log.",
}


class OneLine(UnstructuredHeader, BaseHeader):
    """A header with a URL. Whatever is longer than a line would be sent as an encoded word, in
    which no mail program looks for a URL."""

    def fold(self, *, policy: Any) -> str:
        """Return it in one line."""
        return f"{self.name}: {self}{policy.linesep}"


HEADERS: Final = HeaderRegistry()
HEADERS.map_to_type("list-unsubscribe", OneLine)
POLICY: Final = default.clone(header_factory=HEADERS)


class MailFailed(Exception):
    """The message was not taken. `words`: the server's own, or the system's, with “…” for the
    recipient and the password. `may_have_arrived`: the server left without an answer to it."""

    def __init__(self, step: Step, words: str, *, may_have_arrived: bool = False) -> None:
        super().__init__(f"{step}: {words}")
        self.step, self.words, self.may_have_arrived = step, words, may_have_arrived


@dataclass(frozen=True, slots=True)
class Letter:
    """Subject and text of an email. The text can contain a secret link. `unsubscribe`: a URL in the
    text too, at which a POST ends such emails."""

    subject: str
    text: str = field(repr=False)
    unsubscribe: str = field(default="", repr=False)


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
    """A conversation that begins in the open. `step`: how far it has come."""

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
    """TLS from the beginning. Takes `context`."""


# smtplib's errors and the system's are of the first kind; an impossible host name or address is of
# the second, or of the third.
MailError = (OSError, ValueError, HeaderParseError)


# The parts of a link, of which the last is secret.
_SECRET_PART: Final = re.compile(r"(?<=[/=])[\w-]{16,}")


def send(settings: Settings, to: str, letter: Letter, number: UUID) -> None:
    """Hand a message over. Raises `MailFailed` when the server does not take it.

    `number`: of this message, however often it is sent. `smtp://user:password@host:587?from=
    portal@example.com` uses STARTTLS where it is offered and never sends a password without it;
    `smtps://` is TLS from the beginning.
    """
    url = urlsplit(settings.smtp_url)
    with _hiding(to, unquote(url.password or ""), *_SECRET_PART.findall(letter.text)):
        with _at(Step.RECIPIENT):
            message = _mail(settings, url, to, letter, number)
        with closing(_signed_in(url)) as server:
            try:
                server.send_message(message)
            except MailError as error:
                raise _failure(server.step, error) from error
            # It is taken, however the server says good-bye.
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
    except MailError as error:
        raise _failure(step, error) from error


def _failure(step: Step, error: OSError | ValueError | HeaderParseError) -> MailFailed:
    if isinstance(error, ssl.SSLError):
        step = Step.TLS
    elif isinstance(error, smtplib.SMTPNotSupportedError) and step is Step.SENDER:
        step = Step.RECIPIENT  # letters in the address that the server does not know
    said = " ".join(_said(error).split())
    words = "".join(each for each in said if each.isprintable()) or type(error).__name__
    return MailFailed(step, words, may_have_arrived=isinstance(error, MayHaveArrived))


def _said(error: OSError | ValueError | HeaderParseError) -> str:
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
    message["To"] = Address(addr_spec=to)  # one, whatever is in it
    # Without these two many servers take a message for spam (RFC 5322, section 3.6).
    message["Date"] = format_datetime(utcnow())
    message["Message-ID"] = f"<{number}@{address.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # no "I am on holiday" comes back (RFC 3834)
    if letter.unsubscribe:  # mail programs show a button for these two (RFC 8058)
        message["List-Unsubscribe"] = f"<{letter.unsubscribe}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    # Left to itself it sends some texts as base64, and others as eight bits.
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
