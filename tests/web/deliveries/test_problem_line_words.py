"""What the line of a problem says: since when, how it goes on, and what is folded away."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from portal.engine.circuit_breaker import LONGEST_PAUSE
from portal.engine.reasons import Reason
from portal.lib.clock import utcnow
from portal.services.deliveries.answers import EarlierReason
from portal.services.deliveries.problems import Problem, find_problems
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from portal.services.operations import sending
from portal.services.webhooks.queries import WebhookStatus
from portal.web.deliveries import problems
from portal.web.deliveries.problems import ProblemLine, ProblemList, problems_beside
from portal.web.frame.wording import near_time
from tests.support.deliveries import make_delivery
from tests.support.factories import make_user, make_webhook
from tests.support.html import parse

pytestmark = pytest.mark.usefixtures("in_a_request")
VIENNA = ZoneInfo("Europe/Vienna")
LAST_NIGHT = datetime(2026, 3, 9, 22, 40, tzinfo=VIENNA)


@pytest.fixture
def problem(app: Flask) -> Problem:
    make_delivery(make_webhook(name="Sync"), status="failed", reason="server", code=500)
    (found,) = find_problems()
    return found


def plain(told: str) -> str:
    """Without the tags around times."""
    root, _ = parse(f"<body>{told}</body>")
    return " ".join(node.text for node in root.find_all("body"))


def goes_on(problem: Problem, **changes: Any) -> list[str]:
    return [plain(each) for each in problems.how_it_goes_on(replace(problem, **changes))]


def test_how_it_goes_on_says_what_comes_first_of_what_holds_it_up(problem: Problem) -> None:
    at = utcnow() + timedelta(minutes=4)
    later = {"next_retry_at": at, "is_paused": True, "standing": WebhookStatus.PAUSED}
    assert goes_on(problem, is_deleted=True, **later) == ["webhook deleted"]
    assert goes_on(problem, **{**later, "standing": WebhookStatus.OFF}) == ["webhook off"]
    (retry,) = goes_on(problem, **later)
    assert retry.startswith("next automatic retry ")
    (first,) = goes_on(problem, reason=None, **later)
    assert first.startswith("first attempt not before ")
    assert goes_on(problem, standing=WebhookStatus.FAILING) == ["none has arrived since"]
    assert goes_on(problem, standing=WebhookStatus.PAUSED, is_paused=True) == [
        "none has arrived since",
        "not retried automatically",
    ]
    assert goes_on(problem, has_recovered=True) == ["deliveries arrive again"]
    assert goes_on(problem) == []


def test_while_all_sending_is_stopped_it_waits_for_that(problem: Problem) -> None:
    sending.stop(make_user("admin").actor)
    assert goes_on(problem, next_retry_at=utcnow()) == ["waits until sending is started"]
    assert goes_on(problem, standing=WebhookStatus.OFF) == ["webhook off"]


def test_since_when_is_told_from_the_first_to_the_last(problem: Problem) -> None:
    now = utcnow()
    last_year = (now - timedelta(days=400)).replace(hour=12)  # no clock is set back at noon
    for first, last, said in (
        (None, None, ""),
        (None, last_year, f"until {near_time(last_year)}"),
        (now, now, near_time(now)),
        (last_year, last_year + timedelta(hours=1), None),
        (last_year, now, f"{near_time(last_year)} to today {near_time(now)}"),
    ):
        told = plain(problems.span_of(replace(problem, first_at=first, last_at=last)))
        if said is None:
            assert "today" not in told
            assert " to " in told
        else:
            assert told == said


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"count": 1}, "earlier: Content not accepted (422), 3 times"),
        ({"count": 2}, "earlier: Content not accepted (422)"),
        ({"count": 2, "is_earlier_of_some": True}, "some earlier: Content not accepted (422)"),
    ],
)
def test_why_it_failed_before_is_counted_of_one_alone(
    problem: Problem, columns: dict[str, Any], said: str
) -> None:
    earlier = EarlierReason(Reason.BAD_REQUEST, 422, 3)
    assert list(problems.earlier_of(replace(problem, earlier=earlier, **columns))) == [said]
    assert list(problems.earlier_of(problem)) == []


def test_what_waits_behind_it_is_counted_and_what_was_not_tried_says_why(problem: Problem) -> None:
    told = [problems.behind_of(replace(problem, waits_behind=many)) for many in (0, 1, 2)]
    assert told == ["", "and 1 waits behind it, in order", "and 2 wait behind it, in order"]
    near, far = (utcnow() + timedelta(seconds=each) for each in (60, LONGEST_PAUSE + 60))
    assert problems.why_untried(problem) == "not attempted yet"
    for at, words in ((near, "isn't responding"), (far, "asked us to wait")):
        paused = replace(problem, is_paused=True, next_retry_at=at)
        assert problems.why_untried(paused) == f"paused: the receiver {words}"


def some(*names: str, total: int = 2) -> list[ProblemLine]:
    return [ProblemLine(name=name, name_url="", told="", url="", total=total) for name in names]


@pytest.mark.parametrize(
    ("count", "in_sight", "rest"), [(1, 1, 0), (2, 2, 0), (3, 3, 0), (4, 2, 2), (5, 2, 3)]
)
def test_one_is_never_folded_away_alone(count: int, in_sight: int, rest: int) -> None:
    found = problems._folded(some(*"abcde"[:count]), 2)
    assert (len(found.first), len(found.rest), found.left_out) == (in_sight, rest, 0)


def test_what_has_no_line_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(problems, "MOST_LINES", 4)
    found = problems._folded(some(*"abcdef"), 2)
    assert (len(found.first), len(found.rest), found.left_out) == (2, 2, 2)
    assert found.summary == "4 more problems: c 2, d 2, …"


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        (some("Door"), "1 more problem: Door 2"),
        (some("Door", "Door", "Desk"), "3 more problems: Door 4, Desk 2"),
        (some("Door", total=0), "1 more problem: Door"),
        (some(*"abc"), "3 more problems: a 2, b 2, c 2"),
        (some(*"abcd"), "4 more problems: a 2, b 2, c 2, …"),
    ],
)
def test_what_is_folded_away_is_summed_up_by_webhook(rest: list[ProblemLine], said: str) -> None:
    assert ProblemList(some("Sync"), rest).summary == said


def test_under_a_filter_only_the_problems_stand_of_which_all_is_shown(app: Flask) -> None:
    hook = make_webhook(name="Sync")
    for reason, code in (("server", 500), ("server", 502), ("dns", None), ("auth", 401)):
        make_delivery(hook, status="failed", reason=reason, code=code)
    off = make_webhook(name="Off", state="off", off_reason="gone", off_at=utcnow())

    def names(**asked: Any) -> list[str]:
        found = problems_beside(LogFilter(**asked), 9)
        return [f"{each.name}: {plain(each.told)}" for each in (*found.first, *found.rest)]

    def told(*names: str) -> list[str]:
        return [f"Sync: {name}" for name in names]

    every = names()
    assert every[0].startswith("Off: off since ")
    both = told("Server error", "Authentication rejected (401)", "Server not found")
    assert sorted(every[1:]) == sorted(both)
    assert names(status=StatusFilter.ATTENTION) == every
    assert names(status=StatusFilter.FAILED) == names(search="x") == []
    assert sorted(names(webhook=hook.public_id)) == sorted(both)
    assert len(names(webhook=off.public_id)) == 1
    assert names(reasons=(Reason.DNS,)) == told("Server not found")
    # Of the two codes of a problem it shows one: that is no problem with this number.
    assert names(codes=(500, 500)) == []
    assert names(codes=(401, 401)) == names(codes=(400, 499)) == told(both[1][6:])
    assert names(untried=True) == []
