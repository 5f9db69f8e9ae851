"""Tests of how driver errors are classified, and of how times are stored."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from portal.database.engine import UtcDateTime, is_away, unusable
from portal.database.trouble import LONGEST_REASON, Kind, Trouble, of_error, words_of


class DriverError(Exception):
    """An error like psycopg's with an SQLSTATE, or like sqlite3's with a result code."""

    def __init__(self, words: str, state: str | None = None, result: int | None = None) -> None:
        super().__init__(words)
        if state is not None:
            self.sqlstate = state
        if result is not None:
            self.sqlite_errorcode = result


def test_a_postgresql_code_is_mapped_to_a_kind_of_trouble() -> None:
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
        trouble = of_error(DriverError("so it is.\nDETAIL: more", state=state))
        assert trouble == (Trouble(kind, "so it is") if kind else None), state


def test_a_server_without_disk_space_for_connections_is_full() -> None:
    refused = "connection failed: FATAL:  could not extend file: No space left on device"
    assert of_error(DriverError(refused)) == Trouble(Kind.FULL, refused)


def test_a_sqlite_result_code_is_mapped_even_if_it_is_extended() -> None:
    for result, kind in (
        (5, Kind.LOCKED),
        (5 | 2 << 8, Kind.LOCKED),
        (8, Kind.READ_ONLY),
        (10 | 3 << 8, Kind.DISK),
        (13, Kind.FULL),
        (19, None),
    ):
        trouble = of_error(DriverError("no", result=result))
        assert trouble == (Trouble(kind, "no") if kind else None), result


def test_the_reason_is_one_line_that_fits_into_its_column() -> None:
    assert words_of(DriverError("\n first.\nsecond")) == "first"
    assert words_of(DriverError("")) == "DriverError"
    assert words_of(DriverError("x" * 999)) == "x" * LONGEST_REASON
    assert of_error(None) is None


def test_stored_trouble_can_be_read_even_if_a_later_version_wrote_it() -> None:
    for kind in Kind:
        assert Trouble.read(str(Trouble(kind, "a: b"))) == Trouble(kind, "a: b")
    assert Trouble.read("melted: it is hot") == Trouble(Kind.AWAY, "it is hot")


def error(
    driver: Exception | None = None, *, statement: str | None = "SELECT 1", is_lost: bool = False
) -> DBAPIError:
    original = driver or DriverError("no")
    return DBAPIError(statement, {}, original, connection_invalidated=is_lost)


def test_only_lost_connections_and_locks_are_worth_a_retry() -> None:
    for failure, passes in (
        (error(is_lost=True), True),
        (error(statement=None), True),
        (error(DriverError("locked", state="55P03")), True),
        (error(DriverError("busy", result=5)), True),
        (error(DriverError("busy", result=5 | 1 << 8)), True),
        # A statement that took too long would do so again.
        (error(DriverError("timeout", state="57014")), False),
        (error(DriverError("no table", result=1)), False),
        (error(), False),
    ):
        assert is_away(failure) is passes, failure


def test_a_time_is_stored_in_utc_and_refused_without_a_zone() -> None:
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
            result = kind.process_result_value(read, dialect)
            assert result is not None
            assert (result, result.tzinfo) == (noon, UTC)
    assert kind.process_result_value(datetime(2026, 3, 1, 12), one) == noon  # noqa: DTZ001


def test_an_unusable_database_is_one_sentence_without_a_password() -> None:
    sentence = unusable("postgresql://ana:hush@db/portal", error(DriverError("\nno route.\nmore")))
    assert (
        sentence == "The portal can’t use the database postgresql://ana:***@db/portal (no route)."
    )
