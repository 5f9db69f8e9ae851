"""A selection that is stored with its task is the same when it is read again."""

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
    """Return the selection as read from the database, which stores JSON."""
    return bulk_retry_selection.from_params(
        json.loads(json.dumps(bulk_retry_selection.as_params(choice)))
    )


def test_no_part_of_a_filter_is_lost() -> None:
    blank = LogFilter()
    for field in fields(LogFilter):
        value = getattr(FULL, field.name)
        assert value != getattr(blank, field.name)
        alone: dict[str, Any] = {field.name: value}
        choice = Selection(wanted=replace(blank, **alone), newest=9)
        assert again(choice) == choice
    everything = Selection(wanted=FULL, newest=9, again=True)
    assert again(everything) == everything


def test_an_open_end_of_a_period_stays_open() -> None:
    for ends in (FailedBetween(EARLY, None), FailedBetween(None, LATE)):
        choice = Selection(wanted=LogFilter(failed=ends), newest=9)
        assert again(choice) == choice, ends


def test_ticked_deliveries_keep_their_order_and_the_wish_to_resend() -> None:
    for once_more in (False, True):
        choice = Selection(ticked=(UUID(int=5), UUID(int=3)), again=once_more)
        assert again(choice) == choice, once_more


def test_the_rest_of_another_bulk_retry_keeps_its_id() -> None:
    choice = Selection(rest_of=UUID(int=3), again=True)
    assert again(choice) == choice
