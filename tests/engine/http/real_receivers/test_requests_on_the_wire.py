"""Requests on the wire: the prepared bytes and headers, in their order."""

import socket
from ipaddress import ip_network

import pytest
from requests import PreparedRequest
from requests.structures import CaseInsensitiveDict

from portal.engine.http.address_guard import AddressGuard
from portal.engine.http.transport import Transport, prepare
from portal.engine.reasons import Reason
from tests.engine.http.real_receivers.send import BODY, drive_all, send
from tests.support.receiver import Receiver

PREPARED = (
    ("Content-Type", "application/json"),
    ("User-Agent", "AssetWebhooks/0.1"),
    ("X-Zebra", "1"),
    ("x-apple", 'two  spaces; and: signs, "quoted"'),
    ("X-Middle", "3"),
)


def test_headers_are_sent_in_order_and_none_are_added(
    transport: Transport, receiver: Receiver
) -> None:
    send(transport, receiver.url, headers=PREPARED)
    (received,) = receiver.received
    host = f"127.0.0.1:{receiver.port}"
    size = str(len(BODY))
    assert received.headers == (("Host", host), *PREPARED, ("Content-Length", size))
    assert received.method == "POST"


def test_an_ipv6_address_is_in_brackets() -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    transport = Transport(AddressGuard([ip_network("::1")]))
    with Receiver(host="::1") as receiver:
        name = f"[::1]:{receiver.port}"
        exchange = send(transport, f"http://{name}/")
    assert (exchange.reason, exchange.peer) == (None, name)
    assert receiver.received[0].header("Host") == name
    transport.close()


@pytest.mark.parametrize(
    "body", [b"", b"\0\1\xff", b"@/etc/hostname", "é".encode(), b"x" * 300_000], ids=len
)
def test_the_body_arrives_byte_for_byte(
    transport: Transport, receiver: Receiver, body: bytes
) -> None:
    assert send(transport, receiver.url, body=body, timeout=5).reason is None
    assert receiver.received[0].body == body


def test_the_path_and_query_are_sent_unchanged(transport: Transport, receiver: Receiver) -> None:
    for path in ("a/../b/./c", "hook?key=a%20b&x=[1]", "%C3%A9?"):
        send(transport, receiver.url + path)
    assert [r.path for r in receiver.received] == [
        "/a/../b/./c",
        "/hook?key=a%20b&x=[1]",
        "/%C3%A9",
    ]


def test_no_part_of_one_exchange_leaks_into_the_next(
    transport: Transport, receiver: Receiver
) -> None:
    receiver.answer_next(500, b"broken", [("X-Secret", "1")])
    first = send(transport, receiver.url, headers=(("X-First", "1"),), body=b"first")
    second = send(transport, receiver.url, headers=(("X-Second", "2"),), body=b"")
    assert (first.code, first.text) == (500, "broken")
    assert (second.code, second.text, second.header("X-Secret")) == (200, "", None)
    assert receiver.received[1].body == b""
    assert receiver.received[1].header("X-First") is None


UNSENDABLE = {
    "line break": ("X-A", "1\r\nX-Evil: 1"),
    "bare line feed": ("X-A", "1\nX-Evil: 1"),
    "NUL": ("X-A", "a\0b"),
    "accent": ("X-A", "é"),
    "colon in the name": ("X-A: 1\r\nX-Evil", "1"),
    "space in the name": ("X A", "1"),
    "no name": ("", "1"),
    "host": ("Host", "elsewhere"),
    "transfer encoding": ("Transfer-Encoding", "chunked"),
    "expect": ("Expect", "100-continue"),
}


@pytest.mark.parametrize("case", UNSENDABLE)
def test_a_header_that_would_break_the_request_is_not_sent(
    transport: Transport, receiver: Receiver, case: str
) -> None:
    exchange = send(transport, receiver.url, headers=(UNSENDABLE[case],))
    assert exchange.reason is Reason.BAD_HEADERS
    assert "Evil" not in exchange.detail
    assert exchange.error is not None
    assert receiver.connections_seen == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_an_unencodable_body_fails_alone(
    transport: Transport, receiver: Receiver, host: str
) -> None:
    odd = PreparedRequest()
    odd.method, odd.url, odd.body = "POST", f"http://{host}:{receiver.port}/", "\ud800"
    odd.headers = CaseInsensitiveDict({"Content-Type": "text/plain"})
    transport.start("odd", odd, timeout=2)
    transport.start("sound", prepare(odd.url, {}, BODY), timeout=2)
    ended = {exchange.key: exchange for exchange in drive_all(transport)}
    assert ended["odd"].reason is Reason.INTERNAL
    assert "surrogates not allowed" in ended["odd"].detail
    assert (ended["sound"].reason, len(receiver.received)) == (None, 1)


@pytest.mark.parametrize("value", ["", " ", "   "])
def test_an_empty_header_is_sent_empty(
    transport: Transport, receiver: Receiver, value: str
) -> None:
    send(transport, receiver.url, headers=(("X-Empty", value),))
    assert receiver.received[0].header("X-Empty") == ""


@pytest.mark.parametrize(
    "url", ["", "ftp://127.0.0.1/", "http://", "file:///etc/passwd", "http://u:p@127.0.0.1/", "x"]
)
def test_an_unusable_url_ends_as_a_failed_exchange(transport: Transport, url: str) -> None:
    exchange = send(transport, url)
    assert exchange.reason is Reason.DNS
    assert exchange.response is None
    assert "u:p" not in exchange.detail


def test_code_599_is_a_server_error(transport: Transport, receiver: Receiver) -> None:
    receiver.answer(599)
    exchange = send(transport, receiver.url)
    assert (exchange.code, exchange.reason) == (599, Reason.SERVER)


@pytest.mark.parametrize("code", [200, 201, 202, 204, 299])
def test_every_2xx_is_a_success(transport: Transport, receiver: Receiver, code: int) -> None:
    receiver.answer(code)
    exchange = send(transport, receiver.url)
    assert (exchange.code, exchange.reason, exchange.error) == (code, None, None)
    assert exchange.response is not None
    assert exchange.response.ok


def test_the_response_is_a_requests_response(transport: Transport, receiver: Receiver) -> None:
    receiver.answer(429, b'{"slow": "down"}', [("Retry-After", "7"), ("Content-Type", "text/json")])
    exchange = send(transport, receiver.url)
    response, total = exchange.response, exchange.phases.total
    assert response is not None
    assert total is not None
    assert (response.status_code, response.reason) == (429, "Too Many Requests")
    assert response.headers["retry-after"] == "7"
    assert response.json() == {"slow": "down"}
    assert response.request.body == BODY
    assert 0 < response.elapsed.total_seconds() == pytest.approx(total, abs=1e-6)
