"""What System warns of about the database. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from portal.database.trouble import Kind, Trouble
from portal.lib.durations import in_words
from portal.services.core import heartbeats
from portal.services.operations.database.blockers import Blocker
from portal.services.operations.finding import Finding, Level
from portal.services.operations.health import DatabaseFacts, Facts

SKEW_IS_LARGE: Final = 5.0  # seconds
CUT_IS_RECENT: Final = timedelta(minutes=1)
# kind → what is the matter, what to do
TROUBLES: Final = {
    Kind.FULL: (
        "The database has no room left, so changes are not saved",
        "Make room on its disk. Nothing that was saved is lost, and it goes on by itself then.",
    ),
    Kind.READ_ONLY: (
        "The database takes no changes",
        "Look whether it is a replica, set to read alone (default_transaction_read_only), or a "
        "file that the portal may not write to.",
    ),
    Kind.LOCKED: (
        "Somebody holds a lock in the database, and changes are not saved",
        "End the transaction or the program that holds it.",
    ),
    Kind.CROWDED: (
        "The database has no memory or no connection left",
        "Give it more (max_connections), or end what uses it up.",
    ),
    Kind.DISK: (
        "The disk of the database fails",
        "Look at the disk, and in the log of the database.",
    ),
    Kind.AWAY: (
        "The database does not answer in time",
        "Look at its load, and at the path to it.",
    ),
}


def database_answers(facts: Facts, _now: datetime) -> Iterator[Finding]:
    """That it is there, and has the tables of this version."""
    database, command = facts.database, facts.settings.command
    if database is None and facts.trouble is None:
        why = f": {facts.database_error}" if facts.database_error else ""
        yield Finding(
            "database_away",
            Level.DANGER,
            f"The database does not answer{why}.",
            "Start the database, and check DATABASE_URL. Its log says why it does not start, for "
            "example a full disk. Nothing that was saved is lost.",
        )
    elif database is not None and database.revision != database.head:
        yield _of_tables(database, command("db upgrade"))


def _of_tables(database: DatabaseFacts, upgrade: str) -> Finding:
    if database.revision is None:
        return Finding(
            "database_empty",
            Level.DANGER,
            f"There is no portal in the database {database.address} yet.",
            f"Check INSTANCE_DIR and DATABASE_URL. For a new portal, run {upgrade}.",
        )
    if database.is_newer:
        return Finding(
            "database_newer",
            Level.DANGER,
            f"The database is at {database.revision}: a newer version of the portal changed it.",
            "Start the newer version, or restore the backup that was made before it.",
        )
    return Finding(
        "database_older",
        Level.DANGER,
        f"The database is at {database.revision}, and this version of the portal needs "
        f"{database.head}.",
        f"Run {upgrade}, then restart the portal.",
    )


def database_takes_changes(facts: Facts, _now: datetime) -> Iterator[Finding]:
    """What it refuses this process, and those that have signed."""
    found = {facts.trouble.kind: (facts.trouble, "")} if facts.trouble else {}
    for life in facts.lives:
        if life.is_alive and life.trouble and life.trouble.kind not in found:
            found[life.trouble.kind] = (life.trouble, f" ({life.kind} on {life.host})")
    for trouble, where in found.values():
        yield _of(trouble, where)


def _of(trouble: Trouble, where: str) -> Finding:
    what, todo = TROUBLES[trouble.kind]
    key = f"database_{trouble.kind.replace('-', '_')}"
    return Finding(key, Level.DANGER, f"{what}: {trouble.reason}{where}.", todo)


def connections_hold(facts: Facts, now: datetime) -> Iterator[Finding]:
    """That no connection to it was cut without a word, by something that lies between."""
    for each in facts.lives:
        if each.kind == heartbeats.CUT and now - each.seen_at < CUT_IS_RECENT:
            yield Finding(
                "database_cut",
                Level.WARNING,
                f"Connections to the database were cut without a word (on {each.host}).",
                "Look at the path to it: a cable, or a firewall that forgets connections. Nothing "
                "that was saved is lost, and new connections are made automatically. This line "
                "goes a minute after the last one.",
            )


def nobody_blocks(facts: Facts, _now: datetime) -> Iterator[Finding]:
    """A transaction that somebody forgot holds up whoever wants the same rows."""
    is_locked = facts.trouble is not None and facts.trouble.kind is Kind.LOCKED
    for each in facts.blockers:
        doing = f", “{each.doing}”" if each.doing else ""
        who = f"{each.who}, " if each.who else ""
        yield Finding(
            "database_blocked",
            Level.DANGER if is_locked else Level.WARNING,
            f"{_since(each)}{who}process {each.pid or 'of another container'}{doing}.",
            _how_to_end(each),
        )


def _since(blocker: Blocker) -> str:
    if blocker.seconds is None:
        return "One program writes to the database, and all others wait: "
    return (
        f"A transaction in the database is open for {in_words(blocker.seconds)}, and may hold "
        "up Saves: "
    )


def _how_to_end(blocker: Blocker) -> str:
    if blocker.seconds is None:
        return "End that program if it does not end by itself."
    return f"If nobody needs it any more, end it there: SELECT pg_terminate_backend({blocker.pid})."


def clocks_agree(facts: Facts, _now: datetime) -> Iterator[Finding]:
    """This machine's, and those of all that have signed, with the database's."""
    found = {facts.here: facts.database.skew} if facts.database else {}
    for life in facts.lives:
        if life.is_alive and life.pid is not None:
            found.setdefault(life.host, life.skew)
    for host, skew in found.items():
        if abs(skew) > SKEW_IS_LARGE:
            order = "ahead of" if skew < 0 else "behind"
            yield Finding(
                "clocks_apart",
                Level.WARNING,
                f"The clock of {host} is {in_words(abs(skew))} {order} the database's.",
                "Let both take their time from a time server (NTP). Receivers may refuse "
                "signatures whose time is off; beyond 1 minute people may be signed out, and "
                "beyond 5 that machine removes nothing, however long it was kept.",
            )


def keys_open(facts: Facts, _now: datetime) -> Iterator[Finding]:
    """What is stored was sealed with keys that we have."""
    if facts.keys_error:
        yield Finding(
            "keys_differ",
            Level.DANGER,
            facts.keys_error,
            "They are in the file keys.env of the instance folder, or where the portal is started. "
            "If they are lost for good, stop the portal and run "
            f"{facts.settings.command('forget-secrets')}.",
        )
