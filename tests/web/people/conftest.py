"""A mail server for the tests of people's pages."""

from collections.abc import Iterator

import pytest
from flask import Flask

from tests.support.mail_server import MailServer, set_up


@pytest.fixture
def server(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    with MailServer() as running:
        set_up(app, monkeypatch, smtp_url=running.url)
        yield running
