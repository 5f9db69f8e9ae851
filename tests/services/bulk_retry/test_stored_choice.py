"""A choice of deliveries is kept with its task, and is the same when it is read again."""

import json
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from portal.engine.events.catalogue import EventName
from portal.engine.reasons import Reason
from portal.services.deliveries import bulk_retry_selection
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.deliveries.statuses import FailedBetween, LogFilter, StatusFilter

EARLY, LATE = datetime(2026, 3, 1, 8, tzinfo=UTC), datetime(2026, 3, 2, 9, tzinfo=UTC)
FULL = LogFilter(
    status=StatusFilter.FAILED,
    webhook=UUID(int=1),
    event=EventName.UPDATED,
    asset_id=7,
    search="proj",
    reasons=(Reason.SERVER, Reason.DNS),
    untried=True,
    codes=(500, 599),
    delivery=UUID(int=2),
    since=EARLY,
    until=LATE,
    failed=FailedBetween(EARLY, LATE),
    answer="out of stock",
)


def again(choice: Selection) -> Selection:
    """What comes back from the database, which keeps JSON."""
    return bulk_retry_selection.from_params(
        json.loads(json.dumps(bulk_retry_selection.as_params(choice)))
    )


def test_no_part_of_a_filter_is_lost() -> None:
    blank = LogFilter()
    for each in fields(LogFilter):
        value = getattr(FULL, each.name)
        assert value != getattr(blank, each.name)
        alone: dict[str, Any] = {each.name: value}
        choice = Selection(wanted=replace(blank, **alone), newest=9)
        assert again(choice) == choice
    everything = Selection(wanted=FULL, newest=9, again=True)
    assert again(everything) == everything


def test_an_open_end_of_a_time_stays_open() -> None:
    for ends in (FailedBetween(EARLY, None), FailedBetween(None, LATE)):
        choice = Selection(wanted=LogFilter(failed=ends), newest=9)
        assert again(choice) == choice, ends


def test_ticked_deliveries_keep_their_order_and_whether_they_go_once_more() -> None:
    for once_more in (False, True):
        choice = Selection(ticked=(UUID(int=5), UUID(int=3)), again=once_more)
        assert again(choice) == choice, once_more


def test_what_another_one_did_not_send_is_named_by_it() -> None:
    choice = Selection(rest_of=UUID(int=3), again=True)
    assert again(choice) == choice
