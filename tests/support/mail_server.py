"""A minimal mail server on loopback that keeps all messages (RFC 5321)."""

import socket
import socketserver
import threading
from base64 import b64decode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from ssl import SSLContext, SSLSocket
from time import sleep
from typing import Any, Self

import pytest
from flask import Flask


class Session(socketserver.StreamRequestHandler):
    """One SMTP session."""

    def handle(self) -> None:
        """Greet, and answer all commands."""
        self._say("220 ready")
        self._answer()

    def _answer(self) -> None:
        """Accept nearly everything, and keep the data between DATA and the dot."""
        for line in self.rfile:
            verb = line[:4].upper()
            odd = self.server.odd_answers.get(verb.decode())  # type: ignore[attr-defined]  # ours, below
            if odd is not None:
                odd(self)
            elif verb == b"DATA":
                self._say("354 go on")
                self._keep()
            elif verb == b"RCPT" and self._is_refused(line):
                self._say("550 no such mailbox")
            elif verb == b"EHLO" and isinstance(self.connection, SSLSocket):
                self._say("250-fine\r\n250 AUTH PLAIN")
            elif verb == b"EHLO" and self.server.tls:  # type: ignore[attr-defined]  # ours, below
                self._say("250-fine\r\n250 STARTTLS")
            elif verb == b"STAR":
                self._say("220 go on")
                with suppress(OSError):  # a client that does not trust our authority disconnects
                    self._answer_in_tls()
                return
            elif verb == b"AUTH":
                _, name, password = b64decode(line.split()[2]).decode().split("\0")
                self.server.signed_in.append((name, password))  # type: ignore[attr-defined]
                self._say("235 welcome")
            elif verb == b"QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 fine")

    def _answer_in_tls(self) -> None:
        context: SSLContext = self.server.tls  # type: ignore[attr-defined]  # ours, below
        with (
            context.wrap_socket(self.connection, server_side=True) as self.connection,
            self.connection.makefile("rb") as self.rfile,
            self.connection.makefile("wb", 0) as self.wfile,
        ):
            self._answer()

    def _is_refused(self, line: bytes) -> bool:
        refused: set[str] = self.server.refused  # type: ignore[attr-defined]  # ours, below
        return any(address in line.decode() for address in refused)

    def drip(self) -> None:
        """Drip a reply that takes ten seconds."""
        with suppress(OSError):
            for _ in range(200):
                self._say("250-and")
                sleep(0.05)

    def hang_up(self) -> None:
        """Accept the message, and disconnect without a reply."""
        self._say("354 go on")
        self._keep("")
        self.connection.shutdown(socket.SHUT_RDWR)

    def be_rude(self) -> None:
        """Send a reply that is not SMTP."""
        self._say("HTTP/1.1 400 Bad Request")

    def _keep(self, answer: str = "250 taken") -> None:
        lines = iter(self.rfile.readline, b".\r\n")
        # The client doubles a dot at the beginning of a line (RFC 5321, section 4.5.2).
        raw = b"".join(line.removeprefix(b".") for line in lines)
        self.server.raw.append(raw)  # type: ignore[attr-defined]  # ours, below
        message = message_from_bytes(raw, policy=policy.default)
        self.server.messages.append(message)  # type: ignore[attr-defined]  # ours, below
        if answer:
            self._say(answer)

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


class MailServer(socketserver.ThreadingTCPServer):
    """A server that listens while the block runs.

    `messages` holds all messages, and `raw` their bytes. `refused` holds addresses. `odd_answers`
    maps a command to its handler, as in `{"QUIT": Session.be_rude}`. With `tls`, it speaks TLS from
    the start, or after STARTTLS with `offers_tls`. It then requests a sign-in, and `signed_in`
    holds names and passwords.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, tls: SSLContext | None = None, *, offers_tls: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), Session)
        self.tls, self.offers_tls = tls, offers_tls
        if tls and not offers_tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.signed_in: list[tuple[str, str]] = []
        self.messages: list[EmailMessage] = []
        self.raw: list[bytes] = []
        self.refused: set[str] = set()
        self.odd_answers: dict[str, Callable[[Session], None]] = {}

    @property
    def url(self) -> str:
        """Return the server's URL for SMTP_URL."""
        scheme = "smtps" if self.tls and not self.offers_tls else "smtp"
        return f"{scheme}://127.0.0.1:{self.server_address[1]}?from=portal@example.com"

    def __enter__(self) -> Self:
        # The poll interval for shutdown. The default of 0.5 s would be most of a test's time.
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.shutdown()
        self.server_close()


def set_up(app: Flask, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Change the application's settings, such as `smtp_url`."""
    changed = replace(app.extensions["settings"], **changes)
    monkeypatch.setitem(app.extensions, "settings", changed)
