"""The longest text of each asset action fits its column, and one character more is refused."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import pytest
from flask import Flask
from sqlalchemy import func, select

from portal.lib.clock import utcnow
from portal.models.assets import Action, Activity, AssetStatus
from portal.services.actions import assignments, incidents, lifecycle
from portal.services.actions.incidents import ClaimValues, DisposalValues
from portal.services.core.permissions import SYSTEM
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session
from tests.services.actions.every_action import asset_in
from tests.support.factories import make_asset, make_location, make_staff

Do = Callable[..., object]
NOTE: Final = {"note": ("note", 1000)}
REASON: Final = {"reason": ("reason", 200)}
TOLD: Final = {"description": ("description", 1000), **NOTE}
CLAIM: Final = {
    "problem": ("problem", 1000),
    "supplier": ("supplier", 120),
    "rma_number": ("return number", 60),
    **NOTE,
}
DISPOSAL: Final = {"recipient": ("recipient", 120), **NOTE}


def claim(asset_id: int, **texts: Any) -> None:
    incidents.send_to_warranty(SYSTEM, asset_id, ClaimValues(**{"problem": "It fell"} | texts))


def dispose(asset_id: int, **texts: Any) -> None:
    incidents.liquidate(SYSTEM, asset_id, DisposalValues(method="sold", **texts))


def lend(asset_id: int, **texts: Any) -> None:
    due_at = utcnow() + timedelta(days=3)
    assignments.check_out(SYSTEM, asset_id, staff_id=make_staff(), due_at=due_at, **texts)


def lend_longer(asset_id: int, **texts: Any) -> None:
    due_at = utcnow() + timedelta(days=4)
    assignments.change_due_date(SYSTEM, asset_id, due_at=due_at, **texts)


def lose(asset_id: int, **texts: Any) -> None:
    incidents.report_lost(SYSTEM, asset_id, **{"description": "On the train"} | texts)


def break_it(asset_id: int, **texts: Any) -> None:
    incidents.report_broken(SYSTEM, asset_id, **{"description": "It fell"} | texts)


def move(asset_id: int, **texts: Any) -> None:
    place = make_location(f"Place {len(str(texts))}")  # a new location each time
    incidents.transfer(SYSTEM, asset_id, location_id=place, **texts)


def deleted() -> int:
    asset_id = make_asset()
    lifecycle.delete_asset(SYSTEM, asset_id, "")
    return asset_id


def back(action: Action) -> Do:
    return lambda asset_id, **texts: incidents.come_back(SYSTEM, asset_id, action, **texts)


def given(asset_id: int, **texts: Any) -> None:
    assignments.allocate(SYSTEM, asset_id, staff_id=make_staff(), **texts)


def passed_on(asset_id: int, **texts: Any) -> None:
    assignments.reassign(SYSTEM, asset_id, staff_id=make_staff(), **texts)


# The action, the status of the asset before it, and the texts that it takes.
ACTIONS: Final[dict[Action, tuple[Do, AssetStatus | None, dict[str, tuple[str, int]]]]] = {
    Action.ALLOCATE: (given, AssetStatus.AVAILABLE, NOTE),
    Action.REVOKE: (
        lambda asset_id, **texts: assignments.revoke(SYSTEM, asset_id, **texts),
        AssetStatus.ALLOCATED,
        REASON | NOTE,
    ),
    Action.REASSIGN: (passed_on, AssetStatus.ALLOCATED, REASON | NOTE),
    Action.CHECK_OUT: (lend, AssetStatus.AVAILABLE, {"purpose": ("purpose", 200), **NOTE}),
    Action.CHECK_IN: (
        lambda asset_id, **texts: assignments.check_in(SYSTEM, asset_id, **texts),
        AssetStatus.CHECKED_OUT,
        NOTE,
    ),
    Action.CHANGE_DUE_DATE: (lend_longer, AssetStatus.CHECKED_OUT, NOTE),
    Action.TRANSFER: (move, AssetStatus.AVAILABLE, REASON | NOTE),
    Action.REPORT_LOST: (lose, AssetStatus.AVAILABLE, TOLD),
    Action.REPORT_BROKEN: (break_it, AssetStatus.AVAILABLE, TOLD),
    Action.SEND_TO_WARRANTY: (claim, AssetStatus.BROKEN, CLAIM),
    Action.LIQUIDATE: (dispose, AssetStatus.AVAILABLE, DISPOSAL),
    Action.RECEIVE_BACK: (back(Action.RECEIVE_BACK), AssetStatus.WARRANTY, NOTE),
    Action.REPAIR: (back(Action.REPAIR), AssetStatus.BROKEN, NOTE),
    Action.FIND: (back(Action.FIND), AssetStatus.LOST, NOTE),
    Action.UNDO_LIQUIDATION: (
        lambda asset_id, **texts: incidents.undo_liquidation(SYSTEM, asset_id, **texts),
        AssetStatus.LIQUIDATED,
        NOTE,
    ),
    Action.RESTORE: (
        lambda asset_id, **texts: incidents.restore(SYSTEM, asset_id, **texts),
        None,
        NOTE,
    ),
}


CASES: Final = [(action, name) for action, (_, _, texts) in ACTIONS.items() for name in texts]


def lines_of(asset_id: int) -> int:
    """Count the lines in the timeline of the asset."""
    query = select(func.count()).where(Activity.asset_id == asset_id)
    return session().execute(query).scalar_one()


def test_the_longest_text_is_kept_and_a_longer_one_changes_nothing(app: Flask) -> None:
    for action, name in CASES:
        do, status, texts = ACTIONS[action]
        label, limit = texts[name]
        asset_id = asset_in(status) if status else deleted()
        before = lines_of(asset_id)
        with pytest.raises(Refusal) as refused:
            do(asset_id, **{name: "x" * (limit + 1)})
        sentence = f"Enter at most {limit:,} characters for the {label}"
        assert (str(refused.value), refused.value.field) == (sentence, name), action
        assert lines_of(asset_id) == before, action
        do(asset_id, **{name: "x" * limit})
        assert lines_of(asset_id) > before, action
