"""The addresses of our own database and Redis stay closed, however their URLs are written."""

import socket
from dataclasses import replace
from ipaddress import ip_network

import pytest
from flask import Flask

from portal.extensions import settings
from portal.services.dispatch.request import guard

NOBODY = ".".join(["nobody"] * 40)  # longer than any name can be
EVERYTHING = (ip_network("0.0.0.0/0"), ip_network("::/0"))


def test_the_database_is_closed_even_if_every_network_is_allowed(app: Flask) -> None:
    for database_url, port in (
        ("postgresql+psycopg://u@10.9.8.7/db", 5432),
        ("postgresql+psycopg://u@10.9.8.7:6000/db", 6000),
        ("postgresql+psycopg://u@/db?host=10.9.8.7", 5432),
        ("postgresql+psycopg://u@/db?host=10.9.8.7&port=6000", 6000),
        ("postgresql+psycopg://u@/db?host=10.9.8.6:5433&host=10.9.8.7:5434", 5434),
        ("postgresql+psycopg://u@/db?host=10.9.8.6,10.9.8.7", 5432),
        (f"postgresql+psycopg://u@/db?host={NOBODY},10.9.8.7", 5432),
    ):
        closed = guard(
            replace(settings(), database_url=database_url, webhook_allowed_networks=EVERYTHING)
        )
        assert closed.refusal("10.9.8.7", port), database_url
        assert closed.refusal("10.9.8.7", port + 1000) is None, database_url


def test_a_database_is_closed_even_if_its_name_did_not_resolve_at_start(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "postgresql+psycopg://u@database.invalid/db"
    closed = guard(replace(settings(), database_url=url, webhook_allowed_networks=EVERYTHING))
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.9.8.7", 5432))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert closed.refusal("10.9.8.7", 5432)
    assert closed.refusal("10.9.8.6", 5432) is None


def test_a_database_on_a_socket_closes_nothing(app: Flask) -> None:
    ours = replace(settings(), database_url="postgresql+psycopg://u@/db?host=/run/postgresql")
    assert guard(ours).refusal("1.1.1.1", 5432) is None


def test_redis_is_closed_too(app: Flask) -> None:
    for redis_url, port in (
        ("redis://10.9.8.7/0", 6379),
        ("rediss://10.9.8.7/0", 6379),
        ("rediss://:pass@10.9.8.7:6400/0", 6400),
    ):
        ours = replace(settings(), redis_url=redis_url, webhook_allowed_networks=EVERYTHING)
        assert guard(ours).refusal("10.9.8.7", port), redis_url
        assert guard(ours).refusal("10.9.8.7", port + 1) is None, redis_url


def test_denied_networks_and_unlisted_ports_are_closed(app: Flask) -> None:
    denied = (ip_network("8.8.8.0/24"),)
    ours = replace(settings(), webhook_denied_networks=denied, webhook_allowed_ports=(443,))
    assert guard(ours).refusal("1.1.1.1", 443) is None
    assert guard(ours).refusal("8.8.8.8", 443)
    assert guard(ours).refusal("1.1.1.1", 80)
