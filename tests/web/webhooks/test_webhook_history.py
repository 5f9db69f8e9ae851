"""A webhook's history in sentences, and the change that its failures are blamed on."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from portal.services.core.permissions import SYSTEM
from portal.services.webhooks.queries import HistoryEntry
from portal.web.webhooks import wording
from tests.support.golden.expected_file import Golden

pytestmark = pytest.mark.usefixtures("in_a_request")
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def entry(action: str, before: timedelta = MINUTE, by: str = "Ana", **changes: Any) -> HistoryEntry:
    values = {name: {"from": was, "to": now} for name, (was, now) in changes.items()}
    return HistoryEntry(AT - before, by, f"webhook.{action}", values)


def test_failures_are_blamed_on_a_recent_change_visible_to_the_receiver() -> None:
    for change, blamed in (
        (entry("changed", url=("a", "b")), "the URL was edited"),
        (entry("changed", secret_key=("a", "b")), "the secret key was changed"),
        (entry("changed", custom_headers=([], ["X"])), "the custom headers were edited"),
        (entry("changed", in_order=("no", "yes")), "the sending order was changed"),
        (entry("changed", format=("Standard JSON", "Slack")), "the format was changed"),
        (
            entry("changed", url=("a", "b"), secret_key=("a", "b")),
            "the URL was edited and the secret key was changed",
        ),
        (entry("created"), "it was created"),
        (entry("turned_on"), "it was turned on"),
        (entry("secret_switched"), "it switched to the new secret key"),
        (entry("changed", name=("a", "b")), ""),
        (entry("turned_off"), ""),
        (entry("changed", before=-MINUTE, url=("a", "b")), ""),
        (entry("changed", before=timedelta(hours=24), url=("a", "b")), ""),
        (entry("changed", before=timedelta(0), url=("a", "b")), "the URL was edited"),
    ):
        began = wording.failures_began(AT, [change])
        if began is None:
            assert not blamed, change
        else:
            assert began.sentence.endswith(f"after {blamed}."), change
            # Creating or turning on leaves no changes to view.
            is_change = change.action not in ("webhook.created", "webhook.turned_on")
            assert began.is_change is is_change, change
        assert wording.failures_began(None, [change]) is None, change


def test_the_last_change_before_the_failures_is_blamed() -> None:
    later = entry("changed", before=-MINUTE, url=("a", "b"))
    last = entry("secret_switched", before=MINUTE)
    earlier = entry("created", before=HOUR)
    start = wording.failures_began(AT, [later, last, earlier])
    assert start
    assert start.sentence == "Failures started 1 minute after it switched to the new secret key."
    lines = wording.history_lines([later, last, earlier], AT)
    assert [line.at for line in lines] == [AT + MINUTE, AT, AT - MINUTE, AT - HOUR]
    assert (lines[1].sentence, lines[1].tone) == (start.sentence.rstrip("."), "danger")
    began, made = wording.history_lines([], AT, AT - HOUR)
    assert began.sentence == "Failures started"
    assert (made.sentence, made.at) == ("No changes since this webhook was created", AT - HOUR)


def test_only_a_later_url_change_counts_as_a_move() -> None:
    moved, named = entry("changed", url=("a", "b")), entry("changed", name=("a", "b"))
    tested = entry("tested_before_saving", url=(None, "b"))
    assert wording.has_moved(AT - HOUR, [named, moved])
    for since, changes in ((AT, [moved]), (moved.at, [moved]), (AT - HOUR, [named, tested])):
        assert not wording.has_moved(since, changes)


DETAILS: Final[tuple[dict[str, Any], ...]] = (
    {"events": ([], ["asset.lost"])},
    {"events": (["asset.created"], ["asset.lost"])},
    {"url": ("x", "x")},
    {"url": ("x", "y")},
    {"custom_headers": (["X"], ["X"])},
    {"custom_headers": (["X"], [])},
    {"custom_headers": (["X"], ["X", "Y"])},
    {"name": (None, "Sync")},
    {"deliveries_send": (None, 3)},
)
ACTIONS: Final = ("turned_on", "created", "decided_about_held", "waiting_sent", "something_new")


def test_history_lines_match_the_golden_file(golden: Golden) -> None:
    lines = {}
    for change in DETAILS:
        (line,) = wording.history_lines([entry("changed", **change)])
        lines[f"{change}"] = " | ".join(line.details[0])
    for made in (entry("turned_off", by=SYSTEM.name), *map(entry, ACTIONS)):
        (line,) = wording.history_lines([made])
        lines[made.action] = f"{line.sentence} ({line.tone})"
    golden.said(Path(__file__).parent / "golden" / "history.txt", lines)
