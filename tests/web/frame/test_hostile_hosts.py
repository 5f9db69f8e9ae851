"""A request with an impossible Host header is refused on every page and in the API."""

import pytest
from flask import Flask

from tests.api.client import program
from tests.support.pages import Client
from tests.web.signed_in import visit

HOSTS = {
    "an empty label": "a..b",
    "an empty label before a port": "a..b:8080",
    "a label of 64 letters": f"{'a' * 64}.example.com",
    "300 dots": "." * 300,
    "10,000 letters": "a" * 10_000,
}
PATHS = ("/", "/sign-in", "/assets?q=1", "/static/css/app.css", "/healthz", "/nothing")


@pytest.mark.parametrize("case", HOSTS)
def test_an_impossible_host_is_a_bad_request(app: Flask, case: str) -> None:
    host = {"Host": HOSTS[case]}
    for client in (visit(app).client, Client(app, app.response_class)):
        for path in PATHS:
            answer = client.get(path, headers=host, buffered=True)
            assert (answer.status_code, answer.mimetype) == (400, "text/plain"), path
        assert client.post("/sign-in", headers=host, buffered=True).status_code == 400
    for path in ("/assets", "/nothing"):
        problem = program(app).done("GET", path, status=400, headers=host)
        assert problem["detail"] == "The Host header isn’t a host name."


def test_an_unreadable_host_has_no_effect(app: Flask) -> None:
    for host in ("", "a b", "[::1", f"a:{'9' * 5000}", "é", "xn--a", "a/b", "a:b"):
        for path in ("/sign-in", "/help", "/nothing"):
            answer = visit(app).client.get(path, headers={"Host": host}, buffered=True)
            assert answer.status_code in (200, 302, 303, 404), (host, path)
