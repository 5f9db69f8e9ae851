"""Which errors of the database pass by themselves, and which times can be stored."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from portal.database.engine import UtcDateTime, is_away, unusable
from tests.database.test_trouble import DriverError


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
    assert said == "The database postgresql://ana:***@db/portal cannot be used: no route."
