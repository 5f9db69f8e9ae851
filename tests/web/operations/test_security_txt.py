"""`/.well-known/security.txt` (RFC 9116), which exists if `SECURITY_CONTACT` is set."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from portal.config.settings import Settings
from portal.lib.clock import frozen, utcnow

PATH = "/.well-known/security.txt"


def told(app: Flask, monkeypatch: pytest.MonkeyPatch, **changes: str) -> dict[str, str]:
    """Return the fields of the file under these settings. No field occurs twice."""
    current: Settings = app.extensions["settings"]
    monkeypatch.setitem(app.extensions, "settings", replace(current, **changes))  # type: ignore[arg-type]
    answer = app.test_client().get(PATH)
    assert (answer.status_code, answer.content_type) == (200, "text/plain; charset=utf-8")
    lines = [line.partition(": ") for line in answer.text.splitlines()]
    fields = {name: value for name, _, value in lines}
    assert len(fields) == len(lines)
    return fields


def test_without_a_contact_there_is_no_file(app: Flask) -> None:
    assert app.test_client().get(PATH).status_code == 404


def test_the_file_names_the_contact_and_its_own_url(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    contact = "mailto:security@example.com"
    fields = told(
        app, monkeypatch, security_contact=contact, base_url="https://portal.example.com/assets"
    )
    assert fields.pop("Expires")
    assert fields == {
        "Contact": contact,
        "Preferred-Languages": "en",
        "Canonical": f"https://portal.example.com/assets{PATH}",
    }


def test_a_url_without_tls_is_not_called_canonical(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = told(app, monkeypatch, security_contact="tel:+43-1-234567", base_url="http://portal")
    assert set(fields) == {"Contact", "Expires", "Preferred-Languages"}


def test_the_file_always_expires_in_180_days(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    now = utcnow()
    for later in (timedelta(), timedelta(days=400)):
        with frozen(now + later):
            fields = told(app, monkeypatch, security_contact="https://example.com/report")
        ends = datetime.strptime(fields["Expires"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        assert ends.date() - (now + later).date() == timedelta(days=180)
