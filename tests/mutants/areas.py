"""The areas that are scored each for itself, and the files of each."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

# area → how many of 300 mutants are its own, and its files. A file belongs to the first area that
# names it, and to none if no area does: what starts the programs, the demo, and their settings.
AREAS: Final[Mapping[str, tuple[int, tuple[str, ...]]]] = {
    "retention": (
        15,
        (
            "jobs/periodic.py",
            "portal/lib/typed_values.py",
            "portal/services/core/queries.py",
            "portal/services/operations/retention.py",
            "portal/services/operations/retention.py",
        ),
    ),
    "import": (
        18,
        (
            "portal/lib/csv_*.py",
            "portal/services/csv/*",
            "portal/web/csv/*",
        ),
    ),
    "alerts": (
        18,
        (
            "jobs/periodic.py",
            "portal/engine/events/details.py",
            "portal/models/alerts.py",
            "portal/services/alerts/*",
            "portal/web/alerts/*",
        ),
    ),
    "log": (
        18,
        (
            "portal/lib/paging.py",
            "portal/services/audit.py",
            "portal/services/core/keyset.py",
            "portal/services/deliveries/log/*",
            "portal/services/deliveries/trends.py",
            "portal/services/outbox/rollups.py",
            "portal/web/deliveries/log_*.py",
            "portal/web/deliveries/presenter.py",
        ),
    ),
    "transport": (20, ("portal/engine/http/*", "portal/services/dispatch/request.py")),
    "recording and masking": (
        20,
        (
            "jobs/dispatcher/database_writer.py",
            "jobs/dispatcher/recorder.py",
            "portal/lib/redaction.py",
            "portal/logs.py",
            "portal/services/deliveries/detail.py",
            "portal/services/dispatch/record.py",
            "portal/services/dispatch/results.py",
            "portal/web/deliveries/request.py",
            "portal/web/frame/request_log.py",
        ),
    ),
    "claiming and dispatch": (
        26,
        (
            "jobs/deliver.py",
            "jobs/dispatcher/loop.py",
            "jobs/periodic.py",
            "portal/queue/bell.py",
            "portal/services/core/queries.py",
            "portal/services/dispatch/*",
            "portal/services/outbox/due.py",
        ),
    ),
    "sign-in and vault": (
        21,
        (
            "portal/config/settings.py",
            "portal/engine/signing/weak_keys.py",
            "portal/models/people.py",
            "portal/services/core/vault.py",
            "portal/services/erasure/*",
            "portal/services/people/*",
            "portal/services/webhooks/rows.py",
            "portal/services/webhooks/keys.py",
            "portal/services/webhooks/secrets.py",
            "portal/web/erasure/*",
            "portal/web/frame/access.py",
            "portal/web/people/*",
        ),
    ),
    "jobs": (
        26,
        (
            "jobs/*",  # folders too: jobs/web_server, jobs/dispatcher where no area above names it
            "portal/queue/*",
            "portal/services/core/heartbeats.py",
            "portal/services/operations/health.py",
            "portal/services/operations/report.py",
            "portal/services/tasks/*",
            "portal/services/webhooks/notices/*",
            "portal/models/tasks.py",
        ),
    ),
    "switching, outbox, retry": (
        26,
        (
            "portal/services/bulk_retry/*",
            "portal/services/deliveries/retry.py",
            "portal/services/outbox/*",
            "portal/services/webhooks/*",
            "portal/models/webhooks.py",
            "portal/models/deliveries.py",
        ),
    ),
    "delivery": (
        33,
        (
            "portal/engine/*",
            "portal/lib/durations.py",
            "portal/services/deliveries/*",
        ),
    ),
    "register and permissions": (
        26,
        (
            "portal/models/*",
            "portal/services/actions/*",
            "portal/services/assets/*",
            "portal/services/audit/*",
            "portal/services/core/*",
            "portal/web/frame/access.py",
        ),
    ),
    "web": (33, ("portal/web/*", "portal/services/operations/*")),
}


def area_of(path: str) -> str | None:
    """The area that a file is scored in."""
    for area, (_, patterns) in AREAS.items():
        if any(fnmatchcase(path, pattern) for pattern in patterns):
            return area
    return None


def files_of(root: Path) -> dict[str, list[str]]:
    """The files of each area, sorted, by their paths from the root."""
    found: dict[str, list[str]] = {area: [] for area in AREAS}
    for top in ("jobs", "portal"):
        for file in sorted((root / top).rglob("*.py")):
            path = file.relative_to(root).as_posix()
            if area := area_of(path):
                found[area].append(path)
    return found


def shares(count: int, wanted: list[str]) -> dict[str, int]:
    """How many of `count` mutants go to each of these areas, by their shares; at least one each."""
    whole = sum(AREAS[area][0] for area in wanted)
    exact = {area: count * AREAS[area][0] / whole for area in wanted}
    given = {area: max(1, int(share)) for area, share in exact.items()}
    for area in sorted(wanted, key=lambda each: given[each] - exact[each])[
        : count - sum(given.values())
    ]:
        given[area] += 1
    return given
