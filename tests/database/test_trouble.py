"""What an error of the driver says about the database, and for how long it is remembered."""

import pytest
from flask import Flask
from sqlalchemy import insert, select

from portal.database import trouble
from portal.database.trouble import LONGEST_REASON, Kind, Trouble, TroubleBook, of_error, words_of
from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.operations import Process

pytestmark = pytest.mark.both_databases


class DriverError(Exception):
    """As psycopg's with an SQLSTATE, and as sqlite3's with a result code."""

    def __init__(self, words: str, state: str | None = None, result: int | None = None) -> None:
        super().__init__(words)
        if state is not None:
            self.sqlstate = state
        if result is not None:
            self.sqlite_errorcode = result


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(trouble, "monotonic", made)
    return made


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("53100", Kind.FULL),
        ("53200", Kind.CROWDED),
        ("53300", Kind.CROWDED),
        ("25006", Kind.READ_ONLY),
        ("25001", None),
        ("55P03", Kind.LOCKED),
        ("55006", None),
        ("58030", Kind.DISK),
        ("23505", None),
    ],
)
def test_a_code_of_postgresql_is_a_kind_of_trouble(state: str, kind: Kind | None) -> None:
    found = of_error(DriverError("so it is.\nDETAIL: more", state=state))
    assert found == (Trouble(kind, "so it is") if kind else None)


def test_a_server_that_refuses_connections_for_want_of_room_is_full() -> None:
    refused = "connection failed: FATAL:  could not extend file: No space left on device"
    assert of_error(DriverError(refused)) == Trouble(Kind.FULL, refused)


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        (5, Kind.LOCKED),
        (5 | 2 << 8, Kind.LOCKED),
        (8, Kind.READ_ONLY),
        (10 | 3 << 8, Kind.DISK),
        (13, Kind.FULL),
        (19, None),
    ],
)
def test_a_result_of_sqlite_is_one_too_however_it_is_extended(
    result: int, kind: Kind | None
) -> None:
    found = of_error(DriverError("no", result=result))
    assert found == (Trouble(kind, "no") if kind else None)


def test_the_words_are_one_line_that_fits_into_a_row() -> None:
    assert words_of(DriverError("\n first.\nsecond")) == "first"
    assert words_of(DriverError("")) == "DriverError"
    assert words_of(DriverError("x" * 999)) == "x" * LONGEST_REASON
    assert of_error(None) is None


def test_what_was_written_is_read_again_and_what_a_later_version_wrote_as_well() -> None:
    for kind in Kind:
        assert Trouble.read(str(Trouble(kind, "a: b"))) == Trouble(kind, "a: b")
    assert Trouble.read("melted: it is hot") == Trouble(Kind.AWAY, "it is hot")


def test_the_latest_trouble_is_told_until_it_is_forgotten(clock: Clock) -> None:
    book = TroubleBook()
    full, disk = Trouble(Kind.FULL, "no room"), Trouble(Kind.DISK, "it fails")
    assert book.is_empty
    for each in (full, disk, full):
        clock.now += 1
        book.note(each)
        assert book.present() == each
    book.forget(Kind.FULL, Kind.AWAY)
    assert (book.present(), book.is_empty) == (disk, False)
    book.note(full)
    book.forget()
    assert (book.present(), book.is_empty) == (None, True)


def test_a_lock_that_nobody_has_met_for_a_quarter_of_a_minute_is_gone_and_nothing_else(
    clock: Clock,
) -> None:
    book = TroubleBook()
    disk, locked = Trouble(Kind.DISK, "it fails"), Trouble(Kind.LOCKED, "one row")
    book.note(disk)
    clock.now += 1
    book.note(locked)
    clock.now += 14.9
    assert book.present() == locked
    clock.now += 0.2
    assert book.present() == disk


def test_trouble_is_over_with_the_rows_that_are_committed_and_not_with_those_that_are_not(
    app: Flask,
) -> None:
    del app
    full, at = Trouble(Kind.FULL, "no room"), utcnow()
    values = {"name": "a", "kind": "a", "host": "", "started_at": at, "seen_at": at}
    row = insert(Process).values(**values)
    trouble.book.forget()
    trouble.book.note(full)
    with db.engine.connect().execution_options(writing=True) as connection:
        connection.execute(row)
        connection.rollback()
        connection.execute(select(Process.name))
        connection.commit()
        assert trouble.book.present() == full
        connection.execute(row)
        connection.commit()
        assert trouble.book.is_empty
