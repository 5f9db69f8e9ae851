"""Delivery pages don't reveal the internal address that a host name resolves to."""

from dataclasses import replace

import pytest
from flask import Flask

from jobs.deliver import deliver_due
from portal.extensions import settings
from tests.support.deliveries import make_delivery
from tests.support.factories import make_webhook
from tests.web.signed_in import visit


@pytest.mark.parametrize("role", ["admin", "support"])
def test_only_the_log_file_has_a_blocked_deliverys_address(
    app: Flask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, role: str
) -> None:
    nothing_open = replace(settings(), webhook_allowed_networks=())
    monkeypatch.setitem(app.extensions, "settings", nothing_open)
    made = make_delivery(make_webhook("http://localhost:81/hook"), status="queued")
    deliver_due()
    pages = visit(app, role)
    page = pages.get(f"/deliveries/{made}")
    assert "on a private network or blocked by a setting" in page.main
    texts = [
        page.html,
        pages.client.get(f"/deliveries/{made}/help-bundle").text,
        pages.client.get("/deliveries/export.csv?status=retrying", buffered=True).text,
        pages.get("/deliveries").html,
    ]
    assert all("localhost" in text or str(made) in text for text in texts)
    for words in ("127.0.0.1", "::1", "loopback"):
        assert not any(words in text.replace(settings().base_url, "") for text in texts), words
    assert "Sent nothing to localhost: " in caplog.text
    assert "loopback" in caplog.text
