"""On one socket for IPv6 and IPv4, an IPv4 address counts as itself, not as IPv6."""

import http.client
import re
import socket
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from tests.support.web_server import WebServer, web_server

STRANGER, OTHER = "127.0.0.66", "127.0.0.7"
ACCOUNT = "nobody@example.com"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    """Yield a web server at `[::]`."""
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    folder = tmp_path_factory.mktemp("both")
    with web_server(folder, HOST="::", LOCAL_TRIAL="1") as server:
        yield server


def guess(web: WebServer, source: str, email: str, host: str = "127.0.0.1") -> int:
    """Send a wrong password from this address and return the response's status."""
    connection = http.client.HTTPConnection(host, web.port, 20, source_address=(source, 0))
    connection.request("GET", "/sign-in")
    page = connection.getresponse()
    cookie = (page.getheader("Set-Cookie") or "").partition(";")[0]
    token = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', page.read().decode())
    assert token, page.status
    form = {"csrf_token": token[1], "email": email, "password": "not the pass phrase"}
    kind = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie}
    connection.request("POST", "/sign-in", urlencode(form), kind)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def test_wrong_passwords_from_one_ipv4_address_slow_down_no_other(both: WebServer) -> None:
    assert [guess(both, STRANGER, ACCOUNT) for _ in range(6)] == [400] * 5 + [429]
    assert guess(both, OTHER, ACCOUNT) == 400
    assert guess(both, "::1", ACCOUNT, "::1") == 400
    assert guess(both, STRANGER, ACCOUNT) == 429


def test_a_trial_shows_metrics_to_this_machine(both: WebServer) -> None:
    """Over IPv4 and IPv6."""
    for host in ("127.0.0.1", "::1"):
        connection = http.client.HTTPConnection(host, both.port, 20)
        connection.request("GET", "/metrics")
        assert connection.getresponse().status == 200, host
        connection.close()
