"""From when on System warns: at the limit it is still quiet, or speaks already, and never both."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from portal.config.settings import Settings, load_settings
from portal.services.operations.findings import find
from portal.services.operations.health import Backlog, Disk, Facts
from tests.conftest import ENVIRONMENT
from tests.services.operations.test_findings import DATABASE, NOW, PROCESSES, WELL, process

MIB = 1024**2
A_MOMENT = timedelta(microseconds=1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({**ENVIRONMENT, "INSTANCE_DIR": str(tmp_path)})


def keys(settings: Settings, **changes: Any) -> list[tuple[str, str]]:
    found = find(Facts(settings=settings, **{**WELL, **changes}), NOW)
    return [(each.key, each.level) for each in found]


@pytest.mark.parametrize(
    ("free", "level"),
    [
        (1024 * MIB, ""),
        (1024 * MIB - 1, "warning"),
        (200 * MIB, "warning"),
        (200 * MIB - 1, "danger"),
    ],
)
def test_a_disk_is_short_below_a_gigabyte_and_full_below_200_megabytes(
    settings: Settings, free: int, level: str
) -> None:
    found = keys(settings, disks=[Disk("/srv", free, 1024**4)])
    assert found == ([("disk", level)] if level else [])


def test_deliveries_are_late_after_a_minute(settings: Settings) -> None:
    def backlog(late: timedelta) -> Backlog:
        return Backlog(0, 0, NOW - late)

    minute = timedelta(seconds=60)
    assert keys(settings, backlog=backlog(minute)) == []
    assert keys(settings, backlog=backlog(minute + A_MOMENT)) == [("late", "warning")]


def test_nobody_looks_for_what_is_due_after_half_a_minute_or_three_pauses(
    settings: Settings,
) -> None:
    def processes(seconds: float) -> list[Any]:
        return [*PROCESSES[:3], process("maintenance", seconds=seconds)]

    assert keys(settings, processes=processes(30)) == []
    assert keys(settings, processes=processes(30.001)) == [("no_maintenance", "danger")]
    slow = replace(settings, maintenance_seconds=20)
    assert keys(slow, processes=processes(60)) == []
    assert keys(slow, processes=processes(60.001)) == [("no_maintenance", "danger")]


def test_a_mail_server_that_took_nothing_is_told_for_three_minutes(settings: Settings) -> None:
    def processes(seconds: float) -> list[Any]:
        return [*PROCESSES, process("mail failed", seconds=seconds)]

    assert keys(settings, processes=processes(179.999)) == [("mail", "warning")]
    assert keys(settings, processes=processes(180)) == []


@pytest.mark.parametrize("sign", [-1, 1])
def test_clocks_are_apart_after_five_seconds(settings: Settings, sign: int) -> None:
    assert keys(settings, database=replace(DATABASE, skew=sign * 5)) == []
    beyond = replace(DATABASE, skew=sign * 5.001)
    assert keys(settings, database=beyond) == [("clocks_apart", "warning")]
