"""What an error of the driver says about the database, and which times can be stored."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from portal.database.engine import UtcDateTime, is_away, unusable
from portal.database.trouble import LONGEST_REASON, Kind, Trouble, of_error, words_of


class DriverError(Exception):
    """As psycopg's with an SQLSTATE, and as sqlite3's with a result code."""

    def __init__(self, words: str, state: str | None = None, result: int | None = None) -> None:
        super().__init__(words)
        if state is not None:
            self.sqlstate = state
        if result is not None:
            self.sqlite_errorcode = result


def test_a_code_of_postgresql_is_a_kind_of_trouble() -> None:
    for state, kind in (
        ("53100", Kind.FULL),
        ("53200", Kind.CROWDED),
        ("53300", Kind.CROWDED),
        ("25006", Kind.READ_ONLY),
        ("25001", None),
        ("55P03", Kind.LOCKED),
        ("55006", None),
        ("58030", Kind.DISK),
        ("23505", None),
    ):
        found = of_error(DriverError("so it is.\nDETAIL: more", state=state))
        assert found == (Trouble(kind, "so it is") if kind else None), state


def test_a_server_that_refuses_connections_for_want_of_room_is_full() -> None:
    refused = "connection failed: FATAL:  could not extend file: No space left on device"
    assert of_error(DriverError(refused)) == Trouble(Kind.FULL, refused)


def test_a_result_of_sqlite_is_one_too_however_it_is_extended() -> None:
    for result, kind in (
        (5, Kind.LOCKED),
        (5 | 2 << 8, Kind.LOCKED),
        (8, Kind.READ_ONLY),
        (10 | 3 << 8, Kind.DISK),
        (13, Kind.FULL),
        (19, None),
    ):
        found = of_error(DriverError("no", result=result))
        assert found == (Trouble(kind, "no") if kind else None), result


def test_the_words_are_one_line_that_fits_into_a_row() -> None:
    assert words_of(DriverError("\n first.\nsecond")) == "first"
    assert words_of(DriverError("")) == "DriverError"
    assert words_of(DriverError("x" * 999)) == "x" * LONGEST_REASON
    assert of_error(None) is None


def test_what_was_written_is_read_again_and_what_a_later_version_wrote_as_well() -> None:
    for kind in Kind:
        assert Trouble.read(str(Trouble(kind, "a: b"))) == Trouble(kind, "a: b")
    assert Trouble.read("melted: it is hot") == Trouble(Kind.AWAY, "it is hot")


def error(
    driver: Exception | None = None, *, statement: str | None = "SELECT 1", is_lost: bool = False
) -> DBAPIError:
    original = driver or DriverError("no")
    return DBAPIError(statement, {}, original, connection_invalidated=is_lost)


def test_trying_again_helps_where_the_database_is_lost_or_somebody_has_a_lock() -> None:
    for found, passes in (
        (error(is_lost=True), True),
        (error(statement=None), True),
        (error(DriverError("locked", state="55P03")), True),
        (error(DriverError("busy", result=5)), True),
        (error(DriverError("busy", result=5 | 1 << 8)), True),
        # It took too long, and would do so again.
        (error(DriverError("timeout", state="57014")), False),
        (error(DriverError("no table", result=1)), False),
        (error(), False),
    ):
        assert is_away(found) is passes, found


def test_a_time_is_stored_in_utc_and_none_without_its_zone() -> None:
    kind = UtcDateTime()
    one, other = sqlite.dialect(), postgresql.dialect()  # type: ignore[no-untyped-call]
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    abroad = noon.astimezone(timezone(timedelta(hours=5)))
    assert kind.process_bind_param(abroad, one) == datetime(2026, 3, 1, 12)  # noqa: DTZ001
    stored = kind.process_bind_param(abroad, other)
    assert stored is not None
    assert (stored, stored.tzinfo) == (noon, UTC)
    for dialect in (one, other):
        assert kind.process_bind_param(None, dialect) is None
        with pytest.raises(ValueError, match="without its zone"):
            kind.process_bind_param(datetime(2026, 3, 1), dialect)  # noqa: DTZ001
        for read in (abroad, noon):
            found = kind.process_result_value(read, dialect)
            assert found is not None
            assert (found, found.tzinfo) == (noon, UTC)
    assert kind.process_result_value(datetime(2026, 3, 1, 12), one) == noon  # noqa: DTZ001


def test_that_it_cannot_be_used_is_one_sentence_without_a_password() -> None:
    said = unusable("postgresql://ana:hush@db/portal", error(DriverError("\nno route.\nmore")))
    assert said == "The portal can’t use the database postgresql://ana:***@db/portal (no route)."
