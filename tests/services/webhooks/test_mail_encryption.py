"""What goes to a mail server, a password before all, is hidden where it can be."""

from dataclasses import replace
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext

import pytest
import trustme
from flask import Flask

from portal.services.webhooks.notices import mailer
from tests.support.mail_server import MailServer


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
