"""How an e-mail goes to a mail server: where it is, in what time, and hidden where it can be, a
password before all."""

from dataclasses import replace
from pathlib import Path
from socket import SHUT_RDWR, socketpair
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from time import monotonic

import pytest
import trustme
from flask import Flask

from portal.extensions import settings
from portal.services.webhooks import mailer
from tests.support.mail_server import MailServer, Session


def test_a_password_is_not_sent_in_the_open(app: Flask) -> None:
    with MailServer() as server:
        server.odd_answers["EHLO"] = lambda talk: talk._say("250-fine\r\n250 AUTH PLAIN")
        url = server.url.replace("smtp://", "smtp://portal:hush@")
        told = replace(app.extensions["settings"], smtp_url=url)
        with pytest.raises(mailer.MailError, match="no TLS"):
            mailer.send(told, ["a@example.com"], "x", "x")
    assert (server.messages, server.signed_in) == ([], [])


@pytest.fixture
def tls(tmp_path: Path) -> SSLContext:
    """Of a mail server whose authority nobody knows yet: it stands in a file."""
    authority, context = trustme.CA(), SSLContext(PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    return context


@pytest.mark.parametrize("offers_tls", [False, True])
def test_a_name_and_a_password_go_through_tls_to_whom_we_know_percent_coded(
    app: Flask, tls: SSLContext, offers_tls: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MailServer(tls, offers_tls=offers_tls) as server:
        url = server.url.replace("://", "://our%40portal:100%25%2Fhush@")
        told = replace(app.extensions["settings"], smtp_url=url)
        with pytest.raises(mailer.MailError):  # nobody knows its authority
            mailer.send(told, ["a@example.com"], "x", "x")
        assert server.signed_in == []
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        mailer.send(told, ["a@example.com"], "x", "x")
    assert server.signed_in == [("our@portal", "100%/hush")]
    assert [str(each["Subject"]) for each in server.messages] == ["x"]


def test_without_a_password_too_what_can_be_hidden_is(app: Flask, tls: SSLContext) -> None:
    with MailServer(tls, offers_tls=True) as server:
        told = replace(app.extensions["settings"], smtp_url=server.url)
        with pytest.raises(mailer.MailError):  # nobody knows its authority
            mailer.send(told, ["a@example.com"], "x", "x")
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
def test_it_is_looked_for_where_the_setting_says_for_ten_seconds(
    app: Flask, monkeypatch: pytest.MonkeyPatch, url: str, address: tuple[str, int]
) -> None:
    asked: list[object] = []

    def refuse(*where: object) -> None:
        asked.extend(where[:2])
        raise ConnectionRefusedError

    monkeypatch.setattr("socket.create_connection", refuse)
    with pytest.raises(mailer.MailError):
        mailer.send(replace(settings(), smtp_url=url), ["a@example.com"], "x", "x")
    assert asked == [address, 10.0]


def test_a_host_that_is_no_name_is_a_server_that_does_not_take_it(app: Flask) -> None:
    with pytest.raises(mailer.MailError):
        mailer.send(
            replace(settings(), smtp_url="smtp://mail..example.com"), ["a@example.com"], "x", "x"
        )


def test_a_sender_may_have_a_name_and_takes_leave_of_the_server(app: Flask) -> None:
    ended: list[bool] = []

    def end(talk: Session) -> None:
        ended.append(True)
        talk._say("221 good-bye")

    with MailServer() as server:
        server.odd_answers["QUIT"] = end
        url = server.url.partition("=")[0] + "=Our%20portal%20%3Cportal%40example.org%3E"
        mailer.send(replace(settings(), smtp_url=url), ["a@example.com"], "x", "x")
        (message,) = server.messages
    assert message["From"] == "Our portal <portal@example.org>"
    number = dict(message.raw_items())["Message-ID"]  # as it came
    assert number.endswith("@example.org>"), number
    assert ended == [True]


def test_when_the_time_of_a_conversation_is_over_nothing_more_of_it_is_read() -> None:
    ours, theirs = socketpair()
    with ours, theirs:
        theirs.sendall(b"250 fine\r\n250 fine\r\n")
        assert mailer._Answers(ours, monotonic() + 60).readline(99) == b"250 fine\r\n"
        with pytest.raises(TimeoutError, match="the mail server took too long"):
            mailer._Answers(ours, monotonic()).readline(99)


def test_what_a_server_has_taken_is_sent_although_it_hangs_up_at_the_good_bye(app: Flask) -> None:
    with MailServer() as server:
        server.odd_answers["QUIT"] = lambda talk: talk.connection.shutdown(SHUT_RDWR)
        mailer.send(replace(settings(), smtp_url=server.url), ["a@example.com"], "x", "x")
    assert len(server.messages) == 1
