"""From when on System warns, of whom it warns no more, and what is said once or not at all."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from portal.config.settings import Settings, load_settings
from portal.database.trouble import Kind, Trouble
from portal.queue.names import BACKGROUND, DELIVERIES
from portal.services.core import heartbeats
from portal.services.core.heartbeats import ProcessStatus, worker_of
from portal.services.operations.findings import Level, find, processes_of
from portal.services.operations.health import Backlog, Blocker, Disk, Facts
from tests.conftest import ENVIRONMENT
from tests.services.operations.test_findings import (
    DATABASE,
    NOW,
    PROCESSES,
    REDIS,
    WELL,
    process,
)

MB = 1024**2
LOCKED = Trouble(Kind.LOCKED, "so it is")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({**ENVIRONMENT, "INSTANCE_DIR": str(tmp_path)})


def told(settings: Settings, **changes: Any) -> list[tuple[str, Level]]:
    """The keys of what is found, each with its level."""
    found = find(Facts(settings=settings, **{**WELL, **changes}), NOW)
    return [(each.key, each.level) for each in found]


def titles(settings: Settings, **changes: Any) -> list[str]:
    return [each.title for each in find(Facts(settings=settings, **{**WELL, **changes}), NOW)]


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


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


def test_the_check_for_due_deliveries_is_late_after_half_a_minute_or_three_of_its_intervals(
    settings: Settings,
) -> None:
    for every, seconds, is_late in (
        (1, 30, False),
        (1, 31, True),
        (60, 180, False),
        (60, 181, True),
    ):
        chosen = replace(settings, maintenance_seconds=every)
        keys = [
            key
            for key, _ in told(
                chosen, processes=[*PROCESSES[:3], process("maintenance", seconds=seconds)]
            )
        ]
        assert keys == (["no_maintenance"] if is_late else []), every


def test_what_lasts_too_long_or_is_too_much_is_told_and_nothing_before(settings: Settings) -> None:
    for changes, is_told in (
        ({"backlog": Backlog(1, 0, ago(60))}, False),
        ({"backlog": Backlog(1, 0, ago(61))}, True),
        ({"processes": [*PROCESSES, process(heartbeats.MAIL_FAILED, seconds=179)]}, True),
        ({"processes": [*PROCESSES, process(heartbeats.MAIL_FAILED, seconds=180)]}, False),
        ({"processes": [*PROCESSES, process(heartbeats.PROXY, seconds=86_400)]}, True),
        ({"processes": [*PROCESSES, process(heartbeats.PROXY, seconds=86_401)]}, False),
        ({"processes": [*PROCESSES, process(heartbeats.UNDECRYPTABLE_SECRET, seconds=179)]}, True),
        ({"processes": [*PROCESSES, process(heartbeats.UNDECRYPTABLE_SECRET, seconds=181)]}, False),
        ({"processes": [*PROCESSES, process(heartbeats.CUT, seconds=59)]}, True),
        ({"processes": [*PROCESSES, process(heartbeats.CUT, seconds=60)]}, False),
        ({"database": replace(DATABASE, skew=5.0)}, False),
        ({"database": replace(DATABASE, skew=5.1)}, True),
        ({"database": replace(DATABASE, skew=-5.0)}, False),
        ({"database": replace(DATABASE, skew=-5.1)}, True),
        ({"processes": [*PROCESSES, process("web", seconds=3600, is_alive=False)]}, True),
        ({"processes": [*PROCESSES, process("web", seconds=3601, is_alive=False)]}, False),
        ({"redis": replace(REDIS, may_evict=True)}, False),
        ({"redis": replace(REDIS, memory_limit=10)}, False),
    ):
        assert len(told(settings, **changes)) == is_told, changes


def test_what_a_dead_process_has_said_is_told_no_more(settings: Settings) -> None:
    lost: ProcessStatus = replace(
        process("dispatcher", seconds=400, is_alive=False), pid=9, host="m2"
    )
    for said in ({"trouble": LOCKED}, {"skew": 90.0}):
        assert told(settings, processes=[*PROCESSES, replace(lost, **said)]) == []
        assert (
            len(told(settings, processes=[*PROCESSES, replace(lost, is_alive=True, **said)])) == 1
        )


def test_a_periodic_task_has_no_clock_of_its_own(settings: Settings) -> None:
    assert (
        told(
            settings,
            processes=[*PROCESSES, replace(process("maintenance"), host="m9", pid=None, skew=90.0)],
        )
        == []
    )


def test_of_several_processes_of_a_machine_its_clock_is_told_once(settings: Settings) -> None:
    here = {"here": "host", "database": replace(DATABASE, skew=40.0)}
    others = [replace(process("web", pid=pid), skew=50.0 + pid) for pid in (1, 2)]
    clock = "The clock of host is 40 seconds behind the database's."
    assert titles(settings, processes=[*PROCESSES, *others], **here) == [clock]


def test_each_kind_of_trouble_is_told_once_by_the_process_that_was_asked(
    settings: Settings,
) -> None:
    others = [
        replace(process("web", pid=8), trouble=LOCKED),
        replace(process("web", pid=9), trouble=Trouble(Kind.DISK, "it fails")),
        replace(process("web", pid=9), trouble=Trouble(Kind.DISK, "again"), host="m2"),
    ]
    found = titles(settings, trouble=LOCKED, processes=[*PROCESSES, *others])
    assert [each.partition(": ")[2] for each in found] == ["so it is.", "it fails (web on host)."]


def test_who_blocks_is_in_red_while_somebody_waits_for_a_lock(settings: Settings) -> None:
    for kind in (Kind.LOCKED, Kind.FULL):
        blockers = [Blocker(0, "", "python import.py"), Blocker(7, "", "")]
        changes: dict[str, Any] = {**WELL, "blockers": blockers, "trouble": Trouble(kind, "no")}
        facts = Facts(settings=settings, **changes)
        found = [each for each in find(facts, NOW) if each.key == "database_blocked"]
        level = Level.DANGER if kind is Kind.LOCKED else Level.WARNING
        assert [each.level for each in found] == [level] * 2, kind
        assert found[0].title.endswith("wait: process of another container, “python import.py”."), (
            kind
        )
        assert found[1].title.endswith("wait: process 7."), kind


def test_other_keys_are_said_and_not_what_follows_from_them(settings: Settings) -> None:
    closed = [*PROCESSES, process(heartbeats.UNDECRYPTABLE_SECRET)]
    assert titles(settings, processes=closed, keys_error="Other keys.", lost=["A"]) == [
        "Other keys."
    ]


def test_jobs_that_failed_are_counted_over_all_queues(settings: Settings) -> None:
    (title,) = titles(settings, redis=replace(REDIS, failed={DELIVERIES: 1, BACKGROUND: 2}))
    assert title.startswith("3 jobs of the workers")


def test_a_machine_that_cannot_connect_is_named_with_hosts_and_time_while_it_lives(
    settings: Settings,
) -> None:
    hosts = [f"{letter}.example" for letter in "abcdef"]
    sender = replace(process(worker_of(DELIVERIES), pid=9), host="m2", offline_since=NOW)
    (title,) = titles(settings, processes=[*PROCESSES, replace(sender, offline_hosts=hosts)])
    assert title == (
        "m2 can’t connect to a.example, b.example, c.example, d.example, e.example and 1 more "
        "since Mar 1, 13:00 (Europe/Vienna). Nothing is lost."
    )
    long_ago = replace(sender, offline_since=NOW - timedelta(days=61), offline_hosts=hosts[:1])
    (title,) = titles(settings, processes=[*PROCESSES, long_ago])
    assert "a.example since Dec 30, 2025, 13:00 (Europe/Vienna)" in title
    gone = replace(sender, is_alive=False, started_at=NOW, kind=heartbeats.DISPATCHER)
    assert titles(settings, processes=[*PROCESSES, gone]) == []


def test_a_trial_says_what_it_opens(settings: Settings) -> None:
    for networks, words in (
        ("127.0.0.0/8", "reach it: webhooks may call programs on"),
        ("", "others can reach it."),
    ):
        allowed = settings.webhook_allowed_networks if networks else ()
        trial = replace(settings, local_trial=True, base_url="https://portal.example.com")
        (title,) = titles(replace(trial, webhook_allowed_networks=allowed))
        assert words in title, networks


def test_a_redis_that_is_not_open_to_others_is_not_told(settings: Settings) -> None:
    for url in ("unix:///run/valkey.sock", "rediss://10.0.0.5", "redis://:p@h"):
        assert told(replace(settings, redis_url=url)) == [], url


def test_a_process_that_does_two_things_is_one_and_two_machines_have_two() -> None:
    kinds = (worker_of(DELIVERIES), heartbeats.DISPATCHER)
    processes = [process(kind, pid=7) for kind in kinds] + [
        replace(process(kinds[0], pid=7), name="another", host="m2")
    ]
    settings: Any = None
    facts = Facts(
        settings=settings, database=None, redis=None, processes=processes, at=datetime.now(UTC)
    )
    assert sorted(each.host for each in processes_of(facts, *kinds)) == ["host", "m2"]
