"""The readiness of a process, derived from its heartbeats."""

from datetime import UTC, datetime
from typing import Any

import pytest

from portal.database.trouble import Kind, Trouble, observed
from portal.queue.names import BACKGROUND, DELIVERIES
from portal.services.core.heartbeats import BROKEN_AFTER, ProcessStatus, worker_of
from portal.services.operations.readiness import SILENT, HealthSnapshot, Readiness
from tests.services.operations.test_readiness import Clock

AWAY = Trouble(Kind.AWAY, "the road is gone")
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def nothing_is_wrong() -> None:
    observed.trouble = None


@pytest.fixture
def clock() -> Clock:
    return Clock()


def process(kind: str, trouble: Trouble | None = None, *, is_alive: bool = True) -> ProcessStatus:
    return ProcessStatus(kind, kind, "host", 7, AT, is_alive, trouble=trouble)


def beating(clock: Clock, **seen: Any) -> Readiness:
    readiness = Readiness(clock)
    readiness.begin()
    readiness.note(None)
    readiness.snapshot = HealthSnapshot(has_tables=True, **seen)
    return readiness


@pytest.mark.parametrize("kind", [Kind.FULL, Kind.DISK])
def test_a_heartbeat_that_found_no_disk_space_still_counts(clock: Clock, kind: Kind) -> None:
    readiness = beating(clock)
    clock.now += SILENT
    readiness.note(AWAY)
    readiness.note(Trouble(kind, "no"))
    clock.now += SILENT
    readiness.note(AWAY)
    assert readiness.read().database == "ok"


def test_without_a_heartbeat_there_is_no_answer_yet_and_later_none(clock: Clock) -> None:
    readiness = Readiness(clock)
    assert (readiness.has_heartbeats, readiness.read().database) == (False, "no answer")
    readiness.begin()
    assert (readiness.has_heartbeats, readiness.read().database) == (True, "no answer yet")
    clock.now += SILENT + 0.1
    assert readiness.read().database == "no answer"
    readiness.end()
    assert not readiness.has_heartbeats


@pytest.mark.parametrize(
    ("kind", "is_alive", "is_told"),
    [
        (Kind.FULL, True, True),
        (Kind.DISK, True, True),
        (Kind.READ_ONLY, True, True),
        (Kind.LOCKED, True, False),
        (Kind.AWAY, True, False),
        (Kind.FULL, False, False),
    ],
)
def test_lasting_trouble_of_another_living_process_is_reported(
    clock: Clock, kind: Kind, is_alive: bool, is_told: bool
) -> None:
    other = process(worker_of(BACKGROUND), Trouble(kind, "no"), is_alive=is_alive)
    readiness = beating(clock, processes=[process(worker_of(DELIVERIES)), other])
    assert readiness.read().database == (f"{kind}: no" if is_told else "ok")


def test_readiness_is_overdue_only_once_a_heartbeat_was_missed(
    clock: Clock,
) -> None:
    late = BROKEN_AFTER.total_seconds()
    readiness = Readiness(clock)
    clock.now += 2 * late
    assert not readiness.is_overdue  # it has no heartbeats
    readiness.begin()
    clock.now += late
    assert not readiness.is_overdue
    clock.now += 0.1
    assert readiness.is_overdue
    for trouble in (None, Trouble(Kind.FULL, "no")):
        readiness.note(trouble)
        clock.now += late
        assert not readiness.is_overdue
        readiness.note(AWAY)
        clock.now += 0.1
        assert readiness.is_overdue
    readiness.end()
    assert not readiness.is_overdue
