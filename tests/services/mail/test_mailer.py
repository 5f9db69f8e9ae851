"""Sending an email to a mail server: address, time limits, TLS, passwords and refusals."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from socket import SHUT_RDWR, socketpair
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from threading import Event
from time import monotonic
from uuid import UUID

import pytest
import trustme
from flask import Flask

from portal.config.settings import Settings
from portal.extensions import settings
from portal.services.mail import mailer
from portal.services.mail.mailer import Letter, MailFailed, Step
from tests.support.mail_server import MailServer, Session

NUMBER = UUID("01890a5d-ac96-774b-bcce-b302099a8057")


def send(settings: Settings, to: str = "a@example.com", subject: str = "x") -> None:
    mailer.send(settings, to, Letter(subject, "x"), NUMBER)


def test_a_password_is_not_sent_without_tls(app: Flask) -> None:
    with MailServer() as server:
        server.odd_answers["EHLO"] = lambda talk: talk._say("250-fine\r\n250 AUTH PLAIN")
        url = server.url.replace("smtp://", "smtp://portal:hush@")
        changed = replace(app.extensions["settings"], smtp_url=url)
        with pytest.raises(MailFailed, match="no TLS"):
            send(changed)
    assert (server.messages, server.signed_in) == ([], [])


@pytest.mark.parametrize(
    "to",
    [
        "office@example..com",
        "office@example.com.",
        "a..b@example.com",
        "x@=?utf-8?q?evil=2Eexample=2Ecom?=",
        f"{'x' * 70}@=?utf-8?q?b=c3=bc?=",
    ],
)
def test_an_address_that_no_message_can_have_fails_as_recipient(app: Flask, to: str) -> None:
    with MailServer() as server:
        changed = replace(app.extensions["settings"], smtp_url=server.url)
        with pytest.raises(MailFailed) as failed:
            send(changed, to)
    assert (failed.value.step, server.messages) == (Step.RECIPIENT, [])


def test_one_click_unsubscribe_headers_keep_a_long_link_whole(
    app: Flask,
) -> None:
    raw: list[bytes] = []

    def keep_raw(talk: Session) -> None:
        talk._say("354 go on")
        raw.append(b"".join(iter(talk.rfile.readline, b".\r\n")))
        talk._say("250 taken")

    url = f"https://assets.example.com:8443/unsubscribe?token=1234-5678-{'Ab_-' * 11}"
    with MailServer() as server:
        server.odd_answers["DATA"] = keep_raw
        changed = replace(app.extensions["settings"], smtp_url=server.url)
        mailer.send(changed, "a@example.com", Letter("x", "x", url), NUMBER)
        send(changed)
    unsubscribable, plain = (text.decode().split("\r\n") for text in raw)
    assert f"List-Unsubscribe: <{url}>" in unsubscribable
    assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in unsubscribable
    assert not [line for line in plain if line.startswith("List-Unsubscribe")]


@pytest.fixture
def tls(tmp_path: Path) -> SSLContext:
    """Return the TLS context of a server whose authority is stored but not trusted yet."""
    authority, context = trustme.CA(), SSLContext(PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    return context


@pytest.mark.parametrize("offers_tls", [False, True])
def test_percent_encoded_credentials_go_only_through_trusted_tls(
    app: Flask, tls: SSLContext, offers_tls: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MailServer(tls, offers_tls=offers_tls) as server:
        url = server.url.replace("://", "://our%40portal:100%25%2Fhush@")
        changed = replace(app.extensions["settings"], smtp_url=url)
        with pytest.raises(MailFailed):  # its authority is not trusted yet
            send(changed)
        assert server.signed_in == []
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        send(changed)
    assert server.signed_in == [("our@portal", "100%/hush")]
    assert [str(message["Subject"]) for message in server.messages] == ["x"]


def test_offered_tls_is_verified_even_without_a_password(app: Flask, tls: SSLContext) -> None:
    with MailServer(tls, offers_tls=True) as server:
        changed = replace(app.extensions["settings"], smtp_url=server.url)
        with pytest.raises(MailFailed):  # its authority is not trusted yet
            send(changed)
    assert server.messages == []


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("smtp://mail.example.com", ("mail.example.com", 25)),
        ("smtps://mail.example.com", ("mail.example.com", 465)),
        ("smtp://mail.example.com:587?from=a@example.com", ("mail.example.com", 587)),
        ("smtps://:2465", ("localhost", 2465)),
    ],
)
def test_the_server_is_contacted_at_its_url_for_ten_seconds(
    app: Flask, monkeypatch: pytest.MonkeyPatch, url: str, address: tuple[str, int]
) -> None:
    asked: list[object] = []

    def refuse(*where: object) -> None:
        asked.extend(where[:2])
        raise ConnectionRefusedError

    monkeypatch.setattr("socket.create_connection", refuse)
    with pytest.raises(MailFailed):
        send(replace(settings(), smtp_url=url))
    assert asked == [address, 10.0]


def test_an_invalid_host_name_is_a_failed_email(app: Flask) -> None:
    with pytest.raises(MailFailed):
        send(replace(settings(), smtp_url="smtp://mail..example.com"))


def test_a_sender_can_have_a_name_and_ends_with_quit(app: Flask) -> None:
    ended: list[bool] = []

    def end(talk: Session) -> None:
        ended.append(True)
        talk._say("221 good-bye")

    with MailServer() as server:
        server.odd_answers["QUIT"] = end
        url = server.url.partition("=")[0] + "=Our%20portal%20%3Cportal%40example.org%3E"
        send(replace(settings(), smtp_url=url))
        (message,) = server.messages
    assert message["From"] == "Our portal <portal@example.org>"
    number = dict(message.raw_items())["Message-ID"]  # as it came
    assert number == f"<{NUMBER}@example.org>"
    assert ended == [True]


def test_no_answer_is_read_after_the_time_limit() -> None:
    ours, theirs = socketpair()
    with ours, theirs:
        theirs.sendall(b"250 fine\r\n250 fine\r\n")
        assert mailer._Answers(ours, monotonic() + 60).readline(99) == b"250 fine\r\n"
        with pytest.raises(TimeoutError, match="the mail server took too long"):
            mailer._Answers(ours, monotonic()).readline(99)


def test_an_accepted_email_is_sent_even_if_the_server_hangs_up_at_quit(app: Flask) -> None:
    with MailServer() as server:
        server.odd_answers["QUIT"] = lambda talk: talk.connection.shutdown(SHUT_RDWR)
        send(replace(settings(), smtp_url=server.url))
    assert len(server.messages) == 1


def refuse(answer: str) -> Callable[[Session], None]:
    return lambda talk: talk._say(answer)


@pytest.mark.parametrize(
    ("verb", "answer", "step", "words"),
    [
        ("MAIL", "550 we\tdo  not know you", Step.SENDER, "550 we do not know you"),
        (
            "RCPT",
            "550 <A@EXAMPLE.com>: no such mailbox",
            Step.RECIPIENT,
            "550 <…>: no such mailbox",
        ),
        ("DATA", "552 too long", Step.MESSAGE, "552 too long"),
        ("DATA", "552 " + 400 * "x", Step.MESSAGE, "552 " + 296 * "x"),
    ],
)
def test_the_failed_step_is_reported_in_the_servers_words(
    app: Flask, verb: str, answer: str, step: Step, words: str
) -> None:
    with MailServer() as server:
        server.odd_answers[verb] = refuse(answer)
        with pytest.raises(MailFailed) as failed:
            send(replace(settings(), smtp_url=server.url))
    assert (failed.value.step, failed.value.words) == (step, words)


def test_a_link_that_the_server_quotes_is_masked(app: Flask) -> None:
    letter = Letter(
        "Invitation", "Open it:\nhttp://portal.example/new-password?token=aB3-x_9Qw7Lm2kT8s.\n"
    )
    with MailServer() as server:
        server.odd_answers["DATA"] = refuse(
            "554 bad link HTTP://portal.example/new-password?token=aB3-x_9Qw7Lm2kT8s"
        )
        with pytest.raises(MailFailed) as failed:
            mailer.send(replace(settings(), smtp_url=server.url), "a@example.com", letter, NUMBER)
        server.odd_answers["DATA"] = refuse("554 portal.example: aB3-x_9Qw7Lm2kT8s is listed")
        with pytest.raises(MailFailed) as again:
            mailer.send(replace(settings(), smtp_url=server.url), "a@example.com", letter, NUMBER)
    assert (failed.value.words, again.value.words) == (
        "554 bad link HTTP://portal.example/new-password?token=…",
        "554 portal.example: … is listed",
    )


def test_wrong_password_unknown_authority_and_no_server_are_told_apart(
    app: Flask, tls: SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = []
    with MailServer(tls) as server:
        url = server.url.replace("://", "://us:hush@")
        server.odd_answers["AUTH"] = refuse("535 hush is wrong")
        for _ in range(2):
            with pytest.raises(MailFailed) as failed:
                send(replace(settings(), smtp_url=url))
            failures.append((failed.value.step, failed.value.words))
            monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    with pytest.raises(MailFailed) as failed:
        send(replace(settings(), smtp_url=url))
    failures.append((failed.value.step, failed.value.words))
    assert failures == [
        (Step.TLS, "unable to get local issuer certificate"),
        (Step.SIGN_IN, "535 … is wrong"),
        (Step.CONNECT, "Connection refused"),
    ]


@pytest.mark.parametrize(
    "address", ["a@example.com\r\nBcc: eve@example.com", "a@example.com, eve@example.com", "jörg"]
)
def test_a_text_that_is_not_one_address_reaches_no_one(app: Flask, address: str) -> None:
    with MailServer() as server, pytest.raises(MailFailed) as failed:
        send(replace(settings(), smtp_url=server.url), address)
    assert (failed.value.step, server.messages) == (Step.RECIPIENT, [])


def test_a_subject_stays_on_one_line(app: Flask) -> None:
    with MailServer() as server:
        send(replace(settings(), smtp_url=server.url), subject="Sync\r\nBcc: eve@example.com")
    (message,) = server.messages
    assert (message["Bcc"], message["Subject"]) == (None, "Sync Bcc: eve@example.com")


@pytest.mark.parametrize("patience", ["STEP_SECONDS", "SECONDS"])
def test_a_silent_or_dripping_mail_server_is_abandoned(
    app: Flask, monkeypatch: pytest.MonkeyPatch, patience: str
) -> None:
    for limit in ("STEP_SECONDS", "SECONDS"):
        monkeypatch.setattr(mailer, limit, 0.1 if limit == patience else 3600.0)
    with MailServer() as server:
        is_left = Event()
        silent = patience == "STEP_SECONDS"
        server.odd_answers["MAIL"] = (lambda _: is_left.wait(5)) if silent else Session.drip
        began = monotonic()
        with pytest.raises(MailFailed, match="sender"):
            send(replace(settings(), smtp_url=server.url))
        assert monotonic() - began < 5
        is_left.set()
