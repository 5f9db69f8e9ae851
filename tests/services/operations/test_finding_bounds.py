"""From when on System warns, of whom it warns no more, and what is said once or not at all."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from portal.config.settings import Settings, load_settings
from portal.database.trouble import Kind, Trouble
from portal.queue.names import DELIVERIES
from portal.services.core import heartbeats
from portal.services.core.heartbeats import worker_of
from portal.services.operations.findings import Level, find
from portal.services.operations.health import Disk, Facts
from tests.conftest import ENVIRONMENT
from tests.services.operations.test_findings import (
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
    """The keys of what is found, each with its level."""
    found = find(Facts(settings=settings, **{**WELL, **changes}), NOW)
    return [(each.key, each.level) for each in found]


def titles(settings: Settings, **changes: Any) -> list[str]:
    return [each.title for each in find(Facts(settings=settings, **{**WELL, **changes}), NOW)]


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


def test_each_kind_of_trouble_is_told_once_by_the_process_that_was_asked(
    settings: Settings,
) -> None:
    others = [
        replace(process("web", pid=8), trouble=LOCKED),
        replace(process("web", pid=9), trouble=Trouble(Kind.DISK, "it fails")),
        replace(process("web", pid=9), trouble=Trouble(Kind.DISK, "again"), host="m2"),
    ]
    found = titles(settings, trouble=LOCKED, processes=[*PROCESSES, *others])
    assert [each.partition(" (")[2] for each in found] == ["so it is).", "it fails) (web on host)."]


def test_other_keys_are_said_and_not_what_follows_from_them(settings: Settings) -> None:
    closed = [*PROCESSES, process(heartbeats.UNDECRYPTABLE_SECRET)]
    assert titles(settings, processes=closed, keys_error="Other keys.", lost=["A"]) == [
        "Other keys."
    ]


def test_a_machine_that_cannot_connect_is_named_with_hosts_and_time_while_it_lives(
    settings: Settings,
) -> None:
    hosts = [f"{letter}.example" for letter in "abcdef"]
    sender = replace(process(worker_of(DELIVERIES), pid=9), host="m2", offline_since=NOW)
    (title,) = titles(settings, processes=[*PROCESSES, replace(sender, offline_hosts=hosts)])
    assert title == (
        "m2 hasn’t been able to connect to a.example, b.example, c.example, d.example, e.example "
        "and 1 more since Mar 1, 13:00 (Europe/Vienna). Nothing is lost."
    )
    long_ago = replace(sender, offline_since=NOW - timedelta(days=61), offline_hosts=hosts[:1])
    (title,) = titles(settings, processes=[*PROCESSES, long_ago])
    assert "a.example since Dec 30, 2025, 13:00 (Europe/Vienna)" in title
    gone = replace(sender, is_alive=False, started_at=NOW, kind=heartbeats.DISPATCHER)
    assert titles(settings, processes=[*PROCESSES, gone]) == []


def test_a_trial_says_what_it_opens(settings: Settings) -> None:
    for networks, words in (
        ("127.0.0.0/8", "reach it, and webhooks can reach programs on"),
        ("", "others can reach it."),
    ):
        allowed = settings.webhook_allowed_networks if networks else ()
        trial = replace(settings, local_trial=True, base_url="https://portal.example.com")
        (title,) = titles(replace(trial, webhook_allowed_networks=allowed))
        assert words in title, networks
