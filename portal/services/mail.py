"""One e-mail on its way out, by the server that SMTP_URL names."""

import smtplib
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from portal.config import Settings

TIMEOUT: Final = 10  # seconds for each step
# What a server or the way to it may answer with; the message is still ours to send.
MailError = (smtplib.SMTPException, OSError)
# Of these, what is about one message or its addresses: the next one may be taken.
MessageError = (
    smtplib.SMTPRecipientsRefused,
    smtplib.SMTPDataError,
    smtplib.SMTPNotSupportedError,  # letters in an address that the server does not know
)


def send(settings: Settings, to: Sequence[str], subject: str, text: str) -> None:
    """Hand a message over. Raises one of `MailError` when the server does not take it.

    `smtp://user:password@host:587?from=portal@example.com` uses STARTTLS where it is offered and
    never sends a password without it; `smtps://` is TLS from the beginning.
    """
    url = urlsplit(settings.smtp_url)
    message = EmailMessage()
    message["Subject"] = " ".join(subject.split())
    message["From"] = parse_qs(url.query).get("from", [_own_address(settings)])[0]
    message["To"] = ", ".join(to)
    message.set_content(text)
    host, context = url.hostname or "localhost", ssl.create_default_context()
    if url.scheme == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            host, url.port or 465, timeout=TIMEOUT, context=context
        )
    else:
        server = smtplib.SMTP(host, url.port or 25, timeout=TIMEOUT)
    with server:
        _secure(server, context, needs_tls=bool(url.password) and url.scheme == "smtp")
        if url.username:
            server.login(unquote(url.username), unquote(url.password or ""))
        server.send_message(message)


def _secure(server: smtplib.SMTP, context: ssl.SSLContext, *, needs_tls: bool) -> None:
    server.ehlo()
    if server.has_extn("starttls"):
        server.starttls(context=context)
        server.ehlo()
    elif needs_tls:
        raise smtplib.SMTPException("The server offers no TLS for the password.")


def _own_address(settings: Settings) -> str:
    return f"asset-register@{urlsplit(settings.base_url).hostname or 'localhost'}"
