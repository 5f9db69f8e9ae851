"""Tests of PostgreSQL connection options, as the server and the socket report them."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine

from portal.config.settings import Settings, SettingsError, load_settings
from portal.config.values import database_url
from portal.database.engine import engine_options, impatient_engine
from portal.services.dispatch.request import guard
from tests.conftest import ENVIRONMENT
from tests.support.database.memory_folder import memory_folder
from tests.support.database.own_postgres import own_postgres
from tests.support.ports import free_port

pytestmark = pytest.mark.both_databases

OURS = {
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "15s",
    "TimeZone": "UTC",
    "client_connection_check_interval": "5s",
    "tcp_user_timeout": "15000",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
OF_SOCKET = {
    socket.TCP_USER_TIMEOUT: 4_000,
    socket.TCP_KEEPIDLE: 4,
    socket.TCP_KEEPINTVL: 2,
    socket.TCP_KEEPCNT: 3,
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with memory_folder("options") as folder, own_postgres(folder) as found:
        yield found


def page_engine(url: str, options: str = "full") -> Engine:
    return create_engine(url, **engine_options(url, options))


def told(engine: Engine, names: Any) -> dict[str, str]:
    """Return the server's value of each setting."""
    try:
        with engine.connect() as connection:
            return {
                name: str(connection.exec_driver_sql(f"SHOW {name}").scalar_one()) for name in names
            }
    finally:
        engine.dispose()


def test_page_connections_have_timeouts(url: str) -> None:
    assert told(page_engine(url), OURS) == OURS


def test_worker_connections_have_shorter_timeouts(url: str) -> None:
    quick = {"lock_timeout": "100ms", "idle_in_transaction_session_timeout": "5s"}
    assert told(impatient_engine(url), OURS) == OURS | quick


def test_the_client_socket_detects_a_cut_connection(url: str) -> None:
    engine = page_engine(url)
    with engine.connect() as connection:
        number = connection.connection.driver_connection.fileno()  # type: ignore[union-attr]
        with socket.socket(fileno=number) as path:
            options = {name: path.getsockopt(socket.IPPROTO_TCP, name) for name in OF_SOCKET}
            path.detach()
    engine.dispose()
    assert options == OF_SOCKET


def test_options_in_the_url_take_precedence(url: str) -> None:
    url_with_options = f"{url}?keepalives_idle=77&connect_timeout=9&options=-c%20lock_timeout%3D3s"
    engine = page_engine(url_with_options)
    with engine.connect() as connection:
        parameters = connection.connection.driver_connection.info.get_parameters()  # type: ignore[union-attr]
    assert (parameters["keepalives_idle"], parameters["connect_timeout"]) == ("77", "9")
    assert parameters["keepalives_interval"] == "2"
    assert told(engine, OURS) == OURS | {"lock_timeout": "3s"}


def test_plain_options_suit_a_pooler(url: str) -> None:
    engine = page_engine(url, "plain")
    with engine.connect() as connection:
        raw: Any = connection.connection.driver_connection
        assert "options" not in raw.info.get_parameters()
        assert raw.info.get_parameters()["tcp_user_timeout"] == "4000"
        assert raw.prepare_threshold is None
    assert told(engine, ["statement_timeout"]) == {"statement_timeout": "0"}
    assert told(impatient_engine(url, "plain"), ["lock_timeout"]) == {"lock_timeout": "100ms"}


def load(tmp_path: Path, **environment: str) -> Settings:
    return load_settings({**ENVIRONMENT, "INSTANCE_DIR": str(tmp_path), **environment})


def test_database_options_is_full_or_plain(tmp_path: Path) -> None:
    assert load(tmp_path).database_options == "full"
    assert load(tmp_path, DATABASE_OPTIONS="plain").database_options == "plain"
    with pytest.raises(SettingsError, match="DATABASE_OPTIONS must be full or plain, not “none”"):
        load(tmp_path, DATABASE_OPTIONS="none")


def test_the_writable_one_of_several_servers_is_used(url: str, tmp_path: Path) -> None:
    """The first server is read-only, and the second doesn't listen."""
    with memory_folder("standby") as folder:
        only_read = "-c default_transaction_read_only=on"
        with own_postgres(folder, options=only_read) as other:
            places = [address.partition("@")[2].partition("/")[0] for address in (other, url)]
            servers = f"{places[0]},127.0.0.1:{free_port()},{places[1]}"
            settings = load(tmp_path, DATABASE_URL=f"postgresql://postgres@{servers}/postgres")
            values = told(page_engine(settings.database_url), ["port", "transaction_read_only"])
    assert values == {"port": places[1].partition(":")[2], "transaction_read_only": "off"}


def test_webhooks_can_reach_none_of_several_database_servers(tmp_path: Path) -> None:
    several = "postgresql://portal:hush@127.0.0.1:5433,127.0.0.2/portal"
    settings = load(tmp_path, DATABASE_URL=several)
    for address, port in (("127.0.0.1", 5433), ("127.0.0.2", 5432)):
        assert guard(settings).refusal(address, port) is not None
    assert guard(settings).refusal("127.0.0.1", 5434) is None


def test_a_list_of_servers_is_understood(tmp_path: Path) -> None:
    for setting, expected in (
        ("postgresql://u:p@a,b/db", "postgresql+psycopg://u:p@/db?host=a,b&port=5432,5432"),
        ("postgresql://u:p,/?q@a/db", "postgresql+psycopg://u:p,/?q@a/db"),
        ("postgresql://u:p@a:1,b:2/", "postgresql+psycopg://u:p@/?host=a,b&port=1,2"),
        (
            "postgresql://a:1,b/db?sslmode=require&target_session_attrs=any",
            "postgresql+psycopg:///db?host=a,b&port=1,5432&sslmode=require&target_session_attrs=any",
        ),
    ):
        if "," in setting.partition("@")[2] and "target_session_attrs" not in expected:
            expected += "&target_session_attrs=read-write"
        assert database_url({"DATABASE_URL": setting}, tmp_path) == expected, setting


def test_an_invalid_list_of_servers_is_refused(tmp_path: Path) -> None:
    for servers in ("a:1,b:x", "a,", "[::1]:5432,b", "a,b:123456"):
        with pytest.raises(SettingsError, match="DATABASE_URL must be a URL") as refused:
            database_url({"DATABASE_URL": f"postgresql://u:hush@{servers}/db"}, tmp_path)
        assert "hush" not in str(refused.value), servers
