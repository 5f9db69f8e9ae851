"""The embedded Valkey has a private socket, no port, and no data on disk."""

import os
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis

from jobs import up
from portal.config.settings import valkey_socket
from portal.config.values import SettingsError


@contextmanager
def running(instance_dir: Path) -> Iterator[tuple[subprocess.Popen[bytes], Redis]]:
    instance_dir.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(up.valkey(instance_dir), stdout=subprocess.DEVNULL)
    client = Redis(unix_socket_path=str(valkey_socket(instance_dir)), protocol=2)
    try:
        wait_for(valkey_socket(instance_dir))
        yield process, client
    finally:
        client.close()
        process.kill()
        process.wait(timeout=5)


def wait_for(path: Path, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as probe:
            if path.exists() and probe.connect_ex(str(path)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError(f"nothing answers on {path}")


def sockets_of(pid: int) -> set[str]:
    links = [
        os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.is_symlink()
    ]
    return {link[8:-1] for link in links if link.startswith("socket:[")}


def tcp_sockets() -> set[str]:
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    lines = [line for table in tables if table.exists() for line in table.read_text().splitlines()]
    return {line.split()[9] for line in lines if "inode" not in line}


@pytest.fixture
def long_instance(tmp_path: Path) -> Iterator[Path]:
    instance_dir = tmp_path / ("deep" * 15) / ("down" * 15)
    instance_dir.mkdir(parents=True)
    yield instance_dir
    shutil.rmtree(valkey_socket(instance_dir).parent, ignore_errors=True)


def test_the_embedded_valkey_listens_on_a_private_socket_and_no_port(tmp_path: Path) -> None:
    with running(tmp_path / "instance with spaces") as (process, client):
        assert client.ping()
        mode = valkey_socket(tmp_path / "instance with spaces").stat().st_mode
        assert stat.S_IMODE(mode) == 0o700
        assert sockets_of(process.pid)
        assert not sockets_of(process.pid) & tcp_sockets()


def test_a_killed_valkey_starts_again_over_its_old_socket(tmp_path: Path) -> None:
    with running(tmp_path / "instance") as (process, _):
        process.kill()
    with running(tmp_path / "instance") as (_, client):
        assert client.ping()


def test_a_long_path_moves_the_socket_to_a_private_folder(
    long_instance: Path,
) -> None:
    with running(long_instance) as (_, client):
        assert client.ping()
        folder = valkey_socket(long_instance).parent
        assert folder != long_instance
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert (
            long_instance / "valkey-socket.txt"
        ).read_text() == f"The embedded Valkey listens on {valkey_socket(long_instance)}\n"
    log = long_instance / "valkey.log"
    assert "Ready to accept connections" not in log.read_text(), "no line for what is usual"
    assert up.valkey(long_instance), "its own folder is good a second time"
    assert not log.exists(), "it is begun anew"


def test_a_folder_that_others_can_open_is_refused(long_instance: Path) -> None:
    folder = valkey_socket(long_instance).parent
    folder.mkdir()
    folder.chmod(0o755)
    with pytest.raises(SettingsError, match="Other users have access"):
        up.valkey(long_instance)
