"""Reasons why Redis cannot be used, as a real Valkey reports them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.queue.connection import RedisFault, RedisState, RedisTrouble, read_state
from portal.queue.names import PROBE
from tests.support.valkey import PrivateValkey


@pytest.fixture
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateValkey]:
    server = PrivateValkey(tmp_path_factory.mktemp("v"))
    server.start()
    yield server
    server.close()


def fault_of(url: str) -> tuple[RedisFault, str]:
    trouble = read_state(url)
    assert isinstance(trouble, RedisTrouble)
    return trouble.fault, trouble.reason


def test_all_facts_of_a_working_server_are_read(valkey: PrivateValkey) -> None:
    client = valkey.client()
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.config_set("maxmemory", "100mb")
    client.rpush("rq:queue:deliveries", "one")
    client.zadd("rq:failed:background", {"one": 1, "two": 2})
    state, info = read_state(valkey.url), client.info()
    assert isinstance(state, RedisState)
    assert state.memory > 0
    assert client.ttl(PROBE) != -1, "what was written to see that it can be stays for a moment"
    assert state == RedisState(
        product=f"Valkey {info['valkey_version']}",
        memory=state.memory,
        memory_limit=100 * 1024**2,
        may_evict=True,
        queued={"deliveries": 1, "background": 0},
        failed={"deliveries": 0, "background": 2},
    )


def test_a_missing_server_is_away(tmp_path: Path) -> None:
    fault, reason = fault_of(f"unix://{tmp_path}/nothing.sock")
    assert (fault, "No such file" in reason) == (RedisFault.AWAY, True)


def test_a_replica_is_read_only(valkey: PrivateValkey) -> None:
    valkey.client().execute_command("REPLICAOF", "127.0.0.1", "1")
    fault, reason = fault_of(valkey.url)
    assert (fault, "read only replica" in reason) == (RedisFault.READ_ONLY, True)
    assert not reason.endswith("."), "it stands in the middle of a sentence"


def test_a_server_without_free_memory_is_full(valkey: PrivateValkey) -> None:
    client = valkey.client()
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", "1kb")
    fault, reason = fault_of(valkey.url)
    assert (fault, "maxmemory" in reason) == (RedisFault.FULL, True)


@pytest.mark.parametrize("query", ["", "?password=wrong"])
def test_a_wrong_password_is_refused(valkey: PrivateValkey, query: str) -> None:
    valkey.client().config_set("requirepass", "hush")
    fault, reason = fault_of(f"{valkey.url}{query}")
    assert fault is RedisFault.REFUSED
    assert "hush" not in reason


def test_a_user_without_set_is_refused_and_one_without_info_learns_less(
    valkey: PrivateValkey,
) -> None:
    with valkey.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-set")
        fault, reason = fault_of(valkey.url)
        assert (fault, "'set'" in reason) == (RedisFault.REFUSED, True)
        client.execute_command("ACL", "SETUSER", "default", "+set", "-info")
    none = {"deliveries": 0, "background": 0}
    assert read_state(valkey.url) == RedisState(
        product="unknown version",
        memory=0,
        memory_limit=0,
        may_evict=False,
        queued=none,
        failed=none,
    )
