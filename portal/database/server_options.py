"""What every connection to PostgreSQL asks for, so that a database which hangs is a dead one: a
statement, a lock or a path that is cut ends within half a minute, on both sides.

What the URL says itself stands. PgBouncer refuses `options`: DATABASE_OPTIONS=plain leaves it out.
"""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy.engine import URL

FULL: Final = "full"
PLAIN: Final = "plain"
CHOICES: Final = (FULL, PLAIN)

# https://www.postgresql.org/docs/current/libpq-connect.html. A cut path is noticed by what was
# sent and not acknowledged (milliseconds), or by probes while we wait for an answer (seconds). A
# Save that meets it first, and then nobody who accepts a connection, ends within 10 seconds.
OF_CLIENT: Final[Mapping[str, Any]] = {
    "connect_timeout": 5,
    "tcp_user_timeout": 4_000,
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
# The server's own side of it: it lets go of a vanished client and of its locks.
OF_SESSION: Final[Mapping[str, str]] = {
    "statement_timeout": "30000",
    "lock_timeout": "10000",
    "idle_in_transaction_session_timeout": "15000",
    "timezone": "UTC",
    "client_connection_check_interval": "5000",
    "tcp_user_timeout": "15000",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}


def connect_arguments(url: URL, options: str) -> dict[str, Any]:
    """What psycopg is to connect with beside `url`, whose own words win."""
    said = url.normalized_query
    found = {name: value for name, value in OF_CLIENT.items() if name not in said}
    if options == PLAIN:
        # Behind a pooler the next statement may find another session without the prepared ones.
        return {**found, "prepare_threshold": None}
    words = [f"-c {name}={value}" for name, value in OF_SESSION.items()]
    return {**found, "options": " ".join([*words, *said.get("options", ())])}
