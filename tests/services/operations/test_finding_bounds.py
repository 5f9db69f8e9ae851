"""System's warnings: when they start and end, and which are reported once or not at all."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from portal.config.settings import Settings, load_settings
from portal.database.trouble import Kind, Trouble
from portal.queue.names import DELIVERIES
from portal.services.core import heartbeats
from portal.services.core.heartbeats import ProcessStatus, worker_of
from portal.services.operations.backups import BackupState
from portal.services.operations.findings import Level, find
from portal.services.operations.health import Disk, Facts
from tests.conftest import ENVIRONMENT
from tests.services.operations.test_findings import (
    DATABASE,
    NOW,
    PROCESSES,
    WELL,
    process,
)

MB = 1024**2
LOCKED = Trouble(Kind.LOCKED, "so it is")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({**ENVIRONMENT, "INSTANCE_DIR": str(tmp_path)})


def told(settings: Settings, **changes: Any) -> list[tuple[str, Level]]:
    """Return key and level of each finding."""
    findings = find(Facts(settings=settings, **{**WELL, **changes}), NOW)
    return [(finding.key, finding.level) for finding in findings]


def titles(settings: Settings, **changes: Any) -> list[str]:
    return [finding.title for finding in find(Facts(settings=settings, **{**WELL, **changes}), NOW)]


def test_a_disk_is_short_below_a_gigabyte_and_full_below_200_megabytes(settings: Settings) -> None:
    for free, levels in (
        (1024 * MB, []),
        (1024 * MB - 1, [Level.WARNING]),
        (200 * MB, [Level.WARNING]),
        (200 * MB - 1, [Level.DANGER]),
    ):
        assert [
            level for _, level in told(settings, disks=[Disk("/srv", free, 2**40)])
        ] == levels, free


def test_each_kind_of_trouble_is_reported_once(
    settings: Settings,
) -> None:
    others = [
        replace(process("web", pid=8), trouble=LOCKED),
        replace(process("web", pid=9), trouble=Trouble(Kind.DISK, "it fails")),
        replace(process("web", pid=9), trouble=Trouble(Kind.DISK, "again"), host="m2"),
    ]
    facts = Facts(settings=settings, **{**WELL, "processes": [*PROCESSES, *others]}, trouble=LOCKED)
    findings = [
        (finding.title.partition(" (")[2], finding.server[-11:]) for finding in find(facts, NOW)
    ]
    assert findings == [("", "“so it is”."), ("web on host).", "“it fails”.")]


def test_wrong_keys_are_reported_without_their_consequences(settings: Settings) -> None:
    closed = [*PROCESSES, process(heartbeats.UNDECRYPTABLE_SECRET)]
    assert titles(settings, processes=closed, keys_error="Other keys.", lost=["A"]) == [
        "Other keys."
    ]


def test_an_offline_machine_is_named_with_hosts_and_time_while_alive(
    settings: Settings,
) -> None:
    hosts = [f"{letter}.example" for letter in "abcdef"]
    sender = replace(process(worker_of(DELIVERIES), pid=9), host="m2", offline_since=NOW)
    (title,) = titles(settings, processes=[*PROCESSES, replace(sender, offline_hosts=hosts)])
    assert title == (
        "m2 hasn’t been able to connect to a.example, b.example, c.example, d.example, e.example, "
        "and 1 more since Mar 1, 13:00 (Europe/Vienna)."
    )
    long_ago = replace(sender, offline_since=NOW - timedelta(days=61), offline_hosts=hosts[:1])
    (title,) = titles(settings, processes=[*PROCESSES, long_ago])
    assert "a.example since Dec 30, 2025, 13:00 (Europe/Vienna)" in title
    gone = replace(sender, is_alive=False, started_at=NOW, kind=heartbeats.DISPATCHER)
    assert titles(settings, processes=[*PROCESSES, gone]) == []


def test_a_local_trial_warns_about_open_networks(settings: Settings) -> None:
    for networks, words in (
        ("127.0.0.0/8", "Webhooks can reach programs on this machine. Don’t use"),
        ("", "Don’t use"),
    ):
        allowed = settings.webhook_allowed_networks if networks else ()
        trial = replace(settings, local_trial=True, base_url="https://portal.example.com")
        facts = Facts(settings=replace(trial, webhook_allowed_networks=allowed), **WELL)
        (finding,) = find(facts, NOW)
        assert finding.todo.startswith(words), networks


def test_a_clock_more_than_five_seconds_off_is_reported(settings: Settings) -> None:
    for skew, keys in ((5.0, []), (-5.0, []), (5.1, ["clocks_apart"]), (-5.1, ["clocks_apart"])):
        here = replace(DATABASE, skew=skew)
        there = replace(process(heartbeats.WEB), host="m2", skew=skew)
        for changes in ({"database": here}, {"processes": [*PROCESSES, there]}):
            assert [key for key, _ in told(settings, **changes)] == keys, (skew, changes)


def test_a_silent_process_is_reported_for_an_hour_unless_replaced(
    settings: Settings,
) -> None:
    def successor(**changes: Any) -> ProcessStatus:
        started_at = NOW - timedelta(minutes=1)
        return replace(process(heartbeats.WEB, pid=8), **{"started_at": started_at, **changes})

    for seconds, others, is_told in (
        (3600, [], True),
        (3601, [], False),
        (61, [successor()], False),
        (59, [successor()], True),  # it started before the other went silent
        (61, [successor(host="m2")], True),
        (61, [successor(kind="scheduler")], True),
    ):
        lost = process(heartbeats.WEB, seconds=seconds, is_alive=False, pid=9)
        keys = [key for key, _ in told(settings, processes=[*PROCESSES, lost, *others])]
        assert ("process_silent" in keys) is is_told, (seconds, others)


def test_a_cut_connection_is_reported_for_a_minute(settings: Settings) -> None:
    for seconds, keys in ((59, ["database_cut"]), (60, [])):
        cut = process(heartbeats.CUT, seconds=seconds)
        reported = [key for key, _ in told(settings, processes=[*PROCESSES, cut])]
        assert reported == keys, seconds


def test_a_backup_is_missed_after_eight_days_unless_turned_off(
    settings: Settings,
) -> None:
    day, long_ago = timedelta(days=1), NOW - timedelta(days=99)
    for last_at, since, keep, keys in (
        (NOW - 8 * day, long_ago, 7, []),
        (NOW - 8.01 * day, long_ago, 7, ["backup_old"]),
        (NOW - 99 * day, long_ago, 0, []),
        (None, NOW - 8 * day, 7, []),
        (None, NOW - 8.01 * day, 7, ["backup_old"]),
        (None, None, 7, []),
    ):
        findings = told(replace(settings, backup_keep=keep), backup=BackupState(last_at, since))
        assert [key for key, _ in findings] == keys, (last_at, since, keep)
