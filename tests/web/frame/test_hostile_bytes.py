"""Pages open despite any bytes in responses, inbox requests, imports, and names."""

import io
from urllib.parse import quote_from_bytes, urlencode

import pytest
from flask import Flask
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from jobs import tasks as job
from portal.engine.http.exchange import Exchange, read_head
from portal.engine.http.transport import prepare
from portal.engine.reasons import Reason
from portal.services.dispatch.request import Composer, of_exchange
from portal.services.task_kinds import KINDS
from portal.services.webhooks import inbox, rows
from tests.jobs.dispatcher.delivery_clock import claim, write_down
from tests.support.factories import make_asset, make_user, make_webhook
from tests.support.pages import Pages
from tests.web.signed_in import signed_in, visit

pytestmark = pytest.mark.both_databases

PIECES = [
    *(rb"\ud83d", rb"\u0000", rb"\udc00\ud800", b"\0", b"\xed\xa0\xbd", b"\xff\xfe", b"\xc3"),
    *(b'{"message": "', b'"}', b'["', b'{"asset": {"name": "', b'"asset_tag": "', b"<title>"),
    *(b"&#xd800;", b"&#0;", b"{{ 7 }}", b"%s", b"\r\n", b"\x1b[2J", b"=1+1", b"\xe2\x80\xae"),
]
BYTES = st.lists(st.sampled_from(PIECES) | st.binary(max_size=4), max_size=8).map(b"".join)
LONE = rb'{"message": "half \ud83d", "asset": {"name": "\ud83d"}, "event": "\udc00"}' + b"\0"
few = settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])


def opened(pages: Pages, *paths: str) -> None:
    for path in paths:
        answer = pages.client.get(path, buffered=True, follow_redirects=True)
        assert answer.status_code in {200, 400}, f"{path}: {answer.status}"


@few
@example(LONE, b"X: \xff")
@given(BYTES, BYTES)
def test_pages_that_show_a_response_open(app: Flask, body: bytes, header: bytes) -> None:
    hook = make_webhook()
    asset_id = make_asset()
    (only,) = (one for one in claim() if one.webhook.id == hook.id)
    sent = Composer("1").compose(only)
    request = prepare(sent.url, sent.headers, sent.body)
    lines = [b"HTTP/1.1 500 " + header, b"X-Odd: " + header, header + b": odd", b"", b""]
    head = read_head([line + b"\r\n" for line in lines])
    answer = Exchange(
        key=1,
        request=request,
        reason=Reason.SERVER,
        code=500,
        phrase=head.phrase,
        response_headers=head.headers,
        body=body,
    )
    write_down(of_exchange(only, answer, sent))
    pages = visit(app, "admin")
    delivery, webhook = f"/deliveries/{only.public_id}", f"/settings/webhooks/{hook.public_id}"
    opened(
        pages,
        *("/", "/deliveries", "/deliveries?status=failed", "/deliveries?answer=half"),
        *("/deliveries/export.csv", f"/assets/{asset_id}/deliveries", webhook),
        *(delivery, f"{delivery}/help-bundle", f"{delivery}/row", f"{delivery}/live"),
    )


@few
@example(LONE, b"\xff")
@given(BYTES, BYTES)
def test_the_inbox_opens(app: Flask, body: bytes, header: bytes) -> None:
    admin = make_user("admin")
    place = f"/inbox/{rows.token_of(inbox.open_inbox(admin.actor))}"
    odd = header.decode("latin-1").replace("\r", "").replace("\n", "").replace("\0", "")
    headers = {"X-Odd": odd, "X-Asset-Webhook-Event": odd, "User-Agent": odd}
    app.test_client().post(place, data=body, headers=headers)
    opened(signed_in(app, admin), "/inbox", "/inbox/live")


@few
@example(b"half \\ud83d \xed\xa0\xbd")
@given(BYTES)
def test_import_pages_open(app: Flask, noise: bytes) -> None:
    pages = visit(app)
    form = pages.get("/assets/import").form("/assets/import")
    pages.submit(form, file=(io.BytesIO(b"name,notes\n" + noise + b",x\ny," + noise), "a.csv"))
    job.work(KINDS)
    opened(pages, "/assets/import")


@few
@example(b"half \xed\xa0\xbd \0")
@given(BYTES)
def test_pages_that_show_an_asset_name_open(app: Flask, name: bytes) -> None:
    pages = visit(app)
    hidden = pages.get("/assets/new").form("/assets/new").hidden
    sent = f"{urlencode(hidden, doseq=True)}&name={quote_from_bytes(name)}&kind=item"
    answer = pages.client.post(
        "/assets/new", data=sent, content_type="application/x-www-form-urlencoded", buffered=True
    )
    assert answer.status_code in {302, 303, 400}
    opened(pages, "/", "/assets", "/assets/export.csv", f"/find?q={quote_from_bytes(name)}")
