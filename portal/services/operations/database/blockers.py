"""Who stands in the way of Saves: transactions that somebody forgot, and SQLite's one writer."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url

from portal.lib.redaction import Redactor

OPEN_TOO_LONG: Final = 10.0  # seconds
MOST: Final = 5
LONGEST_QUERY: Final = 120
# What is read alone holds nobody up, however long it takes.
OPEN_TRANSACTIONS: Final = text("""
SELECT a.pid, a.usename, a.application_name, host(a.client_addr) AS client, a.query,
    extract(epoch FROM statement_timestamp() - a.xact_start)::float AS seconds
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.backend_type = 'client backend'
    AND a.pid <> pg_backend_pid()
    AND a.xact_start < statement_timestamp() - make_interval(secs => :seconds)
    AND (a.backend_xid IS NOT NULL OR EXISTS (
        SELECT 1 FROM pg_locks l WHERE l.pid = a.pid AND l.granted AND l.locktype = 'relation'
        AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
    ))
ORDER BY a.xact_start LIMIT :most
""")
# https://sqlite.org/walformat.html#wal_locks: whoever writes has locked this byte of the -shm.
WRITER: Final = 120
LOCKS: Final = Path("/proc/locks")
redact: Final = Redactor()


@dataclass(frozen=True, slots=True)
class Blocker:
    """`pid`: at the server, or on this machine; 0: in another container. `seconds`: how long
    already, None where nobody can tell. `doing`: its statement, or its command."""

    pid: int
    who: str
    doing: str
    seconds: float | None = None


def open_transactions(connection: Connection) -> Sequence[Blocker]:
    """PostgreSQL's that have written or locked something, and not ended for `OPEN_TOO_LONG`."""
    rows = connection.execute(OPEN_TRANSACTIONS, {"seconds": OPEN_TOO_LONG, "most": MOST})
    return [
        Blocker(
            pid=row.pid,
            who=", ".join(filter(None, (row.usename, row.application_name, row.client))),
            doing=redact(" ".join(str(row.query or "").split()))[:LONGEST_QUERY],
            seconds=row.seconds,
        )
        for row in rows
    ]


def writer_of(url: str) -> Sequence[Blocker]:
    """The process that writes to this SQLite at the moment, found without opening its files:
    to close one would give up the locks of this process."""
    try:
        file = os.stat(f"{make_url(url).database}-shm")
        lines = LOCKS.read_text().splitlines()
    except OSError:
        return []
    place = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}:{file.st_ino}"
    return [Blocker(pid, "", _command_of(pid)) for pid in _holders(lines, place)][:1]


def _holders(lines: Sequence[str], place: str) -> Iterator[int]:
    """As in `1: POSIX  ADVISORY  WRITE 4711 08:01:5678 120 120`."""
    for line in lines:
        words = line.split()
        with suppress(ValueError, IndexError):
            is_it = words[1] == "POSIX" and words[3] == "WRITE" and words[5] == place
            if is_it and int(words[6]) <= WRITER <= _last(words[7]):
                yield max(0, int(words[4]))


def _last(word: str) -> int:
    return 2**63 if word == "EOF" else int(word)


def _command_of(pid: int) -> str:
    try:
        said = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    return redact(said.replace(b"\0", b" ").decode(errors="replace").strip())[:LONGEST_QUERY]
