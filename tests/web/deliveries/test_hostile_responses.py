"""Every place that shows a hostile response opens, with its text or a mark that it's missing."""

from datetime import timedelta
from urllib.parse import urlencode

import pytest
from flask import Flask

from jobs.deliver import deliver_due
from portal.engine.answer_words import LONGEST_PAGE
from portal.lib.clock import utcnow
from portal.services.mail import outgoing
from portal.services.mail_kinds import KINDS
from portal.services.webhooks import notices
from tests.api.client import program
from tests.engine.http.real_receivers.hostile import MEGABYTE, HostileServer, pouring
from tests.support.deliveries import change, make_delivery
from tests.support.factories import make_user, make_webhook
from tests.support.mail_server import MailServer, set_up
from tests.web.signed_in import signed_in

SAID = "Storage is full today"
PAGE = f"<html><title>{SAID}</title><p>".encode()
NO_TITLE = f"<html><h1>500</h1><p>{SAID} ".encode()
HALVES = rb"\ud83d \ude00\ud83d \udfff \ud800 &#xd83d; &#xDE00; &#55357; "
# The beginning of each body, and a part that is repeated.
BODIES = {
    "an entity of 5,000 digits": (NO_TITLE + b"&#" + b"9" * 5000 + b"; ", 1),
    "an entity with 5,000 zeros": (NO_TITLE + b"&#" + b"0" * 5000 + b"65; ", 1),
    "an entity of 5,000 hexadecimal digits": (NO_TITLE + b"&#x" + b"f" * 5000 + b"; ", 1),
    "an entity that never ends": (NO_TITLE + b"&#" + b"1" * LONGEST_PAGE, 1),
    "an entity of 5,000 digits in its title": (
        b"<html><title>" + SAID.encode() + b" &#" + b"9" * 1900 + b";</title>&#" + b"9" * 5000,
        1,
    ),
    "a million nested tags": (PAGE + b"<b>" * 1_000_000, 1),
    "a million nested lists": (f'{{"message": "{SAID}", "a": '.encode() + b"[" * 1_000_000, 1),
    "a million nested objects": (f'{{"message": "{SAID}"'.encode() + b', "a": {"a":' * 500_000, 1),
    "a number of 5,000 digits": (f'{{"message": "{SAID}", "a": '.encode() + b"9" * 5000 + b"}", 1),
    "half surrogates": (f'{{"message": "{SAID} '.encode() + HALVES + b'"}', 1),
    "half surrogates as bytes": (
        PAGE + b"\xed\xa0\xbd \xed\xb8\x80 \xed\xa0\x80\xed\xbf\xbf " + HALVES,
        1,
    ),
    "NUL": (PAGE + rb"\u0000 &#0; &#x0; " + b"\0", 1),
    "300 MB": (PAGE + b"x" * MEGABYTE, 300),
}


@pytest.mark.both_databases
@pytest.mark.parametrize("body", BODIES)
def test_a_hostile_response_is_shown_everywhere(
    app: Flask, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    piece, times = BODIES[body]
    person = make_user(email="ana@example.com")
    length = b"Content-Length: %d\r\n\r\n" % (len(piece) * times)
    head = b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/html\r\n" + length
    with HostileServer(pouring(head, piece, times)) as server:
        hook = make_webhook(server.url, name="ERP", owner_id=person.id)
        delivery = make_delivery(hook)
        deliver_due()
    change(delivery, status="failed", failing_since=utcnow() - timedelta(hours=1))

    pages, client = signed_in(app, person), program(app)
    asked = urlencode({"answer": SAID})
    for path in (
        f"/deliveries/{delivery}",
        f"/deliveries/{delivery}/live",
        f"/deliveries/{delivery}/help-bundle",
        f"/deliveries/{delivery}/row",
        f"/settings/webhooks/{hook.public_id}",
        f"/deliveries?{asked}",
        f"/deliveries?webhook={hook.public_id}",
        f"/deliveries/export-for-excel.csv?{asked}",
        f"/find?{urlencode({'q': SAID})}",
    ):
        shown = pages.get(path)
        assert (shown.status, SAID in shown.html) == (200, True), path
    for path in ("/", "/settings/webhooks", f"/deliveries/export.csv?{asked}"):
        assert pages.get(path).status == 200, path

    (found,) = client.items(f"/deliveries?{asked}")
    assert found["id"] == str(delivery)
    (attempt,) = client.done("GET", f"/deliveries/{delivery}")["attempt_log"]
    assert SAID in attempt["response_text"]
    client.done("GET", f"/retries?{asked}")

    with MailServer() as mails:
        set_up(app, monkeypatch, smtp_url=mails.url)
        assert notices.tell_due() == 1
        outgoing.send_due(KINDS)
    assert "ERP" in str(mails.messages[0]["Subject"])
