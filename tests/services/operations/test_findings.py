"""System's warnings, each fact by itself, as a table."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from portal.config.settings import Settings, load_settings
from portal.database.trouble import Kind, Trouble
from portal.queue.connection import RedisFault, RedisState, RedisTrouble
from portal.services.alerts.queries import RunStatus
from portal.services.alerts.rules import AlertRules
from portal.services.alerts.settings import Stored
from portal.services.core.heartbeats import ProcessStatus
from portal.services.mail.mailer import Step
from portal.services.mail.mails import Trouble as MailTrouble
from portal.services.operations.backups import BackupState
from portal.services.operations.findings import Level, find
from portal.services.operations.health import Backlog, Blocker, DatabaseFacts, Disk, Facts
from tests.conftest import ENVIRONMENT
from tests.support.golden.expected_file import Golden

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({**ENVIRONMENT, "INSTANCE_DIR": str(tmp_path)})


def process(kind: str, *, seconds: float = 5, is_alive: bool = True, pid: int = 7) -> ProcessStatus:
    return ProcessStatus(
        kind, f"{kind} host:{pid}", "host", pid, NOW - timedelta(seconds=seconds), is_alive
    )


WELL = {
    "processes": [
        process("worker deliveries"),
        process("worker background"),
        process("scheduler"),
        process("maintenance"),
    ],
    "database": DatabaseFacts(
        product="SQLite",
        version="3.53.0",
        address="sqlite:///portal.sqlite",
        size=10_000,
        revision="0102",
        head="0102",
        skew=0.01,
    ),
    "redis": RedisState(
        product="Valkey 9.1",
        memory=1,
        memory_limit=0,
        may_evict=False,
        queued={},
        failed={"background": 0},
    ),
    "backlog": Backlog(0, 0, None),
    "disks": [Disk("/srv", 50 * 1024**3, 100 * 1024**3)],
}


def titles(settings: Settings, **changes: Any) -> list[tuple[Level, str]]:
    findings = find(Facts(settings=settings, **{**WELL, **changes}), NOW)
    assert all(finding.todo.endswith(".") for finding in findings)
    return [(finding.level, finding.title) for finding in findings]


def test_a_healthy_portal_has_no_findings(settings: Settings) -> None:
    assert titles(settings) == []


DATABASE: Any = WELL["database"]
REDIS: Any = WELL["redis"]
PROCESSES: Any = WELL["processes"]


MB: Any = 1024**2
GONE: Any = {"database": None, "processes": ()}
WEB = process("web")


def without(*kinds: str) -> dict[str, Any]:
    """Return healthy facts without these processes."""
    return {"processes": [status for status in PROCESSES if status.kind not in kinds]}


def beside(*more: ProcessStatus) -> dict[str, Any]:
    return {"processes": [*PROCESSES, *more]}


DAWN = NOW - timedelta(days=400)
FAULTS: dict[str, dict[str, Any]] = {
    "database gone": GONE | {"backlog": None},
    "database gone, why": GONE | {"backlog": None, "database_error": "the road is gone"},
    "behind": {"database": replace(DATABASE, revision="0101")},
    "before the first release": {"database": replace(DATABASE, revision="0040")},
    "empty": {"database": replace(DATABASE, revision=None)},
    "newer": {"database": replace(DATABASE, revision="0199", is_newer=True)},
    "own clock": {"database": replace(DATABASE, skew=-90.0), "here": "m1"},
    "clock of another": beside(replace(WEB, host="m2", skew=31.0)),
    "full": {"trouble": Trouble(Kind.FULL, "No space left on device")},
    "full and gone": GONE | {"trouble": Trouble(Kind.FULL, "No space left")},
    "read-only there": beside(replace(WEB, trouble=Trouble(Kind.READ_ONLY, "so it is"))),
    "connections cut": beside(process("cut connection")),
    "blocked": {"blockers": [Blocker(77, "ana, psql", "LOCK TABLE webhooks", 34.0)]},
    "silent": beside(process("web", seconds=16, is_alive=False, pid=9)),
    "other keys": {"keys_error": "Other keys."},
    **{
        f"redis {fault}": {"redis": None, "redis_trouble": RedisTrouble(fault, "so it says")}
        for fault in RedisFault
    },
    "redis may evict": {"redis": replace(REDIS, may_evict=True, memory_limit=10)},
    "jobs failed": {"redis": replace(REDIS, failed={"deliveries": 1})},
    "backup old": {"backup": BackupState(NOW - timedelta(days=8, hours=1), DAWN)},
    "backup never": {"backup": BackupState(None, NOW - timedelta(days=9))},
    "no sender": without("worker deliveries"),
    "no background": without("worker background"),
    "no scheduler": without("scheduler"),
    "no maintenance": without("maintenance"),
    "maintenance late": {"processes": [*PROCESSES[:3], process("maintenance", seconds=400)]},
    "late": {"backlog": Backlog(3, 0, NOW - timedelta(minutes=10))},
    "mail": {"mail": MailTrouble(1, Step.SIGN_IN, "535 wrong", has_given_up=False)},
    "mail given up": {"mail": MailTrouble(1200, Step.CONNECT, "timed out", has_given_up=True)},
    "token ends": {"ending_tokens": [("MDM", NOW + timedelta(days=9))]},
    "token ended": {"ending_tokens": [("MDM", NOW - timedelta(days=1))]},
    "erasure": {"stuck_erasures": ["Erased person 17"]},
    "disk short": {"disks": [Disk("/srv", 900 * MB, 2**40)]},
    "disk full": {"disks": [Disk("/srv", 90 * MB, 2**40)]},
}


def test_each_fault_is_one_finding_as_in_the_golden_file(
    settings: Settings, golden: Golden
) -> None:
    texts = {}
    for name, changes in FAULTS.items():
        (finding,) = find(Facts(settings=settings, **{**WELL, **changes}), NOW)
        texts[name] = f"{finding.level.upper()}, {finding.key}. {finding.title} {finding.todo}"
        texts[name] += f" On the server: {finding.server}" if finding.server else ""
    golden.said(Path(__file__).parent / "golden" / "findings.txt", texts)


def test_a_dispatcher_counts_as_a_delivery_worker(settings: Settings) -> None:
    assert titles(settings, processes=[process("dispatcher"), *PROCESSES[1:]]) == []


def test_findings_use_the_command_name_of_the_installation(settings: Settings) -> None:
    served = replace(settings, command_name="asset-webhooks")
    findings = find(Facts(settings=served, **{**WELL, "processes": PROCESSES[1:]}), NOW)
    assert "Start “asset-webhooks worker deliveries”" in findings[0].server


def test_maintenance_by_workers_alone_is_only_a_warning(settings: Settings) -> None:
    """Cover workers without a scheduler, which look every two seconds, or later while busy."""
    findings = titles(settings, processes=[*PROCESSES[:2], process("maintenance", seconds=20)])
    assert [level for level, _ in findings] == [Level.WARNING]


def test_insecure_settings_are_reported(settings: Settings) -> None:
    for changes, words in (
        ({"redis_url": "redis://10.0.0.5:6379/0"}, "without a password"),
        ({"base_url": "http://portal.example.com"}, "The portal uses http://"),
        ({"local_trial": True, "base_url": "https://portal.example.com"}, "This is a local trial"),
    ):
        ((_, title),) = titles(replace(settings, **changes))
        assert words in title, changes


def test_up_to_five_webhooks_with_lost_keys_are_named(settings: Settings) -> None:
    for count, words in ((1, "“1”."), (5, "“4”, “5”."), (7, "“5”, and 2 more.")):
        lost = [str(number) for number in range(1, count + 1)]
        ((_, title),) = titles(settings, lost=lost)
        assert title.endswith(words), count


def looking(**changes: Any) -> RunStatus:
    values: dict[str, Any] = {
        "stored": Stored(AlertRules()),
        "last": None,
        "checked_at": None,
        "running": None,
        "last_due_at": NOW - timedelta(hours=3),
        "next_at": NOW + timedelta(hours=21),
        "is_late": False,
        "needs_first_answer": False,
    }
    return RunStatus(**{**values, **changes})


def test_late_alerts_are_a_danger_and_an_open_question_is_a_warning(
    settings: Settings,
) -> None:
    assert titles(settings, alerts=looking()) == []
    ((level, title),) = titles(settings, alerts=looking(is_late=True))
    assert (level, "was due 3 hours ago" in title) == (Level.DANGER, True)
    follows = {"alerts": looking(is_late=True), "redis": replace(REDIS, failed={"background": 1})}
    assert len(titles(settings, trouble=Trouble(Kind.FULL, "no room"), **follows)) == 1
    ((level, title),) = titles(settings, alerts=looking(needs_first_answer=True))
    assert (level, "We aren’t sending alerts yet" in title) == (Level.WARNING, True)
